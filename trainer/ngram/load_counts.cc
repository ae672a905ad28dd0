// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/load_counts.h"

#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "trainer/counting/trie_reader.h"
#include "trainer/counting/word_table.h"

namespace lmserve {
namespace {

constexpr uint64_t kMax32 = std::numeric_limits<uint32_t>::max();

absl::Status TooMany(int order) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "order ", order,
      ": expected at most 2^32 - 1 n-grams, each as often at most, "
      "found more"));
}

// Reads order k and sets the children of the order below.
absl::Status LoadLevel(const TrieShape& shape, int k, const WorkDirectory& work,
                       NgramCounts* counts) {
  if (shape.ngrams[k - 1] > kMax32) return TooMany(k);
  absl::StatusOr<std::unique_ptr<TrieReader>> reader =
      TrieReader::Open(shape, k, work);
  if (!reader.ok()) return reader.status();
  CountedLevel& level = counts->levels[k - 1];
  level.words.reserve(shape.ngrams[k - 1]);
  level.counts.reserve(shape.ngrams[k - 1]);
  if (k > 1) level.suffixes.reserve(shape.ngrams[k - 1]);
  while ((*reader)->Next()) {
    if (k > 1) counts->levels[k - 2].children.push_back(level.words.size());
    for (const TrieChild& child : (*reader)->children()) {
      if (child.text_count > kMax32) return TooMany(k);
      level.words.push_back(child.word);
      level.counts.push_back(child.text_count);
      // The suffix is the child of that rank of the suffix of the context.
      if (k == 2) level.suffixes.push_back(child.rank);
      if (k > 2) {
        const auto context = counts->levels[k - 3].children.begin() +
                             static_cast<ptrdiff_t>((*reader)->suffix());
        if (child.rank >= context[1] - context[0]) {
          return absl::DataLossError(absl::StrCat(
              work.File(TrieRanksFile(k)), ": a suffix that does not exist"));
        }
        level.suffixes.push_back(context[0] + child.rank);
      }
    }
  }
  if (k > 1) counts->levels[k - 2].children.push_back(level.words.size());
  return (*reader)->status();
}

}  // namespace

absl::StatusOr<NgramCounts> LoadCounts(const TrieShape& shape,
                                       const WorkDirectory& work) {
  NgramCounts counts;
  counts.begin_sentence = kBeginId;
  counts.levels.resize(shape.order());
  for (int k = 1; k <= shape.order(); ++k) {
    absl::Status status = LoadLevel(shape, k, work, &counts);
    if (!status.ok()) return status;
  }
  return counts;
}

}  // namespace lmserve
