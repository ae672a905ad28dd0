// SPDX-License-Identifier: Apache-2.0
//
// lm_client predict: prints the most probable next words of contexts.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/ask_about_texts.h"
#include "client/command.h"
#include "client/output.h"
#include "client/text_source.h"
#include "models/utf8.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

// How much is asked in one call: enough to make the cost of a call small, and
// so little that results appear soon.
constexpr size_t kContextsPerCall = 256;
constexpr size_t kAnsweredWordsPerCall = 50'000;

struct PredictOptions {
  std::string model;
  std::vector<std::string> contexts;
  std::vector<std::string> suffixes;  // empty, or one for each context
  uint32_t k = 10;
  std::vector<std::string> words;
  bool unknown = true;
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

// Reads positions from the arguments or, without arguments, the lines of
// standard input. An empty argument or a blank line is the start of a sentence.
class PositionReader {
 public:
  explicit PositionReader(const PredictOptions& options)
      : options_(options), source_(options.contexts) {}

  // Returns the next positions, at most `limit`; none at the end, and after an
  // error, which status() returns.
  std::vector<Position> Next(size_t limit) {
    std::vector<Position> positions;
    std::string context;
    while (positions.size() < limit && source_.Next(&context)) {
      Position position = {context, std::nullopt,
                           source_.Name(source_.number())};
      if (source_.number() <= options_.suffixes.size()) {
        position.suffix = options_.suffixes[source_.number() - 1];
      }
      positions.push_back(std::move(position));
    }
    return positions;
  }

  // An error of reading, or a suffix without a context.
  absl::Status CheckEnd() const {
    if (!source_.status().ok()) return source_.status();
    if (source_.number() >= options_.suffixes.size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("--suffix: expected one for each of ", source_.number(),
                     " contexts, found ", options_.suffixes.size()));
  }

 private:
  const PredictOptions& options_;
  TextSource source_;
};

void Print(const Position& position, const lm::v1::NextWords& next) {
  if (position.suffix.has_value()) {
    std::cout << absl::StreamFormat("in: <s> %s ___ %s </s>\n",
                                    WithoutBeginMarker(position.context),
                                    WithoutEndMarker(*position.suffix));
  } else {
    std::cout << "after: <s> " << WithoutBeginMarker(position.context) << "\n";
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

lm::v1::PredictRequest MakeRequest(const PredictOptions& options,
                                   const std::string& model) {
  lm::v1::PredictRequest request;
  request.set_model(model);
  request.set_k(options.k);
  request.set_include_unknown(options.unknown);
  request.set_prefix(options.prefix);
  for (const std::string& word : options.words) request.add_words(word);
  return request;
}

// Predicts at some positions in one call and prints the results. Returns
// whether any position could be sent.
absl::StatusOr<bool> PredictPart(const Client& client,
                                 lm::v1::PredictRequest request,
                                 absl::Span<const Position> positions,
                                 bool as_json) {
  std::vector<std::string> names;  // of what is sent
  for (const Position& position : positions) {
    if (!position.IsValid()) continue;
    names.push_back(position.name);
    request.add_contexts()->set_text(
        std::string(WithoutBeginMarker(position.context)));
    if (position.suffix) {
      request.add_suffixes()->set_text(
          std::string(WithoutEndMarker(*position.suffix)));
    }
  }
  // Without texts that can be sent, the request shows whether the rest is
  // right.
  const bool is_empty = names.empty();
  if (is_empty) request.add_contexts()->set_text("");
  const auto response = client.Predict(request);
  if (!response.ok()) {
    return WithTextName(response.status(), "contexts", names);
  }
  int next = 0;
  for (const Position& position : positions) {
    if (!position.IsValid()) {
      PrintProblem(position, as_json);
    } else if (as_json) {
      PrintJson(position, response->predictions(next++));
    } else {
      Print(position, response->predictions(next++));
    }
  }
  std::cout.flush();
  return !is_empty;
}

absl::StatusOr<bool> RunPredict(const PredictOptions& options,
                                const CommonOptions& common) {
  const Client client(common.client);
  NoteIfFile(options.contexts, "< FILE");
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  const lm::v1::PredictRequest request = MakeRequest(options, *model);
  // The default limit of the server is 100,000 predicted words a call.
  const size_t words = std::max<size_t>(options.k, options.words.size());
  const size_t limit =
      std::clamp<size_t>(kAnsweredWordsPerCall / words, 1, kContextsPerCall);
  PositionReader reader(options);
  bool has_result = false, has_position = false;
  while (true) {
    const std::vector<Position> positions = reader.Next(limit);
    if (positions.empty()) break;
    has_position = true;
    const absl::StatusOr<bool> predicted =
        PredictPart(client, request, positions, common.json);
    if (!predicted.ok()) return predicted.status();
    has_result = has_result || *predicted;
  }
  absl::Status status = reader.CheckEnd();
  if (!status.ok()) return status;
  return has_result || !has_position;
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
  command.add_flag_callback(
      "--no-unknown", [=] { options->unknown = false; },
      "Leave out the unknown word, <unk>");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunPredict(*options, common);
    };
  });
}

}  // namespace lmserve
