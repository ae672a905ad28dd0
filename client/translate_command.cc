// SPDX-License-Identifier: Apache-2.0
//
// lm_client translate: prints the translations of sentences, or n-best lists of
// translations.

#include <deque>
#include <future>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/command.h"
#include "client/output.h"
#include "client/text_source.h"
#include "models/utf8.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

struct TranslateOptions {
  std::vector<std::string> texts;
  std::string model;
  uint32_t beam = 5;
  uint32_t nbest = 0;
  double length_alpha = 1;
  double coverage_beta = 0;
  uint32_t max_words = 0;
  size_t at_once = 16;  // calls at the same time
  bool strict = false;
};

using Hypotheses = absl::StatusOr<std::vector<lm::v1::Hypothesis>>;

// A sentence and the result of its call.
struct Sentence {
  std::string source;
  std::future<Hypotheses> hypotheses;
};

// Whether an error is about a sentence, so that others may be translated.
bool IsAboutSentence(const absl::Status& status) {
  return (absl::IsInvalidArgument(status) ||
          absl::IsResourceExhausted(status)) &&
         absl::StartsWith(status.message(), "source");
}

// Returns an error if the model does not translate.
absl::Status CheckTranslates(const Client& client, const std::string& model) {
  lm::v1::GetModelRequest request;
  request.set_model(model);
  const auto response = client.GetModel(request);
  if (!response.ok()) return response.status();
  if (response->model().translation()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("--model: expected a translation model, found '", model,
                   "', which does not translate"));
}

// Returns the translations of a sentence, best first; none if it is blank.
Hypotheses Translate(const Client& client, const TranslateOptions& options,
                     const std::string& model, const std::string& source) {
  const absl::string_view words = WithoutSentenceMarkers(source);
  if (absl::StripAsciiWhitespace(words).empty()) {
    return std::vector<lm::v1::Hypothesis>();
  }
  if (FindInvalidUtf8(source) != std::string::npos) {
    return absl::InvalidArgumentError("source: invalid UTF-8");
  }
  lm::v1::GenerateRequest request;
  request.set_model(model);
  request.mutable_source()->set_text(std::string(words));
  request.set_max_words(options.max_words);
  request.mutable_beam_search()->set_size(
      std::max(options.beam, options.nbest));
  request.mutable_beam_search()->set_best(options.nbest);
  request.mutable_beam_search()->set_length_alpha(options.length_alpha);
  request.mutable_beam_search()->set_coverage_beta(options.coverage_beta);
  std::vector<lm::v1::Hypothesis> hypotheses;
  absl::Status status =
      client.Generate(request, [&](const lm::v1::GenerateResponse& message) {
        const auto& found = message.hypotheses().hypotheses();
        hypotheses.insert(hypotheses.end(), found.begin(), found.end());
        return true;
      });
  if (!status.ok()) return status;
  return hypotheses;
}

// Prints an n-best list in the format of Moses. `id` is the number of the
// source sentence, from 0.
void PrintList(const std::string& model, uint64_t id,
               absl::Span<const lm::v1::Hypothesis> hypotheses) {
  for (const lm::v1::Hypothesis& hypothesis : hypotheses) {
    std::cout << absl::StreamFormat(
        "%d ||| %s ||| %s= %.6f %s.words= %d ||| %.6f\n", id,
        ForPeople(absl::StrJoin(hypothesis.words(), " ")), model,
        hypothesis.log_prob(), model, hypothesis.log_probs_size(),
        hypothesis.score());
  }
}

void PrintJson(const std::string& source,
               absl::Span<const lm::v1::Hypothesis> hypotheses) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const lm::v1::Hypothesis& hypothesis : hypotheses) {
    list.push_back({{"text", absl::StrJoin(hypothesis.words(), " ")},
                    {"log_prob", JsonNumber(hypothesis.log_prob())},
                    {"score", JsonNumber(hypothesis.score())},
                    {"ended", hypothesis.ended()}});
  }
  const nlohmann::ordered_json json = {{"source", source},
                                       {"translations", list}};
  std::cout << DumpJson(json) << "\n";
}

void PrintText(absl::Span<const lm::v1::Hypothesis> hypotheses) {
  if (!hypotheses.empty()) {
    std::cout << ForPeople(absl::StrJoin(hypotheses[0].words(), " "));
  }
  std::cout << "\n";
}

// Prints the results in the order of the sentences.
class TranslationPrinter {
 public:
  TranslationPrinter(const std::string& model, const TranslateOptions& options,
                     const TextSource& sources, bool json)
      : model_(model), options_(options), sources_(sources), json_(json) {}

  // Waits for the result of the next sentence and prints it.
  absl::Status Print(Sentence sentence) {
    const std::string name = sources_.Name(++printed_);
    const Hypotheses hypotheses = sentence.hypotheses.get();
    if (hypotheses.ok()) {
      if (json_) {
        PrintJson(sentence.source, *hypotheses);
      } else if (options_.nbest > 0) {
        PrintList(model_, printed_ - 1, *hypotheses);
      } else {
        PrintText(*hypotheses);
      }
      return absl::OkStatus();
    }
    const absl::Status& status = hypotheses.status();
    const std::string problem = absl::StrCat(name, ": ", status.message());
    if (options_.strict || !IsAboutSentence(status)) {
      std::cout.flush();
      return absl::Status(status.code(), problem);
    }
    if (json_) {
      const nlohmann::ordered_json json = {
          {"source", sentence.source},
          {"error", std::string(status.message())}};
      std::cout << DumpJson(json) << "\n";
    } else {
      if (options_.nbest == 0) PrintText({});
      std::cerr << "lm_client: " << ForPeople(problem) << "\n";
    }
    if (failed_++ == 0) first_failed_ = name;
    return absl::OkStatus();
  }

  // Reports how many sentences have no translation. Returns false if none has.
  bool Finish() const {
    std::cout.flush();
    if (failed_ == 0) return true;
    std::cerr << "lm_client: sentences without a translation: " << failed_
              << ", the first: " << first_failed_ << "\n";
    return failed_ < printed_;
  }

 private:
  const std::string& model_;
  const TranslateOptions& options_;
  const TextSource& sources_;
  const bool json_;
  uint64_t printed_ = 0, failed_ = 0;
  std::string first_failed_;
};

absl::StatusOr<bool> RunTranslate(const TranslateOptions& options,
                                  const CommonOptions& common) {
  const Client client(common.client);
  NoteIfFile(options.texts, "< FILE");
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  absl::Status status = CheckTranslates(client, *model);
  if (!status.ok()) return status;
  // Blank sentences are kept, so that there is one translation for each.
  TextSource sources(options.texts);
  TranslationPrinter printer(*model, options, sources, common.json);
  std::deque<Sentence> pending;
  const auto print_first = [&] {
    Sentence sentence = std::move(pending.front());
    pending.pop_front();
    return printer.Print(std::move(sentence));
  };
  for (std::string source; sources.Next(&source);) {
    if (pending.size() == options.at_once) {
      status = print_first();
      if (!status.ok()) return status;
    }
    pending.push_back({source, std::async(std::launch::async, [&, source] {
                         return Translate(client, options, *model, source);
                       })});
  }
  while (!pending.empty()) {
    status = print_first();
    if (!status.ok()) return status;
  }
  const bool any = printer.Finish();
  if (!sources.status().ok()) return sources.status();
  return any;
}

}  // namespace

void AddTranslateCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<TranslateOptions>();
  cli::App& command = *app.add_subcommand(
      "translate",
      "Translate sentences with a translation model and beam search.\n"
      "  lm_client translate --model de-en 'ein hund läuft'\n"
      "  lm_client translate --model de-en < test.de > test.en\n"
      "  lm_client translate --model de-en --nbest 50 < test.de > test.nbest");
  command.add_option("text", options->texts,
                     "Sentences to translate [the lines of standard input]");
  command.add_option("--model", options->model, kModelHelp);
  command
      .add_option("--beam", options->beam,
                  "Beam size: hypotheses kept per step")
      ->check(cli::Range(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--nbest", options->nbest,
                  "Print this many translations of each sentence, as an n-best "
                  "list; widens the beam to at least this number")
      ->check(cli::Range(1, 1'000'000));
  command
      .add_option("--length-alpha", options->length_alpha,
                  "Rank translations by ln P / words^ALPHA; 0 ranks by ln P")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str();
  command
      .add_option("--coverage-beta", options->coverage_beta,
                  "Weight of the coverage of the source in the ranking; only "
                  "for models with attention")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str();
  command.add_option("--max-words", options->max_words,
                     "Maximum number of words of a translation [100]");
  command
      .add_option("--at-once", options->at_once,
                  "Sentences to send to the server at the same time")
      ->check(cli::Range(1, 1'000))
      ->capture_default_str();
  command.add_flag("--strict", options->strict,
                   "Stop at the first sentence that cannot be translated, such "
                   "as one that is not UTF-8, instead of printing an empty "
                   "line in its place and its error on the standard error");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunTranslate(*options, common);
    };
  });
}

}  // namespace lmserve
