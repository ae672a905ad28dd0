// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_LOADER_INPUT_H_
#define LMSERVE_TESTS_FUZZ_LOADER_INPUT_H_

#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// What reads the input of the loader fuzzer: the first byte of the input,
// modulo kLoaders.
enum class Loader : uint8_t {
  kModel,  // a vocabulary.txt and an ngram.bin
  kVocabulary,
  kManifest,
  kSelfTest,
  kAliases,
  kModelName,
  kReranker,
  kLabels,      // a labels.txt
  kTagger,      // a labels.txt and a weights.safetensors
  kClassifier,  // the same
  kCache,       // a cache.json
};
inline constexpr int kLoaders = 11;

// The files of Loader::kModel. The input contains the length of the vocabulary
// (4 bytes, little-endian), the vocabulary, then ngram.bin.
struct ModelInput {
  std::string vocabulary;
  std::string ngram;
};

// The files of Loader::kTagger and Loader::kClassifier, after the first byte,
// in the same form as those of Loader::kModel. The vocabulary is always
// kLabelingVocabulary.
struct LabelingInput {
  std::string labels;
  std::string weights;
};
inline constexpr absl::string_view kLabelingVocabulary =
    "<unk>\n<s>\n</s>\na\nb\n";
std::string JoinLabeling(Loader loader, const LabelingInput& model);
LabelingInput SplitLabeling(absl::string_view rest);

// Return the input with its first byte, and the files of an input without it.
// Any input can be split.
std::string JoinModel(const ModelInput& model);
ModelInput SplitModel(absl::string_view rest);

// Changes some numbers of an ngram.bin, or its number of n-grams, which
// mutations of single bits would rarely do well.
void MutateNgram(std::minstd_rand& random, std::string* bytes);

// Changes the file so that it has the right size, numbers in the valid ranges
// and a vocabulary of the same size, so that only its meaning may be wrong.
// Often also repairs the links, which makes the file entirely valid.
void RepairModel(std::minstd_rand& random, ModelInput* model);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_LOADER_INPUT_H_
