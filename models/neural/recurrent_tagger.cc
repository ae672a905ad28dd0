// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_tagger.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/labels.h"
#include "models/language_model.h"
#include "models/neural/kernels.h"
#include "models/neural/length_groups.h"
#include "models/neural/recurrent_reader.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// Checks that all labels are BIO labels, and that they permit a sequence of
// any length.
absl::Status CheckBioLabels(absl::Span<const std::string> labels) {
  bool may_repeat = false;
  for (const std::string& label : labels) {
    if (!IsBioLabel(label)) {
      return absl::InvalidArgumentError(absl::StrCat(
          kConstraintsKey, ": expected labels B-..., I-... and O, found '",
          Printable(label), "'"));
    }
    may_repeat |= MayFollow(std::nullopt, label);
  }
  if (may_repeat) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kConstraintsKey,
                   ": expected a label with which a sentence may begin, B-... "
                   "or O, found none"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecurrentTagger>> RecurrentTagger::Create(
    Vocabulary vocabulary, std::vector<std::string> labels,
    absl::string_view bytes) {
  absl::StatusOr<Parts> parts = ReadParts(vocabulary, labels, bytes);
  if (!parts.ok()) return parts.status();
  return absl::WrapUnique(new RecurrentTagger(
      std::move(vocabulary), std::move(labels), *std::move(parts)));
}

RecurrentTagger::RecurrentTagger(Vocabulary vocabulary,
                                 std::vector<std::string> labels, Parts parts)
    : vocabulary_(std::move(vocabulary)),
      labels_(std::move(labels)),
      parts_(std::move(parts)),
      sentence_encoder_(RecurrentSentenceEncoder::Model{
          .vocabulary = vocabulary_,
          .layers = parts_.layers,
          .bidirectional = parts_.bidirectional,
          .inputs = [this](absl::Span<const WordId> ids) {
            std::vector<absl::string_view> words;
            for (WordId id : ids) {
              words.push_back(
                  id == vocabulary_.unknown() ? "" : vocabulary_.word(id));
            }
            return Inputs(ids, words);
          }}) {}

absl::StatusOr<RecurrentTagger::Parts> RecurrentTagger::ReadParts(
    const Vocabulary& vocabulary, absl::Span<const std::string> labels,
    absl::string_view bytes) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
  if (!file.ok()) return file.status();
  const absl::StatusOr<WeightMatrix> embedding =
      ReadMatrix(*file, kEmbeddingTensor, vocabulary.size(), 0);
  if (!embedding.ok()) return embedding.status();
  Parts parts;
  parts.embedding = OwnedMatrix(*embedding);
  size_t inputs = embedding->cols;
  if (file->Find(kCharacterEmbeddingTensor) != nullptr) {
    absl::StatusOr<CharacterReader> characters = CharacterReader::Create(*file);
    if (!characters.ok()) return characters.status();
    inputs += characters->outputs();
    parts.characters = *std::move(characters);
  }
  const absl::StatusOr<RecurrentWeights> weights =
      ReadRecurrentWeights(*file, inputs);
  if (!weights.ok()) return weights.status();
  parts.bidirectional = weights->bidirectional;
  absl::StatusOr<std::vector<RecurrentLayer>> layers = CreateLayers(*weights);
  if (!layers.ok()) return layers.status();
  parts.layers = *std::move(layers);
  const size_t features =
      RecurrentReader(parts.layers, parts.bidirectional).outputs();
  absl::StatusOr<std::unique_ptr<const Linear>> output = ReadLinear(
      *file, kOutputTensor, kOutputBiasTensor, labels.size(), features);
  if (!output.ok()) return output.status();
  parts.output = *std::move(output);
  absl::StatusOr<std::optional<Chain>> chain = ReadChain(*file, labels);
  if (!chain.ok()) return chain.status();
  parts.chain = *std::move(chain);
  if (absl::Status status = file->CheckAllRead(); !status.ok()) return status;
  return parts;
}

absl::StatusOr<std::optional<RecurrentTagger::Chain>>
RecurrentTagger::ReadChain(const TensorFile& file,
                           absl::Span<const std::string> labels) {
  const size_t count = labels.size();
  const bool has_crf = file.Find(kTransitionsTensor) != nullptr;
  const auto constraints = file.metadata().find(std::string(kConstraintsKey));
  const bool is_bio = constraints != file.metadata().end();
  if (!has_crf && !is_bio) return std::nullopt;
  Chain chain = {std::vector<float>(count * count), std::vector<float>(count),
                 std::vector<float>(count)};
  if (has_crf) {
    const absl::StatusOr<WeightMatrix> transitions =
        ReadMatrix(file, kTransitionsTensor, count, count);
    if (!transitions.ok()) return transitions.status();
    chain.transitions = transitions->ToFloats();
    for (const auto& [name, vector] :
         {std::pair{kStartTransitionsTensor, &chain.start},
          std::pair{kEndTransitionsTensor, &chain.end}}) {
      absl::StatusOr<std::vector<float>> values = ReadVector(file, name, count);
      if (!values.ok()) return values.status();
      *vector = *std::move(values);
    }
  }
  if (!is_bio) return chain;
  if (constraints->second != kBioConstraints) {
    return absl::InvalidArgumentError(
        absl::StrCat(kConstraintsKey, ": expected ", kBioConstraints,
                     ", found '", Printable(constraints->second), "'"));
  }
  if (absl::Status status = CheckBioLabels(labels); !status.ok()) {
    return status;
  }
  for (size_t j = 0; j < count; ++j) {
    if (!MayFollow(std::nullopt, labels[j])) chain.start[j] = kImpossible;
    for (size_t i = 0; i < count; ++i) {
      if (MayFollow(labels[i], labels[j])) continue;
      chain.transitions[i * count + j] = kImpossible;
    }
  }
  return chain;
}

std::vector<float> RecurrentTagger::Inputs(
    absl::Span<const WordId> ids,
    absl::Span<const absl::string_view> words) const {
  std::vector<float> embeddings = parts_.embedding->CopyRows(ids);
  if (!parts_.characters.has_value()) return embeddings;
  const std::vector<float> characters = parts_.characters->Read(words);
  const size_t embedding = parts_.embedding->cols;
  const size_t outputs = parts_.characters->outputs();
  std::vector<float> x(ids.size() * (embedding + outputs));
  float* to = x.data();
  for (size_t i = 0; i < ids.size(); ++i) {
    to = std::copy_n(embeddings.data() + i * embedding, embedding, to);
    to = std::copy_n(characters.data() + i * outputs, outputs, to);
  }
  return x;
}

void RecurrentTagger::Tag(absl::Span<const Sentence> batch) const {
  std::vector<size_t> lengths;
  for (const Sentence& sentence : batch) {
    lengths.push_back(sentence.words.size());
  }
  RecurrentReader reader(parts_.layers, parts_.bidirectional);
  const size_t count = labels_.size();
  LinearScratch scratch;
  ForEachLengthGroup(lengths, [&](absl::Span<const size_t> group) {
    const size_t steps = lengths[group[0]], rows = group.size();
    if (steps == 0) return;
    std::vector<absl::string_view> words;
    std::vector<WordId> ids;
    for (size_t t = 0; t < steps; ++t) {
      for (size_t sentence : group) {
        words.push_back(batch[sentence].words[t]);
        ids.push_back(vocabulary_.Find(words.back()));
      }
    }
    const std::vector<float>& states =
        reader.Read(Inputs(ids, words), steps, rows);
    std::vector<float> logits(steps * rows * count);
    parts_.output->Apply(states.data(), steps * rows, logits.data(), &scratch);
    for (size_t r = 0; r < rows; ++r) {
      SetLabels({logits.data() + r * count, steps, count, rows * count},
                batch[group[r]]);
    }
  });
}

void RecurrentTagger::SetLabels(MatrixView<const float> logits,
                                const Sentence& sentence) const {
  const size_t count = labels_.size();
  const bool wants_log_probs = !sentence.log_probs.empty();
  if (parts_.chain.has_value()) {
    const LabelChain<float> chain = parts_.chain->View();
    FindBestLabels(chain, logits, sentence.labels);
    if (!wants_log_probs) return;
    const ChainSums<float> sums(chain, logits);
    for (size_t t = 0; t < logits.rows; ++t) {
      for (size_t j = 0; j < count; ++j) {
        sentence.log_probs[t * count + j] =
            static_cast<float>(sums.LogMarginal(t, j));
      }
    }
    return;
  }
  for (size_t t = 0; t < logits.rows; ++t) {
    const absl::Span<const float> row(logits.row(t), count);
    sentence.labels[t] = static_cast<size_t>(
        std::max_element(row.begin(), row.end()) - row.begin());
    if (!wants_log_probs) continue;
    SetLogSoftmax(row, sentence.log_probs.data() + t * count);
  }
}

}  // namespace lmserve
