// lm_client predict: what comes next.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/str_format.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> contexts;
  std::vector<std::string> suffixes;  // none, or one a context
  uint32_t k = 10;
  std::vector<std::string> words;
  bool exclude_unknown = false;
};

// Where the words are to be: after a context or, with a suffix, between the
// two.
struct Place {
  std::string context;
  std::optional<std::string> suffix;
};

std::vector<Place> ReadPlaces(const Options& options) {
  std::vector<Place> places;
  // An empty argument is the start of a sentence, a blank line is none.
  for (const std::string& context : options.contexts) {
    places.push_back({context, std::nullopt});
  }
  if (places.empty()) {
    TextSource source({});
    for (std::string text; source.Next(&text);) {
      places.push_back({text, std::nullopt});
    }
  }
  const size_t count = std::min(places.size(), options.suffixes.size());
  for (size_t i = 0; i < count; ++i) places[i].suffix = options.suffixes[i];
  return places;
}

void Print(const Place& place, const lm::v1::NextWords& next) {
  if (place.suffix.has_value()) {
    std::cout << absl::StreamFormat("in: <s> %s ___ %s </s>\n", place.context,
                                    *place.suffix);
  } else {
    std::cout << "after: <s> " << place.context << "\n";
  }
  for (int i = 0; i < next.words_size(); ++i) {
    std::cout << absl::StreamFormat("%10.4f  %7.3f %%  %s\n", next.log_probs(i),
                                    100 * std::exp(next.log_probs(i)),
                                    next.words(i));
  }
}

void PrintJson(const Place& place, const lm::v1::NextWords& next) {
  nlohmann::ordered_json words = nlohmann::ordered_json::array();
  for (int i = 0; i < next.words_size(); ++i) {
    words.push_back({{"word", next.words(i)},
                     {"id", next.ids(i)},
                     {"log_prob", JsonNumber(next.log_probs(i))}});
  }
  nlohmann::ordered_json json = {{"context", place.context}};
  if (place.suffix.has_value()) json["suffix"] = *place.suffix;
  json["next"] = words;
  std::cout << json.dump() << "\n";
}

absl::StatusOr<bool> Run(const Options& options, const CommonOptions& common) {
  const Client client(common.client);
  const absl::StatusOr<std::string> model = ChooseModel(client, options.model);
  if (!model.ok()) return model.status();
  lm::v1::PredictRequest request;
  request.set_model(*model);
  request.set_k(options.k);
  request.set_exclude_unknown(options.exclude_unknown);
  for (const std::string& word : options.words) request.add_words(word);
  const std::vector<Place> places = ReadPlaces(options);
  for (const Place& place : places) {
    request.add_contexts()->set_text(place.context);
  }
  for (const std::string& suffix : options.suffixes) {
    request.add_suffixes()->set_text(suffix);
  }
  const auto response = client.Predict(request);
  if (!response.ok()) return response.status();
  for (size_t i = 0; i < places.size(); ++i) {
    common.json ? PrintJson(places[i], response->predictions(i))
                : Print(places[i], response->predictions(i));
  }
  return true;
}

}  // namespace

void AddPredictCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "predict",
      "Tell the likeliest next words, or how likely given ones are.\n"
      "  lm_client predict --model en -k 5 'the cat is' ''\n"
      "  lm_client predict --model en --words small,big 'the cat is'\n"
      "  lm_client predict --model both --suffix 'is small .' 'the'");
  command.add_option("context", options->contexts,
                     "Contexts, '' for the start of a sentence; none: the "
                     "lines of the standard input");
  command.add_option("--model", options->model,
                     "NAME, NAME@VERSION or NAME@ALIAS; not needed where the "
                     "server has one model");
  command
      .add_option("--suffix", options->suffixes,
                  "The words after the gap, of a bidirectional model; once for "
                  "each context")
      ->allow_extra_args(false);
  command.add_option("-k", options->k, "How many next words")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command
      .add_option("--words", options->words,
                  "Rate these words instead, parted by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_flag("--exclude-unknown", options->exclude_unknown,
                   "Leave out <unk>");
  command.callback([=] {
    *work = [=](const CommonOptions& common) { return Run(*options, common); };
  });
}

}  // namespace lmserve
