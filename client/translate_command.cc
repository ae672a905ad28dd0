// lm_client translate: translations of sentences, or lists of them.

#include <deque>
#include <future>
#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct Options {
  std::vector<std::string> texts;
  std::string model;
  uint32_t beam = 5;
  uint32_t nbest = 0;
  double length_alpha = 1;
  double coverage_beta = 0;
  uint32_t max_words = 0;
  size_t at_once = 16;
};

using Hypotheses = absl::StatusOr<std::vector<lm::v1::Hypothesis>>;

// A sentence that the server was asked about. A blank one has no translation.
struct Sentence {
  std::string source;
  std::future<Hypotheses> hypotheses;
};

Hypotheses Translate(const Client& client, const Options& options,
                     const std::string& model, const std::string& source) {
  if (absl::StripAsciiWhitespace(source).empty()) {
    return std::vector<lm::v1::Hypothesis>();
  }
  lm::v1::GenerateRequest request;
  request.set_model(model);
  request.mutable_source()->set_text(source);
  request.set_max_words(options.max_words);
  request.mutable_beam_search()->set_size(
      std::max(options.beam, options.nbest));
  request.mutable_beam_search()->set_best(options.nbest);
  request.mutable_beam_search()->set_length_alpha(options.length_alpha);
  request.mutable_beam_search()->set_coverage_beta(options.coverage_beta);
  std::vector<lm::v1::Hypothesis> hypotheses;
  absl::Status status =
      client.Generate(request, [&](const lm::v1::GenerateResponse& message) {
        hypotheses.insert(hypotheses.end(), message.hypotheses().begin(),
                          message.hypotheses().end());
        return true;
      });
  if (!status.ok()) return status;
  return hypotheses;
}

// As Moses writes n-best lists, whose ids count the sources from 0.
void PrintList(const std::string& model, uint64_t id,
               absl::Span<const lm::v1::Hypothesis> hypotheses) {
  for (const lm::v1::Hypothesis& hypothesis : hypotheses) {
    std::cout << absl::StreamFormat(
        "%d ||| %s ||| %s= %.6f %s.words= %d ||| %.6f\n", id,
        absl::StrJoin(hypothesis.words(), " "), model, hypothesis.log_prob(),
        model, hypothesis.log_probs_size(), hypothesis.score());
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
  std::cout << json.dump() << "\n";
}

// Every sentence of the command line or line of the standard input; blank ones
// too, whose translations are blank.
class Sources {
 public:
  explicit Sources(const std::vector<std::string>& arguments)
      : arguments_(arguments) {}

  bool Next(std::string* source) {
    if (arguments_.empty()) {
      return static_cast<bool>(std::getline(std::cin, *source));
    }
    if (next_ == arguments_.size()) return false;
    *source = arguments_[next_++];
    return true;
  }

 private:
  const std::vector<std::string>& arguments_;
  size_t next_ = 0;
};

absl::StatusOr<bool> Run(const Options& options, const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  Sources sources(options.texts);
  std::deque<Sentence> asked;
  uint64_t printed = 0;
  const auto print_first = [&]() -> absl::Status {
    Sentence sentence = std::move(asked.front());
    asked.pop_front();
    const Hypotheses hypotheses = sentence.hypotheses.get();
    if (!hypotheses.ok()) {
      return absl::Status(hypotheses.status().code(),
                          absl::StrCat("line ", printed + 1, ": ",
                                       hypotheses.status().message()));
    }
    if (common.json) {
      PrintJson(sentence.source, *hypotheses);
    } else if (options.nbest > 0) {
      PrintList(*model, printed, *hypotheses);
    } else {
      std::cout << (hypotheses->empty()
                        ? ""
                        : absl::StrJoin((*hypotheses)[0].words(), " "))
                << "\n";
    }
    ++printed;
    return absl::OkStatus();
  };
  for (std::string source; sources.Next(&source);) {
    if (asked.size() == options.at_once) {
      absl::Status status = print_first();
      if (!status.ok()) return status;
    }
    asked.push_back({source, std::async(std::launch::async, [&, source] {
                       return Translate(client, options, *model, source);
                     })});
  }
  while (!asked.empty()) {
    absl::Status status = print_first();
    if (!status.ok()) return status;
  }
  std::cout.flush();
  return true;
}

}  // namespace

void AddTranslateCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "translate",
      "Translate sentences by a translation model and beam search.\n"
      "  lm_client translate --model de-en 'ein hund läuft'\n"
      "  lm_client translate --model de-en < test.de > test.en\n"
      "  lm_client translate --model de-en --nbest 50 < test.de > test.nbest");
  command.add_option("text", options->texts,
                     "Sentences; none: the lines of the standard input");
  command.add_option("--model", options->model,
                     "NAME, NAME@VERSION or NAME@ALIAS; not needed where the "
                     "server has one model");
  command.add_option("--beam", options->beam, "Hypotheses that are followed")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--nbest", options->nbest,
                  "Print so many translations of each, as an n-best list; the "
                  "beam is as wide, at least")
      ->check(CLI::Range(1, 1'000'000));
  command
      .add_option("--length-alpha", options->length_alpha,
                  "Rank by ln P / words^alpha; 0: by ln P")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--coverage-beta", options->coverage_beta,
                  "Rank, of a model with attention, by so many times the "
                  "coverage of the source as well")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--max-words", options->max_words,
                     "Cut off after so many words [100]");
  command
      .add_option("--at-once", options->at_once,
                  "Sentences that are asked about at a time")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  command.callback([=] {
    *work = [=](const CommonOptions& common) { return Run(*options, common); };
  });
}

}  // namespace lmserve
