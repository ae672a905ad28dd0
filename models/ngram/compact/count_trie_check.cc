// SPDX-License-Identifier: Apache-2.0
//
// CountTrie::Parse(): checks every byte that look-ups rely on.

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/escaping.h"
#include "models/ngram/broken_file.h"
#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/count_trie.h"
#include "models/ngram/compact/rank_level_check.h"

namespace lmserve {
namespace {

absl::Status CheckUnigramOrder(const CountTrie& trie, uint64_t offset) {
  std::vector<bool> seen(trie.vocabulary_size);
  double last = 2;
  for (WordId i = 0; i < trie.vocabulary_size; ++i) {
    const WordId word = trie.BestUnigram(i);
    if (word >= trie.vocabulary_size || seen[word] ||
        trie.UnigramProbability(word) > last) {
      return BrokenNgramFile(offset,
                             absl::StrCat("word ", i, " by probability"),
                             "each word once, by descending probability", word);
    }
    seen[word] = true;
    last = trie.UnigramProbability(word);
  }
  return absl::OkStatus();
}

absl::Status FindUnigrams(const Sections& sections,
                          const CountTrieHeader& header, CountTrie* trie) {
  const uint64_t counts_field = offsetof(CountTrieHeader, unigram_counts_at);
  if (header.unigram_count_size == 4) {
    const auto counts = sections.Find<uint32_t>(counts_field, "unigrams",
                                                header.unigram_counts_at,
                                                header.vocabulary_size);
    if (!counts.ok()) return counts.status();
    trie->counts32 = *counts;
  } else if (header.unigram_count_size == 8) {
    const auto counts = sections.Find<uint64_t>(counts_field, "unigrams",
                                                header.unigram_counts_at,
                                                header.vocabulary_size);
    if (!counts.ok()) return counts.status();
    trie->counts64 = *counts;
  } else {
    return BrokenNgramFile(offsetof(CountTrieHeader, unigram_count_size),
                           "bytes of a unigram's count", "4 or 8",
                           header.unigram_count_size);
  }
  absl::Status status =
      CheckSmoothing(header.smoothing, offsetof(CountTrieHeader, smoothing));
  if (!status.ok()) return status;
  trie->unigrams = header.smoothing;
  const uint64_t order_bits =
      uint64_t{header.vocabulary_size} * BitWidth(header.vocabulary_size - 1);
  const auto order = sections.Find<uint8_t>(
      offsetof(CountTrieHeader, unigram_order_at), "order of the unigrams",
      header.unigram_order_at, (order_bits + 7) / 8);
  if (!order.ok()) return order.status();
  trie->unigram_order = *order;
  trie->ComputeUnigramWeights();
  return CheckUnigramOrder(*trie, header.unigram_order_at);
}

}  // namespace

bool CountTrie::Matches(absl::string_view bytes) {
  return bytes.substr(0, kCountTrieMagic.size()) ==
         absl::string_view(kCountTrieMagic.data(), kCountTrieMagic.size());
}

absl::StatusOr<CountTrie> CountTrie::Parse(absl::string_view bytes,
                                           WordId vocabulary_size,
                                           WordId begin_sentence) {
  CountTrieHeader header;
  if (!Matches(bytes) || bytes.size() < sizeof(header)) {
    return BrokenNgramFile(0, "header", "lmcount1 and the other fields",
                           absl::CHexEscape(bytes.substr(0, 8)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.order < 1 || header.order > kMaxNgramOrder) {
    return BrokenNgramFile(offsetof(CountTrieHeader, order), "order",
                           absl::StrCat("1 to ", kMaxNgramOrder), header.order);
  }
  if (header.vocabulary_size != vocabulary_size) {
    return BrokenNgramFile(offsetof(CountTrieHeader, vocabulary_size), "words",
                           vocabulary_size, header.vocabulary_size);
  }
  if (header.file_size != bytes.size()) {
    return BrokenNgramFile(offsetof(CountTrieHeader, file_size), "file size",
                           bytes.size(), header.file_size);
  }
  std::vector<RankLevelRecord> records(header.order - 1);
  const size_t records_size = records.size() * sizeof(RankLevelRecord);
  if (bytes.size() - sizeof(header) < records_size) {
    return BrokenNgramFile(sizeof(header), "bytes of the levels", records_size,
                           bytes.size() - sizeof(header));
  }
  std::copy_n(bytes.data() + sizeof(header), records_size,
              reinterpret_cast<char*>(records.data()));

  CountTrie trie;
  trie.vocabulary_size = vocabulary_size;
  trie.begin_sentence = begin_sentence;
  const Sections sections(bytes);
  absl::Status status = FindUnigrams(sections, header, &trie);
  if (!status.ok()) return status;
  uint64_t contexts = vocabulary_size;
  for (size_t i = 0; i < records.size(); ++i) {
    const absl::StatusOr<RankLevel> level = ParseRankLevel(
        bytes, records[i],
        {.order = static_cast<int>(i) + 1,
         .record_at = sizeof(header) + i * sizeof(RankLevelRecord),
         .contexts = contexts,
         .vocabulary_size = vocabulary_size,
         .begin_sentence = begin_sentence});
    if (!level.ok()) return level.status();
    trie.levels.push_back(*level);
    contexts = records[i].children;
  }
  return trie;
}

}  // namespace lmserve
