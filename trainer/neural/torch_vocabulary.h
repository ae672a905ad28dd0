// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_TORCH_VOCABULARY_H_
#define LMSERVE_TRAINER_NEURAL_TORCH_VOCABULARY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The forms in which PyTorch users keep the words of a model.
enum class TorchVocabularyForm {
  // Recognized by its contents: torch, json or lines.
  kAny,
  // A word a line, in the order of the ids.
  kLines,
  // A list of words, or a map from words to ids 0, 1, ...
  kJson,
  // A file of torch.save() with such a list or map, or a Vocab of torchtext.
  kTorch,
  // dict.txt of fairseq: a word and its count a line. Before the words are
  // <s>, <pad>, </s> and <unk>.
  kFairseq,
};

// Returns the words of the contents of a file, in the order of their ids.
// Returns INVALID_ARGUMENT, with the line or the word, if it does not have the
// form.
absl::StatusOr<std::vector<std::string>> ParseTorchVocabulary(
    absl::string_view bytes, TorchVocabularyForm form);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_TORCH_VOCABULARY_H_
