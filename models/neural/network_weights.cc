// SPDX-License-Identifier: Apache-2.0
#include "models/neural/network_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "models/language_model.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

constexpr size_t kMaxLayers = 8;

absl::Status Wrong(absl::string_view name, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("tensor '", name, "': ", problem));
}

absl::StatusOr<Precision> PrecisionOf(absl::string_view name,
                                      const TensorView& tensor) {
  switch (tensor.type) {
    case TensorType::kF32:
      return Precision::kFloat;
    case TensorType::kBf16:
      return Precision::kBf16;
    case TensorType::kI8:
      return Precision::kInt8;
    default:
      return Wrong(name, absl::StrCat("expected F32, BF16 or I8, found ",
                                      TensorTypeName(tensor.type)));
  }
}

// Formats a shape, such as "[800, 200]", with "any" for 0.
std::string Shape(size_t rows, size_t cols) {
  const auto size = [](size_t n) {
    return n == 0 ? std::string("any") : absl::StrCat(n);
  };
  return absl::StrCat("[", size(rows), ", ", size(cols), "]");
}

bool Fits(const TensorView& tensor, size_t rows, size_t cols) {
  if (tensor.shape.size() != 2) return false;
  const auto fits = [](int64_t found, size_t wanted) {
    return found > 0 && (wanted == 0 || static_cast<size_t>(found) == wanted);
  };
  return fits(tensor.shape[0], rows) && fits(tensor.shape[1], cols);
}

absl::Status CheckFinite(absl::string_view name, const WeightMatrix& matrix) {
  std::vector<float> row(matrix.cols);
  for (size_t r = 0; r < matrix.rows; ++r) {
    matrix.CopyRow(r, row.data());
    for (size_t c = 0; c < matrix.cols; ++c) {
      if (std::isfinite(row[c])) continue;
      return Wrong(name, absl::StrCat("expected finite numbers, found ", row[c],
                                      " in row ", r, ", column ", c));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Cell> CellOf(absl::string_view name, size_t rows, size_t units) {
  for (Cell cell : {Cell::kRnn, Cell::kGru, Cell::kLstm}) {
    if (rows == GateCount(cell) * units) return cell;
  }
  return Wrong(
      name, absl::StrCat("expected ", units, ", ", 3 * units, " or ", 4 * units,
                         " rows for ", units, " units, found ", rows));
}

absl::StatusOr<Activation> ReadActivation(const TensorFile& file) {
  const auto found = file.metadata().find(std::string(kNonlinearityKey));
  if (found == file.metadata().end()) return Activation::kTanh;
  return ParseActivation(found->second);
}

// Fails if all words of a class are in `never`, because no word could get the
// probability of that class.
absl::Status CheckClasses(const Cutoffs& cutoffs, const Vocabulary& vocabulary,
                          absl::Span<const WordId> never) {
  for (size_t i = 0; i < cutoffs.size(); ++i) {
    const WordId begin = cutoffs[i];
    const WordId end =
        i + 1 < cutoffs.size() ? cutoffs[i + 1] : vocabulary.size();
    const auto is_in = [&](WordId word) { return word >= begin && word < end; };
    if (end - begin > std::count_if(never.begin(), never.end(), is_in)) {
      continue;
    }
    const auto append_word = [&](std::string* out, WordId word) {
      absl::StrAppend(out, vocabulary.word(word));
    };
    return absl::InvalidArgumentError(absl::StrCat(
        kCutoffsKey, ": expected a word other than ",
        absl::StrJoin(never, " and ", append_word), " in every class, found ",
        "none among the ids from ", begin, " to ", end - 1));
  }
  return absl::OkStatus();
}

absl::Status WrongDirection(bool bidirectional) {
  return absl::InvalidArgumentError(
      bidirectional
          ? "expected a bidirectional network, found a left-to-right one"
          : "expected a left-to-right network, found a bidirectional one");
}

// Reads one layer in one direction and appends it to *weights. `inputs` has the
// same meaning as in ReadRecurrentWeights().
absl::Status AddLayer(const TensorFile& file, absl::string_view prefix,
                      size_t layer, bool reverse, size_t inputs,
                      RecurrentWeights* weights) {
  const auto tensor = [&](absl::string_view name) {
    return absl::StrCat(prefix, LayerTensor(name, layer, reverse));
  };
  const std::string name = tensor("weight_hh");
  const absl::StatusOr<WeightMatrix> hh = ReadMatrix(file, name, 0, 0);
  if (!hh.ok()) return hh.status();
  const absl::StatusOr<Cell> cell = CellOf(name, hh->rows, hh->cols);
  if (!cell.ok()) return cell.status();
  if (!weights->layers.empty() && *cell != weights->cell) {
    return Wrong(name,
                 absl::StrCat("expected the cell ", CellName(weights->cell),
                              ", found ", CellName(*cell)));
  }
  weights->cell = *cell;
  WeightMatrix ih;
  if (inputs > 0 || file.Find(tensor("weight_ih")) != nullptr) {
    absl::StatusOr<WeightMatrix> read =
        ReadMatrix(file, tensor("weight_ih"), hh->rows, inputs);
    if (!read.ok()) return read.status();
    ih = *read;
  }
  for (const char* bias : {"bias_ih", "bias_hh"}) {
    absl::StatusOr<std::vector<float>> values =
        ReadVector(file, tensor(bias), hh->rows);
    if (!values.ok()) return values.status();
    weights->biases.push_back(*std::move(values));
  }
  weights->layers.push_back({*cell, weights->activation, ih, *hh, {}, {}});
  return absl::OkStatus();
}

}  // namespace

std::string LayerTensor(absl::string_view name, size_t layer, bool reverse) {
  return absl::StrCat("rnn.", name, "_l", layer, reverse ? "_reverse" : "");
}

absl::string_view ActivationName(Activation activation) {
  switch (activation) {
    case Activation::kSigmoid:
      return "sigmoid";
    case Activation::kTanh:
      return "tanh";
    case Activation::kRelu:
      return "relu";
  }
  return "";
}

absl::StatusOr<Activation> ParseActivation(absl::string_view name) {
  for (Activation activation :
       {Activation::kSigmoid, Activation::kTanh, Activation::kRelu}) {
    if (name == ActivationName(activation)) return activation;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(kNonlinearityKey,
                   ": expected sigmoid, tanh or relu, found '", name, "'"));
}

absl::string_view CellName(Cell cell) {
  switch (cell) {
    case Cell::kRnn:
      return "rnn";
    case Cell::kGru:
      return "gru";
    case Cell::kLstm:
      return "lstm";
  }
  return "";
}

absl::StatusOr<Cell> ParseCell(absl::string_view name) {
  for (Cell cell : {Cell::kRnn, Cell::kGru, Cell::kLstm}) {
    if (name == CellName(cell)) return cell;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "cell: expected rnn, gru or lstm, found '", Printable(name), "'"));
}

std::string FormatCutoffs(const Cutoffs& cutoffs) {
  return absl::StrJoin(cutoffs, ",");
}

std::vector<WordId> NeverPredicted(const Vocabulary& vocabulary,
                                   bool bidirectional) {
  std::vector<WordId> never = {vocabulary.begin_sentence()};
  if (bidirectional) never.push_back(vocabulary.end_sentence());
  return never;
}

absl::StatusOr<Cutoffs> ParseCutoffs(absl::string_view text,
                                     const Vocabulary& vocabulary,
                                     absl::Span<const WordId> never) {
  Cutoffs cutoffs;
  if (text.empty()) return cutoffs;
  const WordId size = vocabulary.size();
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    WordId cutoff = 0;
    const WordId least = cutoffs.empty() ? 1 : cutoffs.back() + 1;
    if (!absl::SimpleAtoi(part, &cutoff) || cutoff < least || cutoff >= size) {
      return absl::InvalidArgumentError(
          absl::StrCat(kCutoffsKey, ": expected ascending numbers from 1 to ",
                       size - 1, ", found '", part, "'"));
    }
    cutoffs.push_back(cutoff);
  }
  absl::Status status = CheckClasses(cutoffs, vocabulary, never);
  if (!status.ok()) return status;
  return cutoffs;
}

absl::StatusOr<WeightMatrix> ReadMatrix(const TensorFile& file,
                                        absl::string_view name, size_t rows,
                                        size_t cols) {
  const TensorView* tensor = file.Find(name);
  if (tensor == nullptr) {
    return Wrong(name, "expected a tensor of this name, found none");
  }
  const absl::StatusOr<Precision> precision = PrecisionOf(name, *tensor);
  if (!precision.ok()) return precision.status();
  if (!Fits(*tensor, rows, cols)) {
    return Wrong(name, absl::StrCat("expected the shape ", Shape(rows, cols),
                                    ", found [",
                                    absl::StrJoin(tensor->shape, ", "), "]"));
  }
  WeightMatrix matrix;
  matrix.precision = *precision;
  matrix.rows = static_cast<size_t>(tensor->shape[0]);
  matrix.cols = static_cast<size_t>(tensor->shape[1]);
  matrix.bytes = tensor->bytes;
  if (*precision == Precision::kInt8) {
    const std::string scale = absl::StrCat(name, kScaleSuffix);
    const absl::StatusOr<TensorView> scales =
        file.Get(scale, TensorType::kF32, {static_cast<int64_t>(matrix.rows)});
    if (!scales.ok()) return scales.status();
    matrix.scales = scales->bytes;
  }
  absl::Status status = CheckFinite(name, matrix);
  if (!status.ok()) return status;
  return matrix;
}

absl::StatusOr<std::vector<float>> ReadVector(const TensorFile& file,
                                              absl::string_view name,
                                              size_t size) {
  absl::StatusOr<std::vector<float>> values =
      file.GetFloats(name, {static_cast<int64_t>(size)});
  if (!values.ok()) return values;
  for (size_t i = 0; i < size; ++i) {
    if (std::isfinite((*values)[i])) continue;
    return Wrong(name, absl::StrCat("expected finite numbers, found ",
                                    (*values)[i], " at ", i));
  }
  return values;
}

absl::StatusOr<std::unique_ptr<const Linear>> ReadLinear(
    const TensorFile& file, absl::string_view weight, absl::string_view bias,
    size_t outputs, size_t inputs) {
  const absl::StatusOr<WeightMatrix> matrix =
      ReadMatrix(file, weight, outputs, inputs);
  if (!matrix.ok()) return matrix.status();
  const absl::StatusOr<std::vector<float>> numbers =
      ReadVector(file, bias, outputs);
  if (!numbers.ok()) return numbers.status();
  return Linear::Create(*matrix, *numbers);
}

absl::StatusOr<RecurrentWeights> ReadRecurrentWeights(
    const TensorFile& file, size_t inputs, absl::string_view prefix) {
  const absl::StatusOr<Activation> activation = ReadActivation(file);
  if (!activation.ok()) return activation.status();
  RecurrentWeights weights = {};
  weights.activation = *activation;
  const auto has_layer = [&](size_t layer, bool reverse) {
    return file.Find(absl::StrCat(
               prefix, LayerTensor("weight_hh", layer, reverse))) != nullptr;
  };
  weights.bidirectional = has_layer(0, true);
  for (size_t layer = 0; layer == 0 || has_layer(layer, false); ++layer) {
    if (layer == kMaxLayers) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected at most ", kMaxLayers, " layers, found more"));
    }
    const int directions = weights.bidirectional ? 2 : 1;
    for (int reverse = 0; reverse < directions; ++reverse) {
      absl::Status status =
          AddLayer(file, prefix, layer, reverse == 1, inputs, &weights);
      if (!status.ok()) return status;
    }
    inputs = 0;
    for (int i = 1; i <= directions; ++i) {
      inputs += weights.layers[weights.layers.size() - i].weight_hh.cols;
    }
  }
  // Views of the biases are safe from here on, because no more are added.
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    weights.layers[i].bias_ih = weights.biases[2 * i];
    weights.layers[i].bias_hh = weights.biases[2 * i + 1];
  }
  return weights;
}

absl::StatusOr<std::vector<RecurrentLayer>> CreateLayers(
    const RecurrentWeights& weights) {
  std::vector<RecurrentLayer> layers;
  for (const RecurrentLayer::Weights& layer : weights.layers) {
    absl::StatusOr<RecurrentLayer> made = RecurrentLayer::Create(layer);
    if (!made.ok()) return made.status();
    layers.push_back(*std::move(made));
  }
  return layers;
}

absl::StatusOr<WeightMatrix> ReadOutputWeights(const TensorFile& file,
                                               const Vocabulary& vocabulary,
                                               size_t features) {
  const bool tied = file.Find(kOutputTensor) == nullptr;
  return ReadMatrix(file, tied ? kEmbeddingTensor : kOutputTensor,
                    vocabulary.size(), features);
}

absl::StatusOr<OutputLayer> ReadOutputLayer(const TensorFile& file,
                                            const Vocabulary& vocabulary,
                                            const WeightMatrix& words,
                                            absl::Span<const WordId> never) {
  absl::StatusOr<std::vector<float>> bias =
      ReadVector(file, kOutputBiasTensor, vocabulary.size());
  if (!bias.ok()) return bias.status();
  for (WordId word : never) {
    (*bias)[word] = kImpossible;
  }

  OutputLayer::Weights weights = {};
  weights.words = words;
  weights.bias = *bias;
  const auto cutoffs = file.metadata().find(std::string(kCutoffsKey));
  if (cutoffs == file.metadata().end()) return OutputLayer::Create(weights);
  absl::StatusOr<Cutoffs> parsed =
      ParseCutoffs(cutoffs->second, vocabulary, never);
  if (!parsed.ok()) return parsed.status();
  if (parsed->empty()) return OutputLayer::Create(weights);
  const absl::StatusOr<WeightMatrix> classes =
      ReadMatrix(file, kClassTensor, parsed->size(), words.cols);
  if (!classes.ok()) return classes.status();
  const absl::StatusOr<std::vector<float>> class_bias =
      ReadVector(file, kClassBiasTensor, parsed->size());
  if (!class_bias.ok()) return class_bias.status();
  weights.cutoffs = *std::move(parsed);
  weights.classes = *classes;
  weights.class_bias = *class_bias;
  return OutputLayer::Create(weights);
}

absl::StatusOr<RecurrentParts> ReadRecurrentParts(absl::string_view bytes,
                                                  const Vocabulary& vocabulary,
                                                  bool bidirectional) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
  if (!file.ok()) return file.status();
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(*file, kEmbeddingTensor, vocabulary.size(), 0);
  if (!embedding.ok()) return embedding.status();
  const absl::StatusOr<RecurrentWeights> weights =
      ReadRecurrentWeights(*file, embedding->cols);
  if (!weights.ok()) return weights.status();
  if (weights->bidirectional != bidirectional) {
    return WrongDirection(bidirectional);
  }
  absl::StatusOr<std::vector<RecurrentLayer>> layers = CreateLayers(*weights);
  if (!layers.ok()) return layers.status();
  size_t features = layers->back().units();
  if (bidirectional) features += (*layers)[layers->size() - 2].units();
  const absl::StatusOr<WeightMatrix> words =
      ReadOutputWeights(*file, vocabulary, features);
  if (!words.ok()) return words.status();
  absl::StatusOr<OutputLayer> output = ReadOutputLayer(
      *file, vocabulary, *words, NeverPredicted(vocabulary, bidirectional));
  if (!output.ok()) return output.status();
  if (absl::Status status = file->CheckAllRead(); !status.ok()) return status;
  return RecurrentParts{OwnedMatrix(*embedding), *std::move(layers),
                        *std::move(output)};
}

}  // namespace lmserve
