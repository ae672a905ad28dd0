// SPDX-License-Identifier: Apache-2.0
//
// lm_client generate: prints a generated text word by word.

#include <iostream>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/command.h"
#include "client/output.h"
#include "client/text_source.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

struct GenerateCommandOptions {
  std::vector<std::string> prompt;
  lm::v1::GenerateRequest request;
};

// Returns the reason in lower case, such as "max_words".
std::string ReasonName(const lm::v1::GenerationEnd& end) {
  const std::string name = lm::v1::GenerationEnd::Reason_Name(end.reason());
  return absl::AsciiStrToLower(absl::StripPrefix(name, "REASON_"));
}

void PrintJson(const lm::v1::GenerateResponse& message) {
  nlohmann::ordered_json json;
  if (message.has_end()) {
    json = {{"end", ReasonName(message.end())},
            {"words", message.end().word_count()},
            {"log_prob", JsonNumber(message.end().log_prob())},
            {"seed", message.end().seed()}};
  } else {
    json = {{"word", message.word().word()},
            {"id", message.word().id()},
            {"log_prob", JsonNumber(message.word().log_prob())}};
  }
  std::cout << DumpJson(json) << "\n";
}

void PrintText(const lm::v1::GenerateResponse& message, bool* first) {
  if (message.has_end()) {
    std::cout << "\n";
    std::cerr << absl::StreamFormat(
        "(%s after %d words, ln P %.4f, seed %d)\n", ReasonName(message.end()),
        message.end().word_count(), message.end().log_prob(),
        message.end().seed());
  } else {
    std::cout << (*first ? "" : " ") << ForPeople(message.word().word());
    *first = false;
  }
}

absl::StatusOr<bool> RunGenerate(const GenerateCommandOptions& options,
                                 const CommonOptions& common) {
  const Client client(common.client);
  lm::v1::GenerateRequest request = options.request;
  const absl::StatusOr<std::string> model =
      ChooseModel(client, request.model());
  if (!model.ok()) return model.status();
  request.set_model(*model);
  const std::string prompt = absl::StrJoin(options.prompt, " ");
  request.mutable_prompt()->set_text(std::string(WithoutBeginMarker(prompt)));
  if (!common.json) std::cout << prompt;
  bool first = prompt.empty();
  absl::Status status =
      client.Generate(request, [&](const lm::v1::GenerateResponse& message) {
        common.json ? PrintJson(message) : PrintText(message, &first);
        return static_cast<bool>(std::cout.flush());
      });
  if (!status.ok()) return status;
  return true;
}

// Returns what is wrong with a seed, or "" if nothing is. CLI11 itself would
// accept -1 as 2^64 - 1.
std::string CheckSeed(const std::string& text) {
  uint64_t seed;
  if (absl::SimpleAtoi(text, &seed)) return "";
  return absl::StrCat("expected a number from 0 to 2^64 - 1, found '", text,
                      "'");
}

// Adds an option for an optional field of the request.
template <typename Value>
cli::Option* AddField(cli::App& command, const std::string& name,
                      const std::shared_ptr<GenerateCommandOptions>& options,
                      void (lm::v1::GenerateRequest::*set)(Value),
                      const std::string& what) {
  return command.add_option_function<Value>(
      name, [=](const Value& value) { (options->request.*set)(value); }, what);
}

}  // namespace

void AddGenerateCommand(cli::App& app, CommandFunction* run) {
  using Request = lm::v1::GenerateRequest;
  auto options = std::make_shared<GenerateCommandOptions>();
  cli::App& command = *app.add_subcommand(
      "generate",
      "Generate a text that continues a prompt, and print it word by word.\n"
      "  lm_client generate --model en --seed 7 'the cat'\n"
      "  lm_client generate --model en --temperature 0.8 --top-k 50");
  command.add_option("prompt", options->prompt,
                     "The beginning of the text [a new sentence]");
  command.add_option_function<std::string>(
      "--model",
      [=](const std::string& model) { options->request.set_model(model); },
      kModelHelp);
  AddField(command, "--max-words", options, &Request::set_max_words,
           "Maximum number of words [100]");
  AddField(command, "--temperature", options, &Request::set_temperature,
           "Temperature of the sampling: above 1 makes rare words more likely, "
           "below 1 less likely; 0 always takes the most probable word [1]");
  AddField(command, "--top-k", options, &Request::set_top_k,
           "Sample from the k most probable words only [all]");
  AddField(command, "--top-p", options, &Request::set_top_p,
           "Sample from the fewest words with at least this total probability "
           "only [1]");
  AddField(command, "--repetition-penalty", options,
           &Request::set_repetition_penalty,
           "Divide the odds of words that the text already has by this number "
           "[1]");
  AddField(command, "--seed", options, &Request::set_seed,
           "Seed of the sampling: the same seed gives the same text [random]")
      ->check(CheckSeed);
  command
      .add_option_function<std::vector<std::string>>(
          "--stop",
          [=](const std::vector<std::string>& words) {
            for (const std::string& word : words) {
              options->request.add_stop_words(word);
            }
          },
          "Stop before this word; may be repeated")
      ->allow_extra_args(false);
  command.add_flag_callback(
      "--allow-unknown", [=] { options->request.set_allow_unknown(true); },
      "Allow the unknown word, <unk>, in the text");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunGenerate(*options, common);
    };
  });
}

}  // namespace lmserve
