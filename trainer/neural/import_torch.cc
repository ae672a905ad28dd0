// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/import_torch.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/neural/tensor_file.h"

namespace lmserve {
namespace {

// Returns the vocabulary with the module's markers replaced by <unk> and </s>,
// and with <s> as the last word if it is missing.
absl::StatusOr<Vocabulary> MakeVocabulary(absl::string_view text,
                                          const TorchOptions& options) {
  std::vector<absl::string_view> words =
      absl::StrSplit(absl::StripSuffix(text, "\n"), '\n');
  for (absl::string_view& word : words) {
    word = absl::StripSuffix(word, "\r");
    if (word == options.unknown) word = kUnknownWord;
    if (word == options.end) word = kEndSentence;
  }
  for (const auto& [marker, name] : {std::pair{kUnknownWord, &options.unknown},
                                     std::pair{kEndSentence, &options.end}}) {
    if (std::find(words.begin(), words.end(), marker) != words.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("vocabulary: expected '", marker, "' or '", *name,
                     "' among its ", words.size(), " words, found neither"));
  }
  if (std::find(words.begin(), words.end(), kBeginSentence) == words.end()) {
    words.push_back(kBeginSentence);
  }
  return Vocabulary::Create(words);
}

bool IsNetworkTensor(absl::string_view name) {
  return absl::StartsWith(name, "rnn.") || name == kEmbeddingTensor ||
         name == kOutputTensor || name == kOutputBiasTensor;
}

// Whether a tensor has one row per word.
bool IsByWord(absl::string_view name) {
  return !absl::StartsWith(name, "rnn.");
}

// Copies the tensors of the network and adds rows for added words.
class Importer {
 public:
  Importer(const TensorFile& file, const Vocabulary& vocabulary, size_t words)
      : file_(file), vocabulary_(vocabulary), words_(words) {}

  absl::Status Add(const std::string& name, const TensorView& tensor) {
    if (!IsFloatType(tensor.type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", name, "': expected floats, found ",
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

  std::string Finish(const TorchOptions& options) {
    if (file_.Find(kOutputBiasTensor) == nullptr) {
      writer_.AddFloats(kOutputBiasTensor, {vocabulary_.size()},
                        arrays_.emplace_back(vocabulary_.size()));
    }
    writer_.SetMetadata(kNonlinearityKey, ActivationName(options.activation));
    return writer_.Finish();
  }

  // Reserves space for arrays_, because writer_ has views of its elements.
  void Reserve(size_t arrays) { arrays_.reserve(arrays); }

 private:
  absl::Status AddRows(const std::string& name, std::vector<int64_t>* shape,
                       std::vector<float>* values) const {
    if (shape->empty() || (*shape)[0] != static_cast<int64_t>(words_)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", name, "': expected a row for each of the ",
                       words_, " words of the vocabulary, found ",
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

  const TensorFile& file_;
  const Vocabulary& vocabulary_;
  const size_t words_;  // number of words in the vocabulary file
  std::vector<std::vector<float>> arrays_;
  TensorFileWriter writer_;
};

}  // namespace

absl::StatusOr<TorchModel> ImportTorch(absl::string_view safetensors,
                                       absl::string_view vocabulary_text,
                                       const TorchOptions& options) {
  absl::StatusOr<Vocabulary> vocabulary =
      MakeVocabulary(vocabulary_text, options);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<TensorFile> file = TensorFile::Parse(safetensors);
  if (!file.ok()) return file.status();
  const absl::string_view lines = absl::StripSuffix(vocabulary_text, "\n");
  Importer importer(*file, *vocabulary,
                    std::count(lines.begin(), lines.end(), '\n') + 1);
  importer.Reserve(file->tensors().size() + 1);
  for (const auto& [name, tensor] : file->tensors()) {
    if (!IsNetworkTensor(name)) continue;
    absl::Status status = importer.Add(name, tensor);
    if (!status.ok()) return status;
  }
  const bool bidirectional =
      file->Find(LayerTensor("weight_hh", 0, true)) != nullptr;
  return TorchModel{
      std::string(bidirectional ? kBidirectionalFamily : kRecurrentFamily),
      *std::move(vocabulary), importer.Finish(options)};
}

}  // namespace lmserve
