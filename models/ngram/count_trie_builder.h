// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COUNT_TRIE_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_COUNT_TRIE_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/ngram/count_level_builder.h"
#include "models/ngram/count_trie.h"

namespace lmserve {

// Builds an n-gram file in the compact layout, order by order. Keeps the file
// in memory. Not thread-safe; must not be moved.
class CountTrieBuilder {
 public:
  // Calls its argument for each context of an order, in the order of the ids.
  using Contexts =
      absl::FunctionRef<void(absl::FunctionRef<void(const CountedContext&)>)>;

  // `counts` are those of all words, by id; the count of <s> is ignored.
  CountTrieBuilder(std::vector<uint64_t> counts, WordId begin_sentence,
                   const CountSmoothing& smoothing);

  // Adds the contexts of the next order, from 1 up. Calls `contexts` twice,
  // and must get the same contexts. RESOURCE_EXHAUSTED if an offset or a number
  // does not fit its field.
  absl::Status AddLevel(Contexts contexts, const CountSmoothing& smoothing);

  // Returns the contents of the file.
  std::string Finish();

 private:
  // Returns the words of the vocabulary by descending probability, as they are
  // stored.
  std::string UnigramOrder() const;
  // Counts of 8 bytes are used only if one needs them.
  std::string UnigramCounts(size_t size) const;

  const std::vector<uint64_t> counts_;
  std::vector<BuiltCountLevel> levels_;
  CountTrie trie_;  // views of the members above
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COUNT_TRIE_BUILDER_H_
