// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/training_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/charts/chart_frame.h"
#include "trainer/charts/chart_panel.h"

namespace lmserve {
namespace {

using Records = absl::Span<const TrainingRecord>;
using Scale = ChartAxis::Scale;

// The size of the chart, in pixels.
constexpr int kWidth = 900, kHeight = 700;
constexpr double kLeft = 70, kPlotWidth = 614;
constexpr double kLegendLeft = 698, kLegendWidth = 188;
constexpr double kTop = 86;  // of the first plot
constexpr double kGap = 28;  // between plots, with the title
constexpr double kLossHeight = 120, kRateHeight = 74, kGradientHeight = 166;
constexpr size_t kMostTicks = 10;      // of the words axis
constexpr double kMarkDistance = 24;   // minimum between marks of epochs
constexpr double kLabelDistance = 34;  // minimum between their numbers
constexpr double kRowDistance = 17;    // between rows of labels
constexpr double kRoomAtEnd = 0.01;  // of the axis, as a fraction of the words

// The very large perplexities of the first steps and of diverged ones would
// leave no room for the others.
constexpr double kShownPerplexities = 0.9;

constexpr char kTrainColor[] = "#2b6cb0", kValidColor[] = "#d9480f",
               kRateColor[] = "#2f7d32", kMeanColor[] = "#111111",
               kLargestColor[] = "#b0b0b0";

// An epoch on the words axis: from the end of the previous epoch to its own
// last record.
struct Epoch {
  int number;
  double begin;
  double end;
};

std::vector<Epoch> EpochsOf(Records records) {
  std::vector<Epoch> epochs;
  for (const TrainingRecord& record : records) {
    const double words = record.words;
    if (epochs.empty() || epochs.back().number != record.epoch) {
      const double begin = epochs.empty() ? 0 : epochs.back().end;
      epochs.push_back({record.epoch, begin, words});
    }
    epochs.back().end = words;
  }
  return epochs;
}

// Returns the epochs with a round number that are at least `distance` pixels
// apart.
std::vector<Epoch> EpochsApart(double distance, absl::Span<const Epoch> epochs,
                               const ChartAxis& axis) {
  int64_t stride = 1;
  for (int64_t i = 0; kPlotWidth * stride / epochs.size() < distance; ++i) {
    stride = i % 3 == 1 ? stride / 2 * 5 : stride * 2;  // 1, 2, 5, 10, 20, 50
  }
  std::vector<Epoch> apart;
  double free = 0;
  for (const Epoch& epoch : epochs) {
    const double x = axis.Position(epoch.begin) * kPlotWidth;
    if (epoch.number % stride != 0 || x < free) continue;
    apart.push_back(epoch);
    free = x + distance;
  }
  return apart;
}

// Returns the line of a field of the records. Records without a value have no
// point.
template <typename Number>
ChartLine LineOf(Number TrainingRecord::*field, Records records,
                 std::string label, std::string color) {
  ChartLine line = {.label = std::move(label), .color = std::move(color)};
  for (const TrainingRecord& record : records) {
    const std::optional<double> y = record.*field;
    if (y.has_value()) line.points.push_back({double(record.words), *y});
  }
  return line;
}

ChartLine TrainLosses(Records records) {
  return LineOf(&TrainingRecord::train_loss, records, "train", kTrainColor);
}

ChartLine ValidLosses(Records records) {
  return LineOf(&TrainingRecord::valid_loss, records, "valid", kValidColor);
}

ChartLine Perplexities(ChartLine losses) {
  for (ChartPoint& point : losses.points) point.y = std::exp(point.y);
  return losses;
}

// Returns a ring at the lowest point of a line.
ChartLine BestOf(const ChartLine& line) {
  ChartLine best = {"best " + line.label, line.color, 1.5, /*ring=*/true, {}};
  for (const ChartPoint& point : line.points) {
    if (!std::isfinite(point.y)) continue;
    if (best.points.empty()) best.points.push_back(point);
    if (point.y < best.points[0].y) best.points[0] = point;
  }
  return best;
}

// Returns a panel of those lines that have points.
ChartPanel PanelOf(std::string title, Scale scale, double height,
                   std::vector<ChartLine> lines) {
  ChartPanel panel = {std::move(title), scale, height, 1, std::move(lines)};
  std::erase_if(panel.lines,
                [](const ChartLine& line) { return line.points.empty(); });
  return panel;
}

ChartPanel LossPanel(Records records) {
  return PanelOf("Loss, nats a word", Scale::kLinear, kLossHeight,
                 {TrainLosses(records), ValidLosses(records)});
}

ChartPanel PerplexityPanel(Records records) {
  const ChartLine valid = Perplexities(ValidLosses(records));
  ChartPanel panel =
      PanelOf("Perplexity", Scale::kLog, kLossHeight,
              {Perplexities(TrainLosses(records)), valid, BestOf(valid)});
  panel.shown = kShownPerplexities;
  return panel;
}

ChartPanel RatePanel(Records records) {
  return PanelOf("Learning rate", Scale::kLog, kRateHeight,
                 {LineOf(&TrainingRecord::learning_rate, records,
                         "learning rate", kRateColor)});
}

// Returns the color of a layer, from violet for the first to ochre for the
// last.
std::string LayerColor(size_t layer, size_t layers) {
  static constexpr double kRamp[][3] = {{91, 33, 145},
                                        {49, 104, 172},
                                        {31, 150, 139},
                                        {106, 168, 62},
                                        {214, 152, 20}};
  const double place = layers < 2 ? 0 : 4.0 * layer / (layers - 1);
  const size_t i = std::min<size_t>(place, 3);
  int rgb[3];
  for (int c = 0; c < 3; ++c) {
    rgb[c] = kRamp[i][c] + (place - i) * (kRamp[i + 1][c] - kRamp[i][c]);
  }
  return absl::StrFormat("#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
}

// Returns one line per layer, in the order in which the layers occur.
std::vector<ChartLine> LayerLines(Records records) {
  std::vector<ChartLine> lines;
  absl::flat_hash_map<std::string, size_t> places;
  for (const TrainingRecord& record : records) {
    for (const auto& [layer, norm] : record.layer_gradient_norms) {
      const auto [place, is_new] = places.try_emplace(layer, lines.size());
      if (is_new) lines.push_back({.label = layer, .width = 1.1});
      lines[place->second].points.push_back({double(record.words), norm});
    }
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    lines[i].color = LayerColor(i, lines.size());
  }
  return lines;
}

ChartPanel GradientPanel(Records records) {
  std::vector<ChartLine> lines = {
      LineOf(&TrainingRecord::max_gradient_norm, records, "all, largest",
             kLargestColor),
      LineOf(&TrainingRecord::gradient_norm, records, "all, mean", kMeanColor)};
  for (ChartLine& line : LayerLines(records)) lines.push_back(std::move(line));
  return PanelOf("Gradient norms, before clipping", Scale::kLog,
                 kGradientHeight, std::move(lines));
}

std::string Duration(double seconds) {
  if (seconds < 60) return absl::StrFormat("%.0f s", seconds);
  const int64_t minutes = seconds / 60;
  if (minutes < 60) return absl::StrFormat("%d min", minutes);
  const int64_t hours = minutes / 60;
  if (hours < 48) return absl::StrFormat("%d h %d min", hours, minutes % 60);
  return absl::StrFormat("%d d %d h", hours / 24, hours % 24);
}

std::string Subtitle(Records records) {
  if (records.empty()) return "no records yet";
  const TrainingRecord& last = records.back();
  std::string text = absl::StrCat("epoch ", last.epoch, ", step ", last.step,
                                  ", ", ShortCount(last.words), " words");
  if (last.seconds > 0 && last.seconds < 1e9) {
    absl::StrAppend(&text, " in ", Duration(last.seconds), ", ",
                    ShortCount(last.words / last.seconds), " words/s");
  }
  return text;
}

ChartAxis WordsAxis(Records records) {
  double words = 10;
  for (const TrainingRecord& record : records) {
    words = std::max<double>(words, record.words);
  }
  return ChartAxis(Scale::kLinear, 0, words * (1 + kRoomAtEnd));
}

ChartColumn ColumnOf(const ChartAxis& axis, absl::Span<const Epoch> epochs) {
  ChartColumn column = {kLeft, kPlotWidth, kLegendLeft, kLegendWidth,
                        axis,  {},         {}};
  for (const ChartTick& tick : axis.Ticks(kMostTicks)) {
    column.ticks.push_back(tick.value);
  }
  for (const Epoch& epoch : EpochsApart(kMarkDistance, epochs, axis)) {
    column.marks.push_back(epoch.begin);
  }
  return column;
}

// Draws the two rows of labels below the plots: the numbers of words, and the
// epochs, each in the middle of its words.
std::string DrawWords(double y, const ChartAxis& axis,
                      absl::Span<const Epoch> epochs) {
  constexpr char kName[] = "text-anchor=\"end\" fill=\"#666\"";
  constexpr char kLabel[] = "text-anchor=\"middle\"";
  const auto x = [&](double words) {
    return kLeft + axis.Position(words) * kPlotWidth;
  };
  std::string svg = DrawChartText(kLeft - 16, y, kName, "words");
  for (const ChartTick& tick : axis.Ticks(kMostTicks)) {
    absl::StrAppend(
        &svg, DrawChartText(x(tick.value), y, kLabel, ShortCount(tick.value)));
  }
  y += kRowDistance;
  absl::StrAppend(&svg, DrawChartText(kLeft - 16, y, kName, "epoch"));
  for (const Epoch& epoch : EpochsApart(kLabelDistance, epochs, axis)) {
    const double middle = (x(epoch.begin) + x(epoch.end)) / 2;
    absl::StrAppend(
        &svg, DrawChartText(middle, y, kLabel, absl::StrCat(epoch.number)));
  }
  return svg;
}

}  // namespace

std::string DrawTrainingChart(absl::string_view title, Records records) {
  const std::vector<Epoch> epochs = EpochsOf(records);
  const ChartAxis axis = WordsAxis(records);
  const ChartColumn column = ColumnOf(axis, epochs);
  std::string svg =
      DrawChartHead(title, Subtitle(records), kWidth, kHeight, kLeft);
  double top = kTop;
  for (const ChartPanel& panel : {LossPanel(records), PerplexityPanel(records),
                                  RatePanel(records), GradientPanel(records)}) {
    absl::StrAppend(&svg, DrawPanel(panel, column, top));
    top += panel.height + kGap;
  }
  absl::StrAppend(&svg, DrawWords(top - kGap + kRowDistance, axis, epochs),
                  "</svg>\n");
  return svg;
}

}  // namespace lmserve
