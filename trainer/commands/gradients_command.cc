// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer gradients: measures how far the gradients of recurrent networks
// reach back in a text.

#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/load_version.h"
#include "model_store/loaded_version.h"
#include "models/model_factory.h"
#include "text_io/output_file.h"
#include "trainer/charts/gradient_chart.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/member_version.h"
#include "trainer/neural/load_network.h"
#include "trainer/neural/state_gradients.h"
#include "trainer/text/sentences.h"

namespace lmserve {
namespace {

struct GradientsOptions {
  std::string store;
  std::vector<std::string> models;
  std::string corpus;
  TextRules rules;
  StateGradientOptions measure;
  std::string chart;  // file; empty: none
  bool json = false;
};

// What was measured of one model.
struct ModelGradients {
  std::string name;
  StateGradientResult result;
};

absl::StatusOr<ModelGradients> Measure(const GradientsOptions& options,
                                       const std::string& spec) {
  const absl::StatusOr<ModelHandle> handle =
      LoadModelVersion(options.store, spec);
  if (!handle.ok()) return handle.status();
  const LoadedVersion& loaded = **handle;
  const std::string name = FullName(loaded);
  if (loaded.manifest().family() != kRecurrentFamily) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", name, ": expected the family ", kRecurrentFamily,
                     ", found ", loaded.manifest().family()));
  }
  const Vocabulary& vocabulary = loaded.model().vocabulary();
  TextRules rules = options.rules;
  rules.form = TextForm::kStream;
  const absl::StatusOr<std::vector<WordId>> words =
      ReadTextFile(options.corpus, vocabulary, rules);
  if (!words.ok()) return words.status();
  const absl::StatusOr<LoadedNetwork> network = LoadRecurrentNetwork(
      vocabulary, loaded.files().find(kWeightsFile)->second);
  if (!network.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", name, ": ", network.status().message()));
  }
  return ModelGradients{
      name, MeasureStateGradients(*network, *words, vocabulary.begin_sentence(),
                                  vocabulary.end_sentence(), options.measure)};
}

// The bound of the gradients of a model with such a factor, from the gradient
// at distance 0.
double Bound(const ModelGradients& model, size_t distance) {
  return std::pow(model.result.factor, distance) *
         model.result.curves[0].mean[0];
}

// Describes the state of a curve, such as "lstm@1 c" or "gru@1 h 2" for its
// second layer.
std::string Label(const ModelGradients& model, const GradientCurve& curve) {
  const size_t layers =
      1 + std::max_element(
              model.result.curves.begin(), model.result.curves.end(),
              [](const auto& a, const auto& b) { return a.layer < b.layer; })
              ->layer;
  return absl::StrCat(
      model.name, curve.is_cell_state ? " c" : " h",
      layers == 1 ? std::string() : absl::StrCat(" ", curve.layer + 1));
}

// Returns all curves, each bound after the curve of its model.
std::vector<GradientLine> Lines(absl::Span<const ModelGradients> models) {
  std::vector<GradientLine> lines;
  for (const ModelGradients& model : models) {
    for (const GradientCurve& curve : model.result.curves) {
      lines.push_back({Label(model, curve), curve.mean});
    }
    if (model.result.factor == 0) continue;
    GradientLine& bound = lines.emplace_back();
    bound.label = absl::StrCat(model.name, " bound");
    bound.is_bound = true;
    for (size_t d = 0; d < model.result.curves[0].mean.size(); ++d) {
      bound.norms.push_back(Bound(model, d));
    }
  }
  return lines;
}

// The distances of the table: 0, 1, 2, 5, 10, 20, 50, ... and the largest.
std::vector<size_t> RowDistances(size_t largest) {
  std::vector<size_t> distances = {0};
  for (size_t ten = 1; ten <= largest; ten *= 10) {
    for (size_t digit : {1, 2, 5}) {
      if (digit * ten <= largest) distances.push_back(digit * ten);
    }
  }
  if (distances.back() != largest) distances.push_back(largest);
  return distances;
}

// A row for each state of each model, a column for each distance.
void PrintTable(absl::Span<const GradientLine> lines, size_t largest) {
  size_t width = 8;
  for (const GradientLine& line : lines) {
    width = std::max(width, line.label.size());
  }
  const std::vector<size_t> distances = RowDistances(largest);
  std::cout << absl::StreamFormat("%-*s", static_cast<int>(width), "distance");
  for (size_t d : distances) std::cout << absl::StreamFormat(" %9d", d);
  std::cout << "\n";
  for (const GradientLine& line : lines) {
    std::cout << absl::StreamFormat("%-*s", static_cast<int>(width),
                                    line.label);
    for (size_t d : distances) {
      std::cout << absl::StreamFormat(" %9.3g", line.norms[d]);
    }
    std::cout << "\n";
  }
}

// One line for each model.
void PrintJson(absl::Span<const ModelGradients> models) {
  for (const ModelGradients& model : models) {
    nlohmann::ordered_json json = {{"model", model.name},
                                   {"places", model.result.places}};
    if (model.result.factor > 0) json["bound_factor"] = model.result.factor;
    for (const GradientCurve& curve : model.result.curves) {
      json["states"].push_back({{"state", curve.is_cell_state ? "c" : "h"},
                                {"layer", curve.layer},
                                {"mean", curve.mean},
                                {"largest", curve.largest}});
    }
    std::cout << json.dump() << "\n";
  }
}

absl::Status WriteChart(const GradientsOptions& options,
                        absl::Span<const ModelGradients> models,
                        absl::Span<const GradientLine> lines) {
  absl::StatusOr<std::unique_ptr<OutputFile>> file =
      OutputFile::Open(options.chart);
  if (!file.ok()) return file.status();
  (*file)->stream() << DrawGradientChart(
      "How far gradients reach back",
      absl::StrCat("means over ", models[0].result.places, " places"), lines);
  return (*file)->Close();
}

absl::Status RunGradients(const GradientsOptions& options) {
  std::vector<ModelGradients> models;
  for (const std::string& spec : options.models) {
    absl::StatusOr<ModelGradients> measured = Measure(options, spec);
    if (!measured.ok()) return measured.status();
    models.push_back(*std::move(measured));
  }
  const std::vector<GradientLine> lines = Lines(models);
  if (!options.chart.empty()) {
    absl::Status status = WriteChart(options, models, lines);
    if (!status.ok()) return status;
  }
  if (options.json) {
    PrintJson(models);
  } else {
    PrintTable(lines, options.measure.distance);
  }
  return absl::OkStatus();
}

}  // namespace

void AddGradientsCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<GradientsOptions>();
  cli::App& command = *app.add_subcommand(
      "gradients",
      "Measure how far the gradients of recurrent networks reach back: the "
      "mean norm of the gradient of the loss of a word by the state of the "
      "network some words before.\n"
      "  lm_trainer gradients --models rnn,gru,lstm --corpus valid.xz "
      "--store store --chart gradients.svg");
  command
      .add_option("--models,--model", options->models,
                  "Recurrent networks, separated by commas, each NAME, "
                  "NAME@VERSION or NAME@ALIAS; the option may be repeated")
      ->delimiter(',')
      ->required();
  AddCorpusOptions(command, "Text that the networks read as one stream",
                   &options->corpus, &options->rules);
  command
      .add_option("--distance", options->measure.distance,
                  "The largest number of words between the state and the word")
      ->check(cli::Range(1, 10'000))
      ->capture_default_str();
  command
      .add_option("--places", options->measure.places,
                  "The number of words whose loss is differentiated")
      ->check(cli::Range(1, 10'000'000))
      ->capture_default_str();
  command.add_option("--chart", options->chart,
                     "SVG file with the curves over the distance");
  command.add_flag("--json", options->json,
                   "Print one JSON object per model, with all distances");
  command.add_option("--store", options->store, "Directory of the model store")
      ->required();
  command.callback([=] { *action = [=] { return RunGradients(*options); }; });
}

}  // namespace lmserve
