// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/load_network.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/neural/network_weights.h"

namespace lmserve {
namespace {

// Finds the options from the shapes of the tensors and the metadata.
absl::StatusOr<RecurrentNetworkOptions> OptionsOf(const Vocabulary& vocabulary,
                                                  const TensorFile& file) {
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(file, kEmbeddingTensor, vocabulary.size(), 0);
  if (!embedding.ok()) return embedding.status();
  const absl::StatusOr<RecurrentWeights> weights =
      ReadRecurrentWeights(file, embedding->cols);
  if (!weights.ok()) return weights.status();
  if (weights->bidirectional) {
    return absl::InvalidArgumentError(
        "expected a left-to-right network, found a bidirectional one");
  }
  RecurrentNetworkOptions options;
  options.vocabulary = vocabulary.size();
  options.never = vocabulary.begin_sentence();
  options.embedding = embedding->cols;
  options.tied = file.Find(kOutputTensor) == nullptr;
  options.stack.cell = weights->cell;
  options.stack.activation = weights->activation;
  options.stack.layers = weights->layers.size();
  options.stack.units = weights->layers[0].weight_hh.cols;
  for (const RecurrentLayer::Weights& layer : weights->layers) {
    if (layer.weight_hh.cols == options.stack.units) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("expected layers of ", options.stack.units,
                     " units, found one of ", layer.weight_hh.cols));
  }
  const auto cutoffs = file.metadata().find(std::string(kCutoffsKey));
  if (cutoffs == file.metadata().end()) return options;
  absl::StatusOr<Cutoffs> parsed =
      ParseCutoffs(cutoffs->second, vocabulary,
                   NeverPredicted(vocabulary, /*bidirectional=*/false));
  if (!parsed.ok()) return parsed.status();
  options.cutoffs = *std::move(parsed);
  return options;
}

}  // namespace

absl::StatusOr<std::vector<float>> ReadParameters(
    const TensorFile& file, const ParameterLayout& layout) {
  std::vector<float> values;
  values.reserve(layout.size());
  for (const ParameterLayout::Parameter& p : layout.parameters()) {
    if (p.is_matrix) {
      const absl::StatusOr<WeightMatrix> matrix =
          ReadMatrix(file, p.name, p.rows, p.cols);
      if (!matrix.ok()) return matrix.status();
      const std::vector<float> numbers = matrix->ToFloats();
      values.insert(values.end(), numbers.begin(), numbers.end());
    } else {
      const absl::StatusOr<std::vector<float>> numbers =
          ReadVector(file, p.name, p.rows);
      if (!numbers.ok()) return numbers.status();
      values.insert(values.end(), numbers->begin(), numbers->end());
    }
  }
  return values;
}

absl::StatusOr<LoadedNetwork> LoadRecurrentNetwork(const Vocabulary& vocabulary,
                                                   absl::string_view weights) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(weights);
  if (!file.ok()) return file.status();
  absl::StatusOr<RecurrentNetworkOptions> options =
      OptionsOf(vocabulary, *file);
  if (!options.ok()) return options.status();
  LoadedNetwork loaded = {*std::move(options), {}};
  absl::StatusOr<std::vector<float>> values = ReadParameters(
      *file, MakeRecurrentNetwork<float>(loaded.options)->layout());
  if (!values.ok()) return values.status();
  loaded.values = *std::move(values);
  return loaded;
}

}  // namespace lmserve
