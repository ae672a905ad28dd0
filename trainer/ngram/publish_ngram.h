// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_PUBLISH_NGRAM_H_
#define LMSERVE_TRAINER_NGRAM_PUBLISH_NGRAM_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// The contents of ngram.bin, and the numbers of n-grams of order 1, 2, ...
struct NgramFileContents {
  std::string bytes;
  std::vector<uint64_t> ngrams;
};

// The paths of complete files of a model, which must not change any more, and
// the numbers of n-grams.
struct NgramFilePaths {
  std::string vocabulary;
  std::string ngram;
  std::vector<uint64_t> ngrams;
};

// Publishes an n-gram model as the next version of a model in a store and
// returns the version's number. The order and the numbers of n-grams are added
// to the properties.
absl::StatusOr<uint64_t> PublishNgram(
    const std::string& store, absl::string_view name,
    const Vocabulary& vocabulary, const NgramFileContents& file,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test);

// The same for files, which are not read into memory; see NewVersion::paths.
absl::StatusOr<uint64_t> PublishNgram(
    const std::string& store, absl::string_view name,
    const NgramFilePaths& files, std::map<std::string, std::string> properties,
    std::vector<std::string> self_test);

// Build the file of a table: in the fast layout, or in the compact layout with
// values, which are exact if `quantize_bits` is 0. See BuildValueFile().
absl::StatusOr<NgramFileContents> BuildFastFile(const NgramTable& table);
absl::StatusOr<NgramFileContents> BuildValuesFile(const NgramTable& table,
                                                  int quantize_bits);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_PUBLISH_NGRAM_H_
