// SPDX-License-Identifier: Apache-2.0
//
// lm_client score: prints the log-probabilities of texts.

#include <cmath>
#include <deque>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "client/command.h"
#include "client/error_details.h"
#include "client/output.h"
#include "client/text_source.h"
#include "models/utf8.h"
#include "text_io/line_reader.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

// Enough texts per message to make the cost of a message small, few enough that
// results appear soon.
constexpr int kTextsPerMessage = 256;

struct ScoreOptions {
  std::string model;
  std::vector<std::string> texts;
  std::string source;   // the text that all texts translate
  std::string sources;  // the path of a file
  bool per_word = false;
  uint32_t alternatives = 0;
  bool ranks = false;
  bool ngram_lengths = false;
  bool begin = true;
  bool end = true;
  bool strict = false;
};

// A text of the input.
struct Line {
  uint64_t number;  // from 1
  std::string text;
  std::string source;        // its line of --sources
  std::string problem = {};  // why it is not sent; empty if it is
};
using Lines = std::vector<Line>;

// Whether the texts of a request are too many or too long for one message, so
// that fewer of them may be scored.
bool IsTooLarge(const absl::Status& status) {
  // gRPC itself names no field of a message that is too large.
  return absl::IsResourceExhausted(status) &&
         (!WrongField(status).empty() ||
          absl::StrContains(status.message(), "larger than max"));
}

// Returns an error of the server about a text without the names of fields that
// the user has not written: "texts[3]: PROBLEM" becomes "PROBLEM".
std::string AboutText(absl::string_view message) {
  const bool is_source = absl::StartsWith(message, "sources");
  if (!is_source && !absl::StartsWith(message, "texts[")) {
    return std::string(message);
  }
  const size_t colon = message.find(": ");
  if (colon == message.npos) return std::string(message);
  message.remove_prefix(colon + 2);
  return absl::StrCat(is_source ? "source: " : "", message);
}

// Reads the texts and their sources, and makes requests of them.
class TextReader {
 public:
  TextReader(const std::string& model, const ScoreOptions& options)
      : model_(model), options_(options), texts_(options.texts) {
    if (options.sources.empty()) return;
    absl::StatusOr<std::unique_ptr<LineReader>> sources =
        LineReader::Open(options.sources);
    if (sources.ok()) {
      sources_ = *std::move(sources);
    } else {
      status_ =
          absl::Status(sources.status().code(),
                       absl::StrCat("--sources: ", sources.status().message()));
    }
  }

  // Returns the next texts for one message, at least one to be sent unless the
  // input ends or fails; none after the end.
  Lines Next() {
    Lines lines;
    int sent = 0;
    std::string text;
    while (status_.ok() && sent < kTextsPerMessage && texts_.Next(&text)) {
      Line line = {texts_.number(), std::move(text), ""};
      if (!ReadSource(&line)) break;
      if (FindInvalidUtf8(line.text) != std::string::npos ||
          FindInvalidUtf8(line.source) != std::string::npos) {
        line.problem = "invalid UTF-8";
      }
      sent += line.problem.empty();
      lines.push_back(std::move(line));
    }
    return lines;
  }

  // Returns a request for those of the texts that can be sent.
  lm::v1::ScoreRequest Request(absl::Span<const Line> lines) const {
    lm::v1::ScoreRequest request;
    request.set_model(model_);
    request.set_per_word(options_.per_word);
    request.set_alternatives(options_.alternatives);
    request.set_ranks(options_.ranks);
    request.set_ngram_lengths(options_.ngram_lengths);
    request.set_include_begin(options_.begin);
    request.set_include_end(options_.end);
    request.set_keep_going(true);
    if (!options_.source.empty()) {
      request.add_sources()->set_text(
          std::string(WithoutSentenceMarkers(options_.source)));
    }
    for (const Line& line : lines) {
      if (!line.problem.empty()) continue;
      request.add_texts()->set_text(
          std::string(WithoutSentenceMarkers(line.text)));
      if (sources_ == nullptr) continue;
      request.add_sources()->set_text(
          std::string(WithoutSentenceMarkers(line.source)));
    }
    return request;
  }

  std::string Name(const Line& line) const { return texts_.Name(line.number); }

  // Returns an error if the texts or the lines of --sources could not be read,
  // or if the lines do not match the texts.
  absl::Status CheckEnd() {
    if (!texts_.status().ok()) return texts_.status();
    absl::string_view more;
    if (status_.ok() && sources_ != nullptr && sources_->Next(&more)) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("--sources: expected one line for each text, ",
                       texts_.number(), ", found more"));
    }
    return status_;
  }

 private:
  // Reads the line of --sources that belongs to the text. Returns false if the
  // file has ended.
  bool ReadSource(Line* line) {
    if (sources_ == nullptr) return true;
    absl::string_view source;
    if (sources_->Next(&source)) {
      line->source = std::string(absl::StripSuffix(source, "\r"));
      return true;
    }
    status_ = sources_->status();
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("--sources: expected one line for each text, found ",
                       sources_->line_number()));
    }
    return false;
  }

  const std::string model_;
  const ScoreOptions& options_;
  TextSource texts_;
  std::unique_ptr<LineReader> sources_;
  absl::Status status_;
};

nlohmann::ordered_json WordJson(const lm::v1::WordScores& scores, int i) {
  nlohmann::ordered_json json = {{"word", scores.words(i)},
                                 {"log_prob", JsonNumber(scores.log_probs(i))},
                                 {"unknown", scores.unknown(i)}};
  if (!scores.ranks().empty()) {
    json["rank"] = scores.ranks(i);
    json["entropy"] = JsonNumber(scores.entropies(i));
  }
  if (!scores.ngram_lengths().empty()) {
    json["ngram_length"] = scores.ngram_lengths(i);
  }
  if (!scores.alternatives().empty()) {
    const lm::v1::NextWords& words = scores.alternatives(i);
    json["alternatives"] = nlohmann::ordered_json::array();
    for (int j = 0; j < words.words_size(); ++j) {
      json["alternatives"].push_back(
          {{"word", words.words(j)},
           {"log_prob", JsonNumber(words.log_probs(j))}});
    }
  }
  return json;
}

void PrintJson(const std::string& text, const lm::v1::TextScore& score) {
  nlohmann::ordered_json json = {
      {"text", text},
      {"log_prob", JsonNumber(score.log_prob())},
      {"words", score.word_count()},
      {"unknown", score.unknown_count()},
      {"perplexity", JsonNumber(score.perplexity())},
      {"known_perplexity", JsonNumber(score.known_perplexity())},
  };
  if (score.has_words()) {
    json["scored"] = nlohmann::ordered_json::array();
    for (int i = 0; i < score.words().words_size(); ++i) {
      json["scored"].push_back(WordJson(score.words(), i));
    }
  }
  std::cout << DumpJson(json) << "\n";
}

void PrintHeader() {
  std::cout << absl::StreamFormat("%12s  %5s  %7s  %12s  %s\n", "ln P", "words",
                                  "unknown", "perplexity", "text");
}

void PrintLine(double log_prob, uint64_t words, uint64_t unknown,
               absl::string_view text) {
  std::cout << absl::StreamFormat(
      "%12.4f  %5d  %7d  %12.4f  %s\n", log_prob, words, unknown,
      words == 0 ? 0 : std::exp(-log_prob / words), ForPeople(text));
}

void PrintWords(const lm::v1::WordScores& words) {
  for (int i = 0; i < words.words_size(); ++i) {
    std::cout << absl::StreamFormat("%12.4f  %s%s", words.log_probs(i),
                                    ForPeople(words.words(i)),
                                    words.unknown(i) ? "  (unknown)" : "");
    if (!words.ranks().empty()) {
      std::cout << absl::StreamFormat("  rank %d, entropy %.4f", words.ranks(i),
                                      words.entropies(i));
    }
    if (!words.ngram_lengths().empty()) {
      std::cout << absl::StreamFormat("  %d-gram", words.ngram_lengths(i));
    }
    std::cout << "\n";
    if (words.alternatives().empty()) continue;
    const lm::v1::NextWords& alternatives = words.alternatives(i);
    for (int j = 0; j < alternatives.words_size(); ++j) {
      std::cout << absl::StreamFormat("%24.4f  %s\n", alternatives.log_probs(j),
                                      ForPeople(alternatives.words(j)));
    }
  }
}

// Prints results as they come, one for each text.
class ScorePrinter {
 public:
  ScorePrinter(const TextReader& reader, const ScoreOptions& options, bool json)
      : reader_(reader), options_(options), json_(json) {}

  void PrintScore(const Line& line, const lm::v1::TextScore& score) {
    ++scored_;
    if (json_) return PrintJson(line.text, score);
    if (texts_ + failed_ == 0) PrintHeader();
    ++texts_;
    log_prob_ += score.log_prob();
    words_ += score.word_count();
    unknown_ += score.unknown_count();
    PrintLine(score.log_prob(), score.word_count(), score.unknown_count(),
              line.text);
    if (score.has_words()) PrintWords(score.words());
  }

  // Prints that a text has no score. With --strict returns that as an error.
  absl::Status PrintProblem(const Line& line, absl::string_view problem) {
    if (options_.strict) {
      std::cout.flush();
      return absl::InvalidArgumentError(
          absl::StrCat(reader_.Name(line), ": ", problem));
    }
    if (json_) {
      const nlohmann::ordered_json json = {{"line", line.number},
                                           {"text", line.text},
                                           {"error", std::string(problem)}};
      std::cout << DumpJson(json) << "\n";
    } else {
      if (texts_ + failed_ == 0) PrintHeader();
      std::cout << absl::StreamFormat("%12s  %5s  %7s  %12s  %s: %s\n", "error",
                                      "-", "-", "-", reader_.Name(line),
                                      problem);
    }
    if (failed_++ == 0) first_failed_ = reader_.Name(line);
    return absl::OkStatus();
  }

  // Prints the sum of all texts, and how many have no score. Returns false if
  // none has.
  bool Finish() const {
    if (!json_ && texts_ > 1) {
      PrintLine(log_prob_, words_, unknown_,
                absl::StrCat("all ", texts_, " texts"));
    }
    std::cout.flush();
    if (failed_ == 0) return true;
    std::cerr << "lm_client: texts without a score: " << failed_
              << ", the first: " << first_failed_ << "\n";
    return scored_ > 0;
  }

 private:
  const TextReader& reader_;
  const ScoreOptions& options_;
  const bool json_;
  double log_prob_ = 0;
  uint64_t scored_ = 0, texts_ = 0, words_ = 0, unknown_ = 0, failed_ = 0;
  std::string first_failed_;
};

// Scores all texts: in a stream and, if that ends because of a message that is
// too large, the texts of this message in smaller and smaller requests.
class Scoring {
 public:
  Scoring(const Client& client, TextReader& reader, ScorePrinter& printer)
      : client_(client), reader_(reader), printer_(printer) {}

  absl::Status Run() {
    while (true) {
      absl::Status status = client_.ScoreStream(
          [&](lm::v1::ScoreRequest* request) { return Send(request); },
          [&](const lm::v1::ScoreResponse& response) {
            result_ = Print(TakeFirst(), response);
            return result_.ok() && std::cout.flush();
          });
      if (!result_.ok() || !std::cout) return result_;
      if (status.ok()) return Finish();
      // The server answers in order, so the error is about the first message
      // that has no answer. The others are sent again.
      if (!IsTooLarge(status) || sent_.empty()) return status;
      status = ScoreParts(TakeFirst());
      if (!status.ok()) return status;
      unsent_.insert(unsent_.begin(), std::make_move_iterator(sent_.begin()),
                     std::make_move_iterator(sent_.end()));
      sent_.clear();
    }
  }

 private:
  // Fills the next request of the stream. Runs on a thread of its own.
  bool Send(lm::v1::ScoreRequest* request) {
    Lines lines;
    if (unsent_.empty()) {
      lines = reader_.Next();
    } else {
      lines = std::move(unsent_.front());
      unsent_.pop_front();
    }
    if (lines.empty()) return false;
    *request = reader_.Request(lines);
    const bool sends = request->texts_size() > 0;
    const std::lock_guard<std::mutex> lock(mutex_);
    sent_.push_back(std::move(lines));
    return sends;  // texts that cannot be sent are the last ones
  }

  // Removes the first message that was sent.
  Lines TakeFirst() {
    const std::lock_guard<std::mutex> lock(mutex_);
    Lines lines = std::move(sent_.front());
    sent_.pop_front();
    return lines;
  }

  // Prints the results of the texts of one message, in their order.
  absl::Status Print(const Lines& lines,
                     const lm::v1::ScoreResponse& response) {
    int next = 0;
    for (const Line& line : lines) {
      if (!line.problem.empty()) {
        absl::Status status = printer_.PrintProblem(line, line.problem);
        if (!status.ok()) return status;
      } else if (next < response.scores_size()) {
        const lm::v1::TextScore& score = response.scores(next++);
        if (!score.has_failed()) {
          printer_.PrintScore(line, score);
          continue;
        }
        absl::Status status =
            printer_.PrintProblem(line, AboutText(score.failed().message()));
        if (!status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  // Scores texts in one call and, if they are too many or too long, in halves.
  absl::Status ScoreParts(absl::Span<const Line> lines) {
    const lm::v1::ScoreRequest request = reader_.Request(lines);
    if (request.texts().empty()) return Print({lines.begin(), lines.end()}, {});
    const auto response = client_.Score(request);
    if (response.ok()) return Print({lines.begin(), lines.end()}, *response);
    if (!IsTooLarge(response.status())) return response.status();
    if (lines.size() == 1) {
      return printer_.PrintProblem(lines[0],
                                   AboutText(response.status().message()));
    }
    const size_t half = lines.size() / 2;
    absl::Status status = ScoreParts(lines.first(half));
    return status.ok() ? ScoreParts(lines.subspan(half)) : status;
  }

  // Prints the last texts if none of them could be sent.
  absl::Status Finish() {
    for (const Lines& lines : sent_) {
      absl::Status status = Print(lines, {});
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const Client& client_;
  TextReader& reader_;
  ScorePrinter& printer_;
  absl::Status result_;       // of printing
  std::deque<Lines> unsent_;  // messages of a stream that ended before
  std::mutex mutex_;
  std::deque<Lines> sent_;  // without an answer; guarded by mutex_
};

absl::StatusOr<bool> RunScore(const ScoreOptions& options,
                              const CommonOptions& common) {
  const Client client(common.client);
  NoteIfFile(options.texts, "< FILE");
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  TextReader reader(*model, options);
  ScorePrinter printer(reader, options, common.json);
  absl::Status status = Scoring(client, reader, printer).Run();
  if (status.ok()) status = reader.CheckEnd();
  if (!status.ok()) return status;
  return printer.Finish();
}

}  // namespace

void AddScoreCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<ScoreOptions>();
  cli::App& command =
      *app.add_subcommand("score",
                          "Print the log-probability of each text under a "
                          "model: one line, or with --json one object, for "
                          "each text; of a blank text, ln P(</s>).\n"
                          "  lm_client score --model en 'the cat is small'\n"
                          "  lm_client score --model en --json < corpus.txt");
  command.add_option("text", options->texts,
                     "Texts to score [the lines of standard input]");
  command.add_option("--model", options->model, kModelHelp);
  command.add_flag("--per-word", options->per_word,
                   "Print the score of each word, too");
  command.add_option("--alternatives", options->alternatives,
                     "Print the score of each word and, for each, the N most "
                     "probable words in its place");
  command.add_flag("--ranks", options->ranks,
                   "Print the score of each word, its rank among all words by "
                   "probability, and the entropy in its place, in nats");
  cli::Option* source =
      command.add_option("--source", options->source,
                         "The source text that all texts translate; only for "
                         "translation models");
  command
      .add_option("--sources", options->sources,
                  "File with the source text of each text, one per line; "
                  "only for translation models")
      ->excludes(source);
  command.add_flag("--ngram-lengths", options->ngram_lengths,
                   "Print the score of each word and how many words the n-gram "
                   "has that gave it; only for n-gram models");
  command.add_flag_callback(
      "--no-end", [=] { options->end = false; },
      "Do not score the end of the sentence, </s>, because the texts are "
      "unfinished");
  command.add_flag_callback(
      "--no-begin", [=] { options->begin = false; },
      "Do not read the beginning of the sentence, <s>, before the texts, "
      "because they are the middle of sentences; only for n-gram models");
  command.add_flag("--strict", options->strict,
                   "Stop at the first text that cannot be scored, such as one "
                   "that is not UTF-8, instead of printing its error in its "
                   "place");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunScore(*options, common);
    };
  });
}

}  // namespace lmserve
