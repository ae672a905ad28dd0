// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_INSPECTABLE_MODEL_H_
#define LMSERVE_MODELS_INSPECTABLE_MODEL_H_

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

// What a recurrent cell computes at each position of a text, for each unit.
// With x_t its input, * the elementwise product, and biases left out:
//
//   LSTM (Hochreiter and Schmidhuber 1997; Gers et al. 2000)
//     i_t = sigmoid(W_i x_t + U_i h_{t-1})     input gate
//     f_t = sigmoid(W_f x_t + U_f h_{t-1})     forget gate
//     o_t = sigmoid(W_o x_t + U_o h_{t-1})     output gate
//     c~_t = tanh(W_c x_t + U_c h_{t-1})       new memory
//     c_t = f_t * c_{t-1} + i_t * c~_t         final memory
//     h_t = o_t * tanh(c_t)                    hidden state
//   GRU (Cho et al. 2014; the reset gate is applied after the product)
//     z_t = sigmoid(W_z x_t + U_z h_{t-1})     update gate
//     r_t = sigmoid(W_r x_t + U_r h_{t-1})     reset gate
//     h~_t = tanh(W x_t + r_t * U h_{t-1})     new memory
//     h_t = (1 - z_t) * h~_t + z_t * h_{t-1}   hidden state
//   RNN (Elman 1990)
//     h_t = f(W x_t + U h_{t-1})               hidden state
enum class Quantity {
  kInputGate,
  kForgetGate,
  kOutputGate,
  kUpdateGate,
  kResetGate,
  kNewMemory,
  kFinalMemory,
  kHidden,
};
inline constexpr size_t kQuantities = 8;

// The values of one layer at one position: for each quantity of its cell an
// array (units). A view: it is valid only while its observer is called.
class CellValues {
 public:
  explicit CellValues(size_t units) : units_(units) {}

  void Set(Quantity quantity, const float* values) {
    values_[static_cast<size_t>(quantity)] = values;
  }

  bool Has(Quantity quantity) const {
    return values_[static_cast<size_t>(quantity)] != nullptr;
  }

  // REQUIRES: Has(quantity).
  absl::Span<const float> operator[](Quantity quantity) const {
    return {values_[static_cast<size_t>(quantity)], units_};
  }

 private:
  size_t units_;
  std::array<const float*, kQuantities> values_ = {};
};

// A model with recurrent layers, whose gates and states can be looked at while
// it reads a text. The values are those of the forward pass that scores texts,
// to the bit.
//
// Immutable after construction: any number of threads may use one instance.
class InspectableModel {
 public:
  virtual ~InspectableModel() = default;

  // One layer, in one direction.
  struct Layer {
    size_t depth;       // 0 for a layer that reads embeddings
    bool is_backward;   // whether it reads from the last position to the first
    bool reads_source;  // whether it reads the source of a translation model
    bool
        reverses_words;  // whether it reads the words, but not </s>, in reverse
    bool reads_begin;    // whether it reads <s> before the words
    bool reads_end;      // whether it reads </s> after the words
    size_t units;
    std::vector<Quantity> quantities;  // those of its cell, in ascending order
  };

  // Returns the layers, in the order of the computation: those that read the
  // source come first, and a forward layer precedes the backward layer of the
  // same depth.
  virtual std::vector<Layer> layers() const = 0;

  // What to read, as views of the caller's memory, without <s> and </s>. All
  // ids are less than the size of the vocabulary. Only a translation model
  // reads a source; then `words` is the translation.
  struct Text {
    absl::Span<const WordId> words;
    absl::Span<const WordId> source;

    // The number of positions that a layer has in this text: its words and the
    // markers that it reads, in the order of the text in whatever order the
    // layer reads them. The state at a position is the one after the layer read
    // the word there.
    size_t positions(const Layer& layer) const {
      return (layer.reads_source ? source : words).size() + layer.reads_begin +
             layer.reads_end;
    }
  };

  // Receives what the model computes. The calls have no particular order.
  class Observer {
   public:
    virtual ~Observer() = default;

    // `layer` is an index of layers().
    virtual void OnStep(size_t layer, size_t position,
                        const CellValues& values) = 0;

    // The attention weights with which the decoder, after the word at a
    // position of the text, predicts the next one: one for each word of the
    // source and one for </s>. Their sum is 1. Is called only if the model has
    // attention.
    virtual void OnAttention(size_t position,
                             absl::Span<const float> weights) = 0;
  };

  // Reads one text in parts, so that others can have their turn in between. One
  // thread at a time.
  class Reading {
   public:
    virtual ~Reading() = default;

    // Returns the number of words in the next part; 0 if all was read.
    virtual size_t next_words() const = 0;

    // Reads the next part. REQUIRES: next_words() > 0.
    virtual void ReadPart(Observer* observer) = 0;
  };

  // Starts to read a text. A part has at most `part_words` words, except that a
  // source and the text of a bidirectional model are one part each. The model
  // and the text must outlive the reading. REQUIRES: part_words > 0.
  virtual std::unique_ptr<Reading> Read(const Text& text,
                                        size_t part_words) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_INSPECTABLE_MODEL_H_
