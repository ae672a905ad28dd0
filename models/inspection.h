// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_INSPECTION_H_
#define LMSERVE_MODELS_INSPECTION_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "models/inspectable_model.h"

namespace lmserve {

// Observers that keep something of what an InspectableModel computes.

// Keeps the values of selected units and quantities, and attention weights. Not
// thread-safe.
class InspectionRecorder final : public InspectableModel::Observer {
 public:
  // What to keep of a layer. REQUIRES: the layer has it.
  struct Selection {
    size_t layer;  // an index of InspectableModel::layers()
    std::vector<size_t> units;
    std::vector<Quantity> quantities;
  };

  // Allocates the memory for everything that a reading of `text` reports. At
  // most one selection is of a layer.
  InspectionRecorder(const InspectableModel& model,
                     const InspectableModel::Text& text,
                     std::vector<Selection> selections, bool keep_attention);

  void OnStep(size_t layer, size_t position, const CellValues& values) override;
  void OnAttention(size_t position, absl::Span<const float> weights) override;

  const std::vector<Selection>& selections() const { return selections_; }

  // The values of selections()[i]: (quantities, positions, units), in the order
  // of the selection, with the positions of InspectableModel::Text.
  absl::Span<const float> values(size_t i) const { return values_[i]; }

  // The attention weights (positions, source words + 1), where row t has those
  // with which the decoder predicts the word after position t of the text.
  // Empty if they are not kept, or the model has none.
  absl::Span<const float> attention() const { return attention_; }

 private:
  const std::vector<Selection> selections_;
  std::vector<std::vector<float>> values_;
  // For each layer, which selection is of it; selections_.size(): none.
  std::vector<size_t> selection_of_;
  const bool keep_attention_;
  const size_t attention_rows_;
  std::vector<float> attention_;
};

// Measures how much the hidden state of each unit varies over the positions of
// a text. Not thread-safe.
class UnitVariance final : public InspectableModel::Observer {
 public:
  explicit UnitVariance(const InspectableModel& model);

  void OnStep(size_t layer, size_t position, const CellValues& values) override;
  void OnAttention(size_t, absl::Span<const float>) override {}

  // Returns the `count` units of a layer whose h has the largest variance, the
  // largest first; equal ones by ascending index.
  // REQUIRES: count <= the units of the layer.
  std::vector<size_t> Largest(size_t layer, size_t count) const;

 private:
  struct Moments {
    double mean = 0;
    double squares = 0;  // the sum of (h - mean)^2
  };
  struct Layer {
    size_t steps = 0;
    std::vector<Moments> units;
  };

  std::vector<Layer> layers_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_INSPECTION_H_
