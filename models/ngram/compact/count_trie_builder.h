// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_COUNT_TRIE_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_COUNT_TRIE_BUILDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "models/ngram/compact/count_trie.h"
#include "models/ngram/compact/level_sections.h"
#include "models/ngram/compact/rank_level_builder.h"

namespace lmserve {

// Builds an n-gram file in the compact layout, order by order. Besides the
// counts of the words and the sections it needs memory in proportion to the
// number of children of one context. Not thread-safe; must not be moved.
class CountTrieBuilder {
 public:
  // Calls its argument for each context of an order, in the order of the ids.
  using Contexts = absl::FunctionRef<absl::Status(
      absl::FunctionRef<void(const CountedContext&)>)>;

  // `counts` are those of all words, by id; the count of <s> is ignored.
  CountTrieBuilder(std::vector<uint64_t> counts, WordId begin_sentence,
                   const CountSmoothing& smoothing);

  // Builds the level of the contexts of the next order, from 1 up, and adds it.
  // `plan` is what a RankLevelSurvey says of the same contexts. The sections
  // must be empty. RESOURCE_EXHAUSTED if an offset or a number does not fit its
  // field; the errors of `contexts` and of the sections.
  absl::Status AddLevel(const RankLevelPlan& plan, Contexts contexts,
                        const CountSmoothing& smoothing,
                        std::unique_ptr<LevelSections> sections =
                            std::make_unique<MemoryLevelSections>());

  // Adds the level of the next order, which is built already.
  void AddLevel(BuiltRankLevel level);

  // Calls `append` with the bytes of the file, piece by piece, and frees the
  // sections of each level after its last piece. Returns the size of the file.
  uint64_t Write(absl::FunctionRef<void(absl::string_view)> append);

  // Returns the bytes of the file, instead of Write().
  std::string Finish();

 private:
  // Returns the words of the vocabulary by descending probability, as they are
  // stored.
  std::string UnigramOrder() const;
  // Counts of 8 bytes are used only if one needs them.
  std::string UnigramCounts(size_t size) const;

  const std::vector<uint64_t> counts_;
  std::vector<BuiltRankLevel> levels_;
  CountTrie trie_;  // views of the members above
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_COUNT_TRIE_BUILDER_H_
