// SPDX-License-Identifier: Apache-2.0
//
// lm_client score: prints the log-probabilities of texts.

#include <cmath>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command.h"
#include "client/output.h"
#include "client/text_source.h"

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
  bool no_end = false;
};

// Fills the requests of a stream and keeps the texts that wait for their
// scores. One thread may call Next() while another calls TakeText(); the other
// methods require that both are done.
class Sender {
 public:
  Sender(const std::string& model, const ScoreOptions& options)
      : model_(model), options_(options), texts_(options.texts) {
    if (options.sources.empty()) return;
    sources_.open(options.sources, std::ios::binary);
    if (!sources_.is_open()) {
      status_ = absl::NotFoundError(
          absl::StrCat("--sources: cannot read '", options.sources, "'"));
    }
  }

  // Fills the next request. Returns false at the end or after an error.
  bool Next(lm::v1::ScoreRequest* request) {
    request->set_model(model_);
    request->set_per_word(options_.per_word);
    request->set_no_end(options_.no_end);
    if (!options_.source.empty()) {
      request->add_sources()->set_text(options_.source);
    }
    std::string text;
    while (status_.ok() && request->texts_size() < kTextsPerMessage &&
           texts_.Next(&text) && AddSource(request)) {
      request->add_texts()->set_text(text);
      const std::lock_guard<std::mutex> lock(mutex_);
      waiting_.push_back(text);
    }
    return request->texts_size() > 0;
  }

  // Returns the first text that waits for its score, and removes it.
  std::string TakeText() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::string text = std::move(waiting_.front());
    waiting_.pop_front();
    return text;
  }

  uint64_t blank() const { return texts_.blank(); }

  // Returns an error if the lines of --sources do not match the texts, or could
  // not be read.
  absl::Status CheckSources() {
    std::string more;
    if (status_.ok() && sources_.is_open() && std::getline(sources_, more)) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat("--sources: expected one line for each text, ",
                       texts_.number(), ", found more"));
    }
    return status_;
  }

 private:
  // Adds the line of --sources with the number of the last text. Returns false
  // if there is none.
  bool AddSource(lm::v1::ScoreRequest* request) {
    if (options_.sources.empty()) return true;
    std::string source;
    for (; sources_read_ < texts_.number(); ++sources_read_) {
      if (std::getline(sources_, source)) continue;
      status_ = absl::InvalidArgumentError(absl::StrCat(
          "--sources: expected one line for each text, found ", sources_read_));
      return false;
    }
    request->add_sources()->set_text(source);
    return true;
  }

  const std::string model_;
  const ScoreOptions& options_;
  TextSource texts_;
  std::ifstream sources_;
  uint64_t sources_read_ = 0;
  absl::Status status_;
  std::mutex mutex_;
  std::deque<std::string> waiting_;  // guarded by mutex_
};

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
    nlohmann::ordered_json words = nlohmann::ordered_json::array();
    for (int i = 0; i < score.words().words_size(); ++i) {
      words.push_back({{"word", score.words().words(i)},
                       {"log_prob", JsonNumber(score.words().log_probs(i))},
                       {"unknown", score.words().unknown(i)}});
    }
    json["scored"] = words;
  }
  std::cout << json.dump() << "\n";
}

void PrintHeader() {
  std::cout << absl::StreamFormat("%12s  %5s  %7s  %12s  %s\n", "ln P", "words",
                                  "unknown", "perplexity", "text");
}

void PrintLine(double log_prob, uint64_t words, uint64_t unknown,
               absl::string_view text) {
  std::cout << absl::StreamFormat("%12.4f  %5d  %7d  %12.4f  %s\n", log_prob,
                                  words, unknown, std::exp(-log_prob / words),
                                  text);
}

void PrintWords(const lm::v1::WordScores& words) {
  for (int i = 0; i < words.words_size(); ++i) {
    std::cout << absl::StreamFormat("%12.4f  %s%s\n", words.log_probs(i),
                                    words.words(i),
                                    words.unknown(i) ? "  (unknown)" : "");
  }
}

absl::StatusOr<bool> RunScore(const ScoreOptions& options,
                              const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  Sender sender(*model, options);
  double log_prob = 0;
  uint64_t texts = 0, words = 0, unknown = 0;
  const auto receive = [&](const lm::v1::ScoreResponse& response) {
    for (const lm::v1::TextScore& score : response.scores()) {
      const std::string text = sender.TakeText();
      log_prob += score.log_prob();
      words += score.word_count();
      unknown += score.unknown_count();
      if (common.json) {
        PrintJson(text, score);
        continue;
      }
      if (texts++ == 0) PrintHeader();
      PrintLine(score.log_prob(), score.word_count(), score.unknown_count(),
                text);
      if (score.has_words()) PrintWords(score.words());
    }
    return static_cast<bool>(std::cout.flush());
  };
  absl::Status status = client.ScoreStream(
      [&](lm::v1::ScoreRequest* request) { return sender.Next(request); },
      receive);
  if (status.ok()) status = sender.CheckSources();
  if (!status.ok()) return status;
  if (!common.json && texts > 1) {
    PrintLine(log_prob, words, unknown, absl::StrCat("all ", texts, " texts"));
  }
  if (sender.blank() > 0) {
    std::cerr << "lm_client: blank texts skipped: " << sender.blank() << "\n";
  }
  return true;
}

}  // namespace

void AddScoreCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<ScoreOptions>();
  cli::App& command =
      *app.add_subcommand("score",
                          "Print the log-probability of each text under a "
                          "model.\n"
                          "  lm_client score --model en 'the cat is small'\n"
                          "  lm_client score --model en --json < corpus.txt");
  command.add_option("text", options->texts,
                     "Texts to score [the lines of standard input]");
  command.add_option("--model", options->model, kModelHelp);
  command.add_flag("--per-word", options->per_word,
                   "Print the score of each word, too");
  cli::Option* source =
      command.add_option("--source", options->source,
                         "The source text that all texts translate; only for "
                         "translation models");
  command
      .add_option("--sources", options->sources,
                  "File with the source text of each text, one per line; "
                  "only for translation models")
      ->excludes(source);
  command.add_flag("--no-end", options->no_end,
                   "Do not score the end of the sentence, </s>, because the "
                   "texts are unfinished");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunScore(*options, common);
    };
  });
}

}  // namespace lmserve
