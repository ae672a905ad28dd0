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
#include "trainer/charts/chart_panel.h"
#include "trainer/charts/chart_text.h"

namespace lmserve {
namespace {

using Records = absl::Span<const TrainingRecord>;
using Scale = ChartAxis::Scale;

// The page, in pixels.
constexpr int kWidth = 900, kHeight = 700;
constexpr double kLeft = 70, kPlotWidth = 614;
constexpr double kLegendLeft = 698, kLegendWidth = 188;
constexpr double kTop = 86;  // of the first plot
constexpr double kGap = 28;  // between plots, for a title
constexpr double kLossHeight = 120, kRateHeight = 74, kGradientHeight = 166;
constexpr size_t kMostLetters = 70;    // of the title
constexpr size_t kMostTicks = 10;      // of words
constexpr double kMarkDistance = 24;   // between marks of epochs, at least
constexpr double kLabelDistance = 34;  // and between their numbers
constexpr double kRowDistance = 17;    // of the labels below the plots
constexpr double kRoomAtEnd = 0.01;    // of the axis, a share of the words

// The first steps, and those gone wrong, would leave no room for the others.
constexpr double kShownPerplexities = 0.9;

constexpr char kTrainColour[] = "#2b6cb0", kValidColour[] = "#d9480f",
               kRateColour[] = "#2f7d32", kMeanColour[] = "#111111",
               kLargestColour[] = "#b0b0b0";

// The words of an epoch: after those of the one before, up to its last record.
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

// Those with a round number that are no nearer than a distance in pixels.
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

// A line of a field: a number, or an optional one, which may have no point.
template <typename Number>
ChartLine LineOf(Number TrainingRecord::*field, Records records,
                 std::string label, std::string colour) {
  ChartLine line = {.label = std::move(label), .colour = std::move(colour)};
  for (const TrainingRecord& record : records) {
    const std::optional<double> y = record.*field;
    if (y.has_value()) line.points.push_back({double(record.words), *y});
  }
  return line;
}

ChartLine TrainLosses(Records records) {
  return LineOf(&TrainingRecord::train_loss, records, "train", kTrainColour);
}

ChartLine ValidLosses(Records records) {
  return LineOf(&TrainingRecord::valid_loss, records, "valid", kValidColour);
}

ChartLine Perplexities(ChartLine losses) {
  for (ChartPoint& point : losses.points) point.y = std::exp(point.y);
  return losses;
}

// The lowest point of a line, with a ring.
ChartLine BestOf(const ChartLine& line) {
  ChartLine best = {"best " + line.label, line.colour, 1.5, /*ring=*/true, {}};
  for (const ChartPoint& point : line.points) {
    if (!std::isfinite(point.y)) continue;
    if (best.points.empty()) best.points.push_back(point);
    if (point.y < best.points[0].y) best.points[0] = point;
  }
  return best;
}

// A panel of those lines that have points.
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
                         "learning rate", kRateColour)});
}

// From the first layer's violet to the last one's ochre.
std::string LayerColour(size_t layer, size_t layers) {
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

// A line a layer, in the order of their first records.
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
    lines[i].colour = LayerColour(i, lines.size());
  }
  return lines;
}

ChartPanel GradientPanel(Records records) {
  std::vector<ChartLine> lines = {
      LineOf(&TrainingRecord::max_gradient_norm, records, "all, largest",
             kLargestColour),
      LineOf(&TrainingRecord::gradient_norm, records, "all, mean",
             kMeanColour)};
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

std::string Text(double x, double y, absl::string_view style,
                 absl::string_view text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y,
                         style, XmlText(text, kMostLetters));
}

// Two rows below the plots: words, and the epochs in the middle of each.
std::string DrawWords(double y, const ChartAxis& axis,
                      absl::Span<const Epoch> epochs) {
  constexpr char kName[] = "text-anchor=\"end\" fill=\"#666\"";
  constexpr char kLabel[] = "text-anchor=\"middle\"";
  const auto x = [&](double words) {
    return kLeft + axis.Position(words) * kPlotWidth;
  };
  std::string svg = Text(kLeft - 16, y, kName, "words");
  for (const ChartTick& tick : axis.Ticks(kMostTicks)) {
    absl::StrAppend(&svg,
                    Text(x(tick.value), y, kLabel, ShortCount(tick.value)));
  }
  y += kRowDistance;
  absl::StrAppend(&svg, Text(kLeft - 16, y, kName, "epoch"));
  for (const Epoch& epoch : EpochsApart(kLabelDistance, epochs, axis)) {
    const double middle = (x(epoch.begin) + x(epoch.end)) / 2;
    absl::StrAppend(&svg, Text(middle, y, kLabel, absl::StrCat(epoch.number)));
  }
  return svg;
}

std::string DrawHead(absl::string_view title, Records records) {
  return absl::StrCat(
      absl::StrFormat(
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
          "height=\"%d\" viewBox=\"0 0 %d %d\" font-size=\"11\" fill=\"#222\" "
          "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
          "<title>%s</title>\n"
          "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
          kWidth, kHeight, kWidth, kHeight, XmlText(title), kWidth, kHeight),
      Text(kLeft, 32, "font-size=\"17\" font-weight=\"bold\"", title),
      Text(kLeft, 52, "font-size=\"12\" fill=\"#666\"", Subtitle(records)));
}

}  // namespace

std::string DrawTrainingChart(absl::string_view title, Records records) {
  const std::vector<Epoch> epochs = EpochsOf(records);
  const ChartAxis axis = WordsAxis(records);
  const ChartColumn column = ColumnOf(axis, epochs);
  std::string svg = DrawHead(title, records);
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
