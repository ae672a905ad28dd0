// SPDX-License-Identifier: Apache-2.0
#include "models/inspection.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lmserve {

InspectionRecorder::InspectionRecorder(const InspectableModel& model,
                                       const InspectableModel::Text& text,
                                       std::vector<Selection> selections,
                                       bool keep_attention)
    : selections_(std::move(selections)),
      keep_attention_(keep_attention),
      attention_rows_(text.positions(model.layers().back())) {
  const std::vector<InspectableModel::Layer> layers = model.layers();
  selection_of_.assign(layers.size(), selections_.size());
  for (const Selection& selection : selections_) {
    selection_of_[selection.layer] = values_.size();
    values_.emplace_back(selection.quantities.size() *
                         text.positions(layers[selection.layer]) *
                         selection.units.size());
  }
}

void InspectionRecorder::OnStep(size_t layer, size_t position,
                                const CellValues& values) {
  const size_t i = selection_of_[layer];
  if (i == selections_.size()) return;
  const auto& [index, units, quantities] = selections_[i];
  const size_t block =
      values_[i].size() / std::max<size_t>(1, quantities.size());
  float* to = values_[i].data() + position * units.size();
  for (Quantity quantity : quantities) {
    const absl::Span<const float> all = values[quantity];
    std::transform(units.begin(), units.end(), to,
                   [&](size_t unit) { return all[unit]; });
    to += block;
  }
}

void InspectionRecorder::OnAttention(size_t position,
                                     absl::Span<const float> weights) {
  if (!keep_attention_) return;
  attention_.resize(attention_rows_ * weights.size());
  std::copy(weights.begin(), weights.end(),
            attention_.begin() + position * weights.size());
}

UnitVariance::UnitVariance(const InspectableModel& model) {
  for (const InspectableModel::Layer& layer : model.layers()) {
    layers_.push_back({0, std::vector<Moments>(layer.units)});
  }
}

// Welford 1962.
void UnitVariance::OnStep(size_t layer, size_t, const CellValues& values) {
  const absl::Span<const float> h = values[Quantity::kHidden];
  const auto steps = static_cast<double>(++layers_[layer].steps);
  for (size_t unit = 0; unit < h.size(); ++unit) {
    Moments& moments = layers_[layer].units[unit];
    const double difference = h[unit] - moments.mean;
    moments.mean += difference / steps;
    moments.squares += difference * (h[unit] - moments.mean);
  }
}

std::vector<size_t> UnitVariance::Largest(size_t layer, size_t count) const {
  const std::vector<Moments>& moments = layers_[layer].units;
  // A state that is not finite has no variance.
  const auto variance = [&](size_t unit) {
    const double squares = moments[unit].squares;
    return squares > 0 ? squares : 0.0;
  };
  std::vector<size_t> units(moments.size());
  std::iota(units.begin(), units.end(), size_t{0});
  std::partial_sort(units.begin(), units.begin() + count, units.end(),
                    [&](size_t a, size_t b) {
                      if (variance(a) != variance(b)) {
                        return variance(a) > variance(b);
                      }
                      return a < b;
                    });
  units.resize(count);
  return units;
}

}  // namespace lmserve
