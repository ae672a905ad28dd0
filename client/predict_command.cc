// SPDX-License-Identifier: Apache-2.0
//
// lm_client predict: prints the most probable next words of contexts.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/command.h"
#include "client/output.h"
#include "client/text_source.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

struct PredictOptions {
  std::string model;
  std::vector<std::string> contexts;
  std::vector<std::string> suffixes;  // empty, or one for each context
  uint32_t k = 10;
  std::vector<std::string> words;
  bool exclude_unknown = false;
  std::string prefix;
};

// Where to predict a word: after a context or, if there is a suffix, between
// the two.
struct Position {
  std::string context;
  std::optional<std::string> suffix;
  std::string name = {};  // for messages: "line 2"

  bool IsValid() const {
    return FindInvalidUtf8(context) == std::string::npos &&
           FindInvalidUtf8(suffix.value_or("")) == std::string::npos;
  }
};

absl::StatusOr<std::vector<Position>> ReadPositions(
    const PredictOptions& options) {
  std::vector<Position> positions;
  // An empty argument or a blank line is the start of a sentence.
  for (const std::string& context : options.contexts) {
    positions.push_back(
        {context, std::nullopt, absl::StrCat("text ", positions.size() + 1)});
  }
  if (positions.empty()) {
    TextSource source(std::vector<std::string>{});
    for (std::string text; source.Next(&text);) {
      positions.push_back({text, std::nullopt, source.Name(source.number())});
    }
    if (!source.status().ok()) return source.status();
  }
  const size_t count = std::min(positions.size(), options.suffixes.size());
  for (size_t i = 0; i < count; ++i) positions[i].suffix = options.suffixes[i];
  return positions;
}

void Print(const Position& position, const lm::v1::NextWords& next) {
  if (position.suffix.has_value()) {
    std::cout << absl::StreamFormat("in: <s> %s ___ %s </s>\n",
                                    position.context, *position.suffix);
  } else {
    std::cout << "after: <s> " << position.context << "\n";
  }
  for (int i = 0; i < next.words_size(); ++i) {
    std::cout << absl::StreamFormat("%10.4f  %7.3f %%  %s\n", next.log_probs(i),
                                    100 * std::exp(next.log_probs(i)),
                                    ForPeople(next.words(i)));
  }
}

void PrintJson(const Position& position, const lm::v1::NextWords& next) {
  nlohmann::ordered_json words = nlohmann::ordered_json::array();
  for (int i = 0; i < next.words_size(); ++i) {
    words.push_back({{"word", next.words(i)},
                     {"id", next.ids(i)},
                     {"log_prob", JsonNumber(next.log_probs(i))}});
  }
  nlohmann::ordered_json json = {{"context", position.context}};
  if (position.suffix.has_value()) json["suffix"] = *position.suffix;
  json["next"] = words;
  std::cout << DumpJson(json) << "\n";
}

// Prints that nothing is predicted at a position.
void PrintProblem(const Position& position, bool as_json) {
  constexpr char kProblem[] = "invalid UTF-8";
  if (as_json) {
    const nlohmann::ordered_json json = {{"context", position.context},
                                         {"error", kProblem}};
    std::cout << DumpJson(json) << "\n";
  } else {
    std::cout << position.name << ": " << kProblem << "\n";
  }
}

// Returns an error of the server with the name of the text that it is about
// instead of its place in the request.
absl::Status WithName(const absl::Status& status,
                      absl::Span<const Position* const> sent) {
  absl::string_view message = status.message();
  if (!absl::ConsumePrefix(&message, "contexts[")) return status;
  const size_t end = message.find("]");
  size_t i = 0;
  if (end == absl::string_view::npos ||
      !absl::SimpleAtoi(message.substr(0, end), &i) || i >= sent.size()) {
    return status;
  }
  message.remove_prefix(end + 1);
  absl::ConsumePrefix(&message, ".text");
  absl::ConsumePrefix(&message, ": ");
  return absl::Status(status.code(),
                      absl::StrCat(sent[i]->name, ": ", message));
}

absl::StatusOr<bool> RunPredict(const PredictOptions& options,
                                const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  lm::v1::PredictRequest request;
  request.set_model(*model);
  request.set_k(options.k);
  request.set_exclude_unknown(options.exclude_unknown);
  request.set_prefix(options.prefix);
  for (const std::string& word : options.words) request.add_words(word);
  const absl::StatusOr<std::vector<Position>> read = ReadPositions(options);
  if (!read.ok()) return read.status();
  const std::vector<Position>& positions = *read;
  std::vector<const Position*> sent;
  for (const Position& position : positions) {
    if (!position.IsValid()) continue;
    sent.push_back(&position);
    request.add_contexts()->set_text(
        std::string(WithoutSentenceMarkers(position.context)));
    if (position.suffix) {
      request.add_suffixes()->set_text(
          std::string(WithoutSentenceMarkers(*position.suffix)));
    }
  }
  // Without texts that can be sent, the request shows whether the rest is
  // right.
  const bool is_empty = sent.empty() && !positions.empty();
  if (is_empty) request.add_contexts()->set_text("");
  for (size_t i = positions.size(); i < options.suffixes.size(); ++i) {
    request.add_suffixes()->set_text(options.suffixes[i]);
  }
  const auto response = client.Predict(request);
  if (!response.ok()) return WithName(response.status(), sent);
  int next = 0;
  for (const Position& position : positions) {
    if (!position.IsValid()) {
      PrintProblem(position, common.json);
    } else if (common.json) {
      PrintJson(position, response->predictions(next++));
    } else {
      Print(position, response->predictions(next++));
    }
  }
  return !is_empty;
}

}  // namespace

void AddPredictCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<PredictOptions>();
  cli::App& command = *app.add_subcommand(
      "predict",
      "Print the most probable next words, or the probabilities of given "
      "ones.\n"
      "  lm_client predict --model en -k 5 'the cat is' ''\n"
      "  lm_client predict --model en --words small,big 'the cat is'\n"
      "  lm_client predict --model en --prefix sm 'the cat is'\n"
      "  lm_client predict --model both --suffix 'is small .' 'the'");
  command.add_option("context", options->contexts,
                     "The words before the predicted one; '' for the start "
                     "of a sentence [the lines of standard input; a blank line "
                     "is the start, too]");
  command.add_option("--model", options->model, kModelHelp);
  command
      .add_option("--suffix", options->suffixes,
                  "The words after the predicted one, once for each context; "
                  "only for bidirectional models")
      ->allow_extra_args(false);
  command
      .add_option("-k", options->k,
                  "Number of words to print; fewer if fewer are possible")
      ->check(cli::Range(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--words", options->words,
                  "Print the probabilities of these words instead, separated "
                  "by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--prefix", options->prefix,
                     "Print only words that begin with these letters");
  command.add_flag("--exclude-unknown", options->exclude_unknown,
                   "Leave out the unknown word, <unk>");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunPredict(*options, common);
    };
  });
}

}  // namespace lmserve
