// SPDX-License-Identifier: Apache-2.0
#include "models/neural/translation_weights.h"

#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// A copy of a range of columns of a matrix: their bytes, and a matrix that
// views the bytes.
struct Columns {
  std::string bytes;
  WeightMatrix matrix;
};

std::unique_ptr<const Columns> CopyColumns(const WeightMatrix& from,
                                           size_t begin, size_t count) {
  const size_t size = PrecisionSize(from.precision);
  auto columns = std::make_unique<Columns>();
  for (size_t r = 0; r < from.rows; ++r) {
    absl::StrAppend(
        &columns->bytes,
        from.bytes.substr((r * from.cols + begin) * size, count * size));
  }
  columns->matrix = from;
  columns->matrix.cols = count;
  columns->matrix.bytes = columns->bytes;
  return columns;
}

// Reads the parts of *encoder that do not depend on the decoder, and the
// weights of its layers.
absl::Status ReadEncoder(const TensorFile& file, const Vocabulary& vocabulary,
                         EncoderParts* encoder, RecurrentWeights* weights) {
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(file, kSourceEmbeddingTensor, vocabulary.size(), 0);
  if (!embedding.ok()) return embedding.status();
  absl::StatusOr<RecurrentWeights> read =
      ReadRecurrentWeights(file, embedding->cols, kSourcePrefix);
  if (!read.ok()) return read.status();
  *weights = *std::move(read);
  absl::StatusOr<std::vector<RecurrentLayer>> layers = CreateLayers(*weights);
  if (!layers.ok()) return layers.status();
  encoder->embedding = OwnedMatrix(*embedding);
  encoder->bidirectional = weights->bidirectional;
  encoder->layers = *std::move(layers);
  const auto reverse = file.metadata().find(std::string(kReverseSourceKey));
  encoder->reverse_source =
      reverse != file.metadata().end() && reverse->second == "true";
  return absl::OkStatus();
}

// Reads the layers of the decoder. If the file has none, the decoder shares the
// layers of the encoder.
absl::StatusOr<RecurrentWeights> ReadDecoderLayers(
    const TensorFile& file, const RecurrentWeights& encoder, bool reads_word) {
  const bool shared = absl::c_none_of(file.tensors(), [](const auto& tensor) {
    return absl::StartsWith(tensor.first, "rnn.");
  });
  if (!shared) return ReadRecurrentWeights(file, 0);
  if (encoder.bidirectional) {
    return absl::InvalidArgumentError(
        "decoder: expected tensors rnn.*, because the encoder is "
        "bidirectional, found none");
  }
  RecurrentWeights weights = encoder;
  if (!reads_word) weights.layers[0].weight_ih = WeightMatrix();
  return weights;
}

// Splits weight_ih of the decoder's first layer into the columns for the
// embedding of the previous word, which stay in *weights, and the columns for
// the context, the last state of the encoder, which become encoder->context.
absl::Status SplitInputs(size_t embedding, size_t outputs,
                         RecurrentWeights* weights,
                         std::unique_ptr<const Columns>* word,
                         EncoderParts* encoder) {
  WeightMatrix& weight_ih = weights->layers[0].weight_ih;
  if (weight_ih.cols == embedding) return absl::OkStatus();
  if (weight_ih.cols != embedding + outputs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor '", LayerTensor("weight_ih", 0, false), "': expected ",
        embedding, " columns, or ", embedding + outputs,
        " with a context, found ", weight_ih.cols));
  }
  auto context =
      Linear::Create(CopyColumns(weight_ih, embedding, outputs)->matrix, {});
  if (!context.ok()) return context.status();
  encoder->context = *std::move(context);
  if (embedding == 0) {
    weight_ih = WeightMatrix();
    return absl::OkStatus();
  }
  *word = CopyColumns(weight_ih, 0, embedding);
  weight_ih = (*word)->matrix;
  return absl::OkStatus();
}

// Checks that the last states of the encoder fit the initial states of the
// decoder or, if the encoder is bidirectional, reads the bridges between them.
absl::Status ReadBridges(const TensorFile& file,
                         absl::Span<const RecurrentLayer> decoder,
                         EncoderParts* encoder) {
  const size_t directions = encoder->bidirectional ? 2 : 1;
  if (decoder.size() * directions != encoder->layers.size() ||
      decoder[0].has_cell_state() != encoder->layers[0].has_cell_state()) {
    const auto describe = [](size_t layers, bool has_cell_state) {
      return absl::StrCat(layers, has_cell_state ? " LSTM" : " RNN or GRU",
                          " layers");
    };
    return absl::InvalidArgumentError(
        absl::StrCat("decoder: expected ",
                     describe(encoder->layers.size() / directions,
                              encoder->layers[0].has_cell_state()),
                     ", as in the encoder, found ",
                     describe(decoder.size(), decoder[0].has_cell_state())));
  }
  for (size_t i = 0; i < decoder.size(); ++i) {
    const size_t units = decoder[i].units();
    size_t encoded = 0;
    for (size_t d = 0; d < directions; ++d) {
      encoded += encoder->layers[directions * i + d].units();
    }
    if (!encoder->bidirectional) {
      if (encoded == units) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("decoder layer ", i, ": expected ", encoded,
                       " units, as in the encoder, found ", units));
    }
    EncoderParts::Bridge& bridge = encoder->bridges.emplace_back();
    for (const auto& [state, linear] :
         {std::pair{"h", &bridge.h}, std::pair{"c", &bridge.c}}) {
      if (state[0] == 'c' && !decoder[i].has_cell_state()) continue;
      auto read = ReadLinear(file, BridgeTensor("weight", state, i),
                             BridgeTensor("bias", state, i), units, encoded);
      if (!read.ok()) return read.status();
      *linear = *std::move(read);
    }
  }
  return absl::OkStatus();
}

// Reads the attention; returns nullopt if the file has none.
absl::StatusOr<std::optional<SourceAttention>> ReadAttention(
    const TensorFile& file, size_t units, size_t outputs) {
  if (file.Find(kAttentionKeyTensor) == nullptr) return std::nullopt;
  SourceAttention::Weights weights;
  for (const auto& [name, cols, matrix] :
       {std::tuple{kAttentionKeyTensor, outputs, &weights.key},
        std::tuple{kAttentionContextTensor, outputs, &weights.context},
        std::tuple{kAttentionStateTensor, units, &weights.state}}) {
    const absl::StatusOr<WeightMatrix> read =
        ReadMatrix(file, name, units, cols);
    if (!read.ok()) return read.status();
    *matrix = *read;
  }
  absl::StatusOr<SourceAttention> attention = SourceAttention::Create(weights);
  if (!attention.ok()) return attention.status();
  return *std::move(attention);
}

// Reads the decoder, and the parts of *encoder that depend on it.
absl::StatusOr<RecurrentParts> ReadDecoder(const TensorFile& file,
                                           const Vocabulary& vocabulary,
                                           const RecurrentWeights& encoded,
                                           EncoderParts* encoder) {
  WeightMatrix embedding;
  if (file.Find(kEmbeddingTensor) != nullptr) {
    const absl::StatusOr<WeightMatrix> read =
        ReadMatrix(file, kEmbeddingTensor, vocabulary.size(), 0);
    if (!read.ok()) return read.status();
    embedding = *read;
  }
  absl::StatusOr<RecurrentWeights> weights =
      ReadDecoderLayers(file, encoded, embedding.cols > 0);
  if (!weights.ok()) return weights.status();
  if (weights->bidirectional) {
    return absl::InvalidArgumentError(
        "decoder: expected layers of one direction, found bidirectional ones");
  }
  std::unique_ptr<const Columns> word;
  absl::Status status = SplitInputs(embedding.cols, encoder->outputs(),
                                    &*weights, &word, encoder);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<RecurrentLayer>> layers = CreateLayers(*weights);
  if (!layers.ok()) return layers.status();
  status = ReadBridges(file, *layers, encoder);
  if (!status.ok()) return status;
  const absl::StatusOr<WeightMatrix> words =
      ReadOutputWeights(file, vocabulary, layers->back().units());
  if (!words.ok()) return words.status();
  absl::StatusOr<OutputLayer> output =
      ReadOutputLayer(file, vocabulary, *words,
                      NeverPredicted(vocabulary, /*bidirectional=*/false));
  if (!output.ok()) return output.status();
  return RecurrentParts{OwnedMatrix(embedding), *std::move(layers),
                        *std::move(output)};
}

}  // namespace

std::string BridgeTensor(absl::string_view what, absl::string_view state,
                         size_t layer) {
  return absl::StrCat("bridge.", what, "_", state, "_l", layer);
}

size_t EncoderParts::outputs() const {
  const size_t units = layers.back().units();
  return bidirectional ? units + layers[layers.size() - 2].units() : units;
}

absl::StatusOr<TranslationParts> ReadTranslationParts(
    absl::string_view bytes, const Vocabulary& source_vocabulary,
    const Vocabulary& vocabulary) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
  if (!file.ok()) return file.status();
  EncoderParts encoder = {};
  RecurrentWeights weights;
  absl::Status status =
      ReadEncoder(*file, source_vocabulary, &encoder, &weights);
  if (!status.ok()) return status;
  absl::StatusOr<RecurrentParts> decoder =
      ReadDecoder(*file, vocabulary, weights, &encoder);
  if (!decoder.ok()) return decoder.status();
  absl::StatusOr<std::optional<SourceAttention>> attention =
      ReadAttention(*file, decoder->layers.back().units(), encoder.outputs());
  if (!attention.ok()) return attention.status();
  status = file->CheckAllRead();
  if (!status.ok()) return status;
  return TranslationParts{std::move(encoder), *std::move(decoder),
                          *std::move(attention)};
}

}  // namespace lmserve
