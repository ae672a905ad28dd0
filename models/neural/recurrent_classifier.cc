// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_classifier.h"

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/neural/kernels.h"
#include "models/neural/pooling.h"
#include "models/neural/recurrent_reader.h"

namespace lmserve {
namespace {

absl::StatusOr<Pooling> ReadPooling(const TensorFile& file) {
  const auto found = file.metadata().find(std::string(kPoolingKey));
  if (found != file.metadata().end()) return ParsePooling(found->second);
  return absl::InvalidArgumentError(
      absl::StrCat("metadata: expected ", kPoolingKey, ", found none"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecurrentClassifier>>
RecurrentClassifier::Create(Vocabulary vocabulary,
                            std::vector<std::string> labels,
                            absl::string_view bytes) {
  absl::StatusOr<Parts> parts = ReadParts(vocabulary, labels.size(), bytes);
  if (!parts.ok()) return parts.status();
  return absl::WrapUnique(new RecurrentClassifier(
      std::move(vocabulary), std::move(labels), *std::move(parts)));
}

RecurrentClassifier::RecurrentClassifier(Vocabulary vocabulary,
                                         std::vector<std::string> labels,
                                         Parts parts)
    : vocabulary_(std::move(vocabulary)),
      labels_(std::move(labels)),
      parts_(std::move(parts)),
      sentence_encoder_(RecurrentSentenceEncoder::Model{
          .vocabulary = vocabulary_,
          .layers = parts_.layers,
          .bidirectional = parts_.bidirectional,
          .inputs = [this](absl::Span<const WordId> words) {
            return parts_.embedding->CopyRows(words);
          }}) {}

absl::StatusOr<RecurrentClassifier::Parts> RecurrentClassifier::ReadParts(
    const Vocabulary& vocabulary, size_t labels, absl::string_view bytes) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
  if (!file.ok()) return file.status();
  const absl::StatusOr<Pooling> pooling = ReadPooling(*file);
  if (!pooling.ok()) return pooling.status();
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(*file, kEmbeddingTensor, vocabulary.size(), 0);
  if (!embedding.ok()) return embedding.status();
  const absl::StatusOr<RecurrentWeights> weights =
      ReadRecurrentWeights(*file, embedding->cols);
  if (!weights.ok()) return weights.status();
  absl::StatusOr<std::vector<RecurrentLayer>> layers = CreateLayers(*weights);
  if (!layers.ok()) return layers.status();
  const size_t features =
      RecurrentReader(*layers, weights->bidirectional).outputs();
  absl::StatusOr<std::unique_ptr<const Linear>> output =
      ReadLinear(*file, kOutputTensor, kOutputBiasTensor, labels, features);
  if (!output.ok()) return output.status();
  if (absl::Status status = file->CheckAllRead(); !status.ok()) return status;
  return Parts{OwnedMatrix(*embedding), weights->bidirectional,
               *std::move(layers), *pooling, *std::move(output)};
}

void RecurrentClassifier::Classify(absl::Span<const Sentence> batch) const {
  const size_t width = sentence_encoder_.dimensions();
  std::vector<float> vectors(batch.size() * width);
  std::vector<SentenceEncoder::Sentence> sentences;
  for (size_t i = 0; i < batch.size(); ++i) {
    sentences.push_back(
        {batch[i].words, absl::MakeSpan(vectors).subspan(i * width, width)});
  }
  sentence_encoder_.Encode(sentences, parts_.pooling);
  const size_t count = labels_.size();
  std::vector<float> logits(batch.size() * count);
  LinearScratch scratch;
  parts_.output->Apply(vectors.data(), batch.size(), logits.data(), &scratch);
  for (size_t i = 0; i < batch.size(); ++i) {
    SetLogSoftmax(absl::MakeConstSpan(logits).subspan(i * count, count),
                  batch[i].log_probs.data());
  }
}

}  // namespace lmserve
