// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/import_torch.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/tensor_file.h"
#include "trainer/text/quoted.h"

namespace lmserve {
namespace {

// Returns the vocabulary with the module's markers replaced by <unk> and </s>,
// and with <s> as the last word if it is missing.
absl::StatusOr<Vocabulary> MakeVocabulary(std::vector<std::string> names,
                                          const TorchOptions& options) {
  std::vector<absl::string_view> words(names.begin(), names.end());
  for (absl::string_view& word : words) {
    if (word == options.unknown) word = kUnknownWord;
    if (word == options.end) word = kEndSentence;
  }
  const auto has = [&](absl::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (!has(kUnknownWord)) {
    std::replace(words.begin(), words.end(), kUnknownUppercase, kUnknownWord);
  }
  for (const auto& [marker, name] : {std::pair{kUnknownWord, &options.unknown},
                                     std::pair{kEndSentence, &options.end}}) {
    if (has(marker)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("vocabulary: expected '", marker, "' or '", *name,
                     "' among its ", words.size(), " words, found neither"));
  }
  if (!has(kBeginSentence)) words.push_back(kBeginSentence);
  return Vocabulary::Create(words);
}

constexpr absl::string_view kLayerPrefix = "rnn.";

bool IsNetworkTensor(absl::string_view name) {
  return absl::StartsWith(name, kLayerPrefix) || name == kEmbeddingTensor ||
         name == kOutputTensor || name == kOutputBiasTensor;
}

// Whether a tensor has one row per word.
bool IsByWord(absl::string_view name) {
  return !absl::StartsWith(name, kLayerPrefix);
}

absl::Status UnusedTensor(absl::string_view name) {
  return absl::InvalidArgumentError(absl::StrCat(
      "tensor ", Quoted(name), ": expected ", kEmbeddingTensor, ", ",
      kOutputTensor, ", ", kOutputBiasTensor, " or a tensor of ", kLayerPrefix,
      "*; without this one the network would be another one"));
}

// Returns the tensors of the network by name, with those for which the metadata
// names another tensor.
absl::StatusOr<TensorFile::Tensors> NetworkTensors(
    const TensorFile& file, const TorchOptions& options) {
  TensorFile::Tensors tensors;
  for (const auto& [name, tensor] : file.tensors()) {
    const auto& ignored = options.ignored;
    if (std::find(ignored.begin(), ignored.end(), name) != ignored.end()) {
      continue;
    }
    if (!IsNetworkTensor(name)) return UnusedTensor(name);
    tensors.emplace(name, tensor);
  }
  for (const auto& [name, kept] : file.metadata()) {
    const auto found = file.tensors().find(kept);
    if (found == file.tensors().end() || file.tensors().contains(name)) {
      continue;
    }
    const auto& ignored = options.ignored;
    if (std::find(ignored.begin(), ignored.end(), name) != ignored.end()) {
      continue;
    }
    if (!IsNetworkTensor(name)) return UnusedTensor(name);
    tensors.emplace(name, found->second);
  }
  // Either name of a tied tensor; the model reads the first one as both.
  const auto output = tensors.find(kOutputTensor);
  if (!tensors.contains(kEmbeddingTensor) && output != tensors.end()) {
    tensors.emplace(kEmbeddingTensor, output->second);
    tensors.erase(output);
  }
  return tensors;
}

// Copies the tensors of the network and adds rows for added words.
class Importer {
 public:
  Importer(const TensorFile::Tensors& tensors, const Vocabulary& vocabulary,
           size_t words)
      : tensors_(tensors), vocabulary_(vocabulary), words_(words) {
    // writer_ has views of the elements: each tensor and each bias.
    arrays_.reserve(2 * tensors.size() + 1);
  }

  absl::Status AddAll() {
    for (const auto& [name, tensor] : tensors_) {
      if (absl::Status status = Add(name, tensor); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  std::string Finish(const TorchOptions& options) {
    AddMissingBiases();
    writer_.SetMetadata(kNonlinearityKey, ActivationName(options.activation));
    return writer_.Finish();
  }

 private:
  absl::Status Add(const std::string& name, const TensorView& tensor) {
    if (!IsFloatType(tensor.type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(name), ": expected floats, found ",
                       TensorTypeName(tensor.type)));
    }
    std::vector<float>& values = arrays_.emplace_back(tensor.size());
    CopyFloats(tensor, absl::MakeSpan(values));
    std::vector<int64_t> shape = tensor.shape;
    if (IsByWord(name)) {
      absl::Status status = AddRows(name, &shape, &values);
      if (!status.ok()) return status;
    }
    writer_.AddFloats(name, std::move(shape), values);
    return absl::OkStatus();
  }

  void AddMissingBiases() {
    if (!tensors_.contains(kOutputBiasTensor)) {
      AddZeros(std::string(kOutputBiasTensor), vocabulary_.size());
    }
    constexpr absl::string_view kBias = "rnn.bias_", kWeight = "rnn.weight_";
    for (const auto& [name, tensor] : tensors_) {
      if (absl::StartsWith(name, kBias)) return;  // bias=True
    }
    for (const auto& [name, tensor] : tensors_) {
      absl::string_view place = name;
      if (!absl::ConsumePrefix(&place, kWeight) || tensor.shape.empty()) {
        continue;
      }
      AddZeros(absl::StrCat(kBias, place), tensor.shape[0]);
    }
  }

  void AddZeros(const std::string& name, size_t size) {
    const std::vector<float>& zeros = arrays_.emplace_back(size);
    writer_.AddFloats(name, {static_cast<int64_t>(size)}, zeros);
  }

  absl::Status AddRows(const std::string& name, std::vector<int64_t>* shape,
                       std::vector<float>* values) const {
    if (shape->empty() || (*shape)[0] != static_cast<int64_t>(words_)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", Quoted(name), ": expected a row for each of the ", words_,
          " words of the vocabulary, found ",
          shape->empty() ? 0 : (*shape)[0]));
    }
    const size_t width = values->size() / words_;
    const size_t end = vocabulary_.end_sentence() * width;
    for (; (*shape)[0] < static_cast<int64_t>(vocabulary_.size());
         ++(*shape)[0]) {
      values->resize(values->size() + width);
      std::copy_n(values->begin() + end, width, values->end() - width);
    }
    return absl::OkStatus();
  }

  const TensorFile::Tensors& tensors_;
  const Vocabulary& vocabulary_;
  const size_t words_;  // number of words in the vocabulary file
  std::vector<std::vector<float>> arrays_;
  TensorFileWriter writer_;
};

}  // namespace

namespace {

absl::Status In(absl::string_view file, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(file, ": ", status.message()));
}

absl::StatusOr<TorchModel> ImportTensors(absl::string_view safetensors,
                                         Vocabulary vocabulary,
                                         size_t word_count,
                                         const TorchOptions& options) {
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(safetensors);
  if (!file.ok()) return file.status();
  const absl::StatusOr<TensorFile::Tensors> tensors =
      NetworkTensors(*file, options);
  if (!tensors.ok()) return tensors.status();
  Importer importer(*tensors, vocabulary, word_count);
  if (absl::Status status = importer.AddAll(); !status.ok()) return status;
  std::string weights = importer.Finish(options);
  const bool bidirectional =
      tensors->contains(LayerTensor("weight_hh", 0, true));
  // Names the tensors that are missing, have another shape or are not used.
  const auto parts = ReadRecurrentParts(weights, vocabulary, bidirectional);
  if (!parts.ok()) return parts.status();
  return TorchModel{
      std::string(bidirectional ? kBidirectionalFamily : kRecurrentFamily),
      std::move(vocabulary), std::move(weights)};
}

}  // namespace

absl::StatusOr<TorchModel> ImportTorch(absl::string_view safetensors,
                                       std::vector<std::string> words,
                                       const TorchOptions& options,
                                       absl::string_view file,
                                       absl::string_view vocabulary_file) {
  const size_t word_count = words.size();
  absl::StatusOr<Vocabulary> vocabulary =
      MakeVocabulary(std::move(words), options);
  if (!vocabulary.ok()) return In(vocabulary_file, vocabulary.status());
  // Otherwise <s> was added.
  const bool has_begin = vocabulary->size() == word_count;
  absl::StatusOr<TorchModel> model =
      ImportTensors(safetensors, *std::move(vocabulary), word_count, options);
  if (!model.ok()) return In(file, model.status());
  if (has_begin) {
    model->warnings.push_back(absl::StrCat(
        vocabulary_file,
        ": the probability that the module gives to <s> is "
        "distributed over the other words, because no text has <s> inside; so "
        "log-probabilities are a little higher than the module's"));
  }
  return model;
}

}  // namespace lmserve
