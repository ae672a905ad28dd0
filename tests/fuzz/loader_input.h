#ifndef LMSERVE_TESTS_FUZZ_LOADER_INPUT_H_
#define LMSERVE_TESTS_FUZZ_LOADER_INPUT_H_

#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// What reads the input of the loader fuzzer; its first byte, less what is past
// the last one.
enum class Loader : uint8_t {
  kModel,  // a vocabulary.txt and an ngram.bin
  kVocabulary,
  kManifest,
  kSelfTest,
  kAliases,
  kModelName,
  kReranker,
};
inline constexpr int kLoaders = 7;

// The files of Loader::kModel: the length of the vocabulary in 4 bytes,
// little-endian, the vocabulary, the rest.
struct ModelInput {
  std::string vocabulary;
  std::string ngram;
};

// The input with its first byte. Any bytes can be taken apart.
std::string JoinModel(const ModelInput& model);
ModelInput SplitModel(absl::string_view rest);

// Changes some numbers of an ngram.bin, or how many n-grams it has, so that it
// is broken where few bits are.
void MutateNgram(std::minstd_rand& random, std::string* bytes);

// Makes a file of the right size with all its numbers in range, whatever they
// were, and a vocabulary as large: what is left to be wrong is what they mean.
// Often the links are repaired, too, and then all is right.
void RepairModel(std::minstd_rand& random, ModelInput* model);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_LOADER_INPUT_H_
