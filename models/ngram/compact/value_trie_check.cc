// SPDX-License-Identifier: Apache-2.0
//
// ValueTrie::Parse(): checks every byte that look-ups rely on. The number of
// steps is bounded by the size of the file, as in count_trie_check.cc.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "absl/strings/escaping.h"
#include "models/language_model.h"
#include "models/ngram/broken_file.h"
#include "models/ngram/compact/large_context.h"
#include "models/ngram/compact/rank_level_check.h"
#include "models/ngram/compact/value_trie.h"

namespace lmserve {
namespace {

// What the values of an order are.
enum class Use { kLogProbs, kBackoffs };

bool IsAllowed(Use use, float value) {
  return use == Use::kLogProbs ? value <= 0 || std::isnan(value)
                               : value <= kMaxBackOff;
}

// Checks the values of one order and counts the blanks.
class ValueCheck {
 public:
  ValueCheck(const Sections& sections, const ValueRecord& record,
             uint64_t record_at, uint64_t ngrams, Use use)
      : sections_(sections),
        record_(record),
        record_at_(record_at),
        ngrams_(ngrams),
        use_(use) {}

  absl::StatusOr<ValueCodes> Run() {
    codes_.bits = record_.bits;
    codes_.kind = static_cast<CodeKind>(record_.kind);
    codes_.base = record_.base;
    codes_.common = record_.common;
    absl::Status status = CheckFields();
    if (status.ok()) status = FindTable();
    if (status.ok()) status = FindCells();
    if (!status.ok()) return status;
    const auto codes = sections_.Find<uint8_t>(
        Field(offsetof(ValueRecord, codes_at)), "codes", record_.codes_at,
        (record_.codes * record_.bits + 7) / 8);
    if (!codes.ok()) return codes.status();
    codes_.codes = *codes;
    status = CheckCodes();
    if (!status.ok()) return status;
    return codes_;
  }

 private:
  uint64_t Field(size_t offset) const { return record_at_ + offset; }

  absl::Status CheckFields() const {
    const CodeKind plain =
        use_ == Use::kLogProbs ? CodeKind::kLogProb : CodeKind::kFloat;
    if (codes_.kind != CodeKind::kTable && codes_.kind != plain) {
      return BrokenNgramFile(
          Field(offsetof(ValueRecord, kind)), "kind of the codes",
          absl::StrCat("0 or ", static_cast<uint32_t>(plain)), record_.kind);
    }
    if (record_.bits > kMaxCodeBits) {
      return BrokenNgramFile(
          Field(offsetof(ValueRecord, bits)), "bits of a code",
          absl::StrCat("at most ", kMaxCodeBits), record_.bits);
    }
    // With this bound the number of bits does not overflow.
    if (record_.codes > ngrams_ || ngrams_ > UINT64_MAX / 64) {
      return BrokenNgramFile(Field(offsetof(ValueRecord, codes)), "codes",
                             absl::StrCat("at most ", ngrams_), record_.codes);
    }
    if (!IsAllowed(use_, record_.common) || std::isnan(record_.common)) {
      return BrokenNgramFile(
          Field(offsetof(ValueRecord, common)), "the commonest value",
          use_ == Use::kLogProbs ? "at most 0" : "at most 1000",
          record_.common);
    }
    return absl::OkStatus();
  }

  absl::Status FindTable() {
    if (codes_.kind != CodeKind::kTable) return absl::OkStatus();
    const auto table = sections_.Find<float>(
        Field(offsetof(ValueRecord, table_at)), "table of values",
        record_.table_at, record_.table_size);
    if (!table.ok()) return table.status();
    codes_.table = *table;
    for (uint32_t i = 0; i < record_.table_size; ++i) {
      if (IsAllowed(use_, codes_.table[i])) continue;
      return BrokenNgramFile(
          record_.table_at + i * sizeof(float), "value",
          use_ == Use::kLogProbs ? "at most 0" : "at most 1000",
          codes_.table[i]);
    }
    return absl::OkStatus();
  }

  absl::Status FindCells() {
    if (record_.cells_at == 0) {
      if (record_.codes == ngrams_) return absl::OkStatus();
      return BrokenNgramFile(Field(offsetof(ValueRecord, codes)), "codes",
                             ngrams_, record_.codes);
    }
    const uint64_t count = (ngrams_ + kCellRanks - 1) / kCellRanks;
    const auto cells = sections_.Find<uint8_t>(
        Field(offsetof(ValueRecord, cells_at)), "cells of codes",
        record_.cells_at, count * kCellBytes);
    if (!cells.ok()) return cells.status();
    codes_.cells = *cells;
    uint64_t before = 0;
    for (uint64_t i = 0; i < count; ++i) {
      const uint8_t* cell = codes_.cells + i * kCellBytes;
      if (LoadUnaligned<uint32_t>(cell) != before) {
        return BrokenNgramFile(record_.cells_at + i * kCellBytes,
                               "codes before a cell", before,
                               LoadUnaligned<uint32_t>(cell));
      }
      for (uint32_t byte = 4; byte < kCellBytes; byte += 4) {
        before += std::popcount(LoadUnaligned<uint32_t>(cell + byte));
      }
    }
    if (before != record_.codes) {
      return BrokenNgramFile(Field(offsetof(ValueRecord, codes)), "codes",
                             before, record_.codes);
    }
    return absl::OkStatus();
  }

  // Checks each code if not all codes are valid. All of kLogProb are: whatever
  // they are, their value is at most 0 or a blank.
  absl::Status CheckCodes() const {
    const bool all_valid = codes_.kind == CodeKind::kTable
                               ? record_.table_size >= uint64_t{1}
                                                           << record_.bits
                               : codes_.kind == CodeKind::kLogProb;
    if (all_valid) return absl::OkStatus();
    for (uint64_t i = 0; i < record_.codes; ++i) {
      const auto code = static_cast<uint32_t>(ReadBits(
          codes_.codes, i * record_.bits, static_cast<int>(record_.bits)));
      const bool valid = codes_.kind == CodeKind::kTable
                             ? code < record_.table_size
                             : IsAllowed(use_, codes_.Decode(code));
      if (valid) continue;
      return BrokenNgramFile(
          record_.codes_at + i * record_.bits / 8, "code",
          codes_.kind == CodeKind::kTable
              ? absl::StrCat("less than ", record_.table_size)
              : "a value of at most 1000",
          code);
    }
    return absl::OkStatus();
  }

  const Sections& sections_;
  const ValueRecord& record_;
  const uint64_t record_at_;
  const uint64_t ngrams_;
  const Use use_;
  ValueCodes codes_ = {};
};

absl::Status CheckHeader(const ValueTrieHeader& header, uint64_t size,
                         WordId vocabulary_size) {
  if (header.order < 1 || header.order > kMaxNgramOrder) {
    return BrokenNgramFile(offsetof(ValueTrieHeader, order), "order",
                           absl::StrCat("1 to ", kMaxNgramOrder), header.order);
  }
  if (header.vocabulary_size != vocabulary_size) {
    return BrokenNgramFile(offsetof(ValueTrieHeader, vocabulary_size), "words",
                           vocabulary_size, header.vocabulary_size);
  }
  if (header.file_size != size) {
    return BrokenNgramFile(offsetof(ValueTrieHeader, file_size), "file size",
                           size, header.file_size);
  }
  if (header.rule > static_cast<uint32_t>(UnseenRule::kStupid)) {
    return BrokenNgramFile(offsetof(ValueTrieHeader, rule),
                           "rule for unseen words", "0 to 2", header.rule);
  }
  if (!std::isfinite(header.log_alpha) || header.log_alpha > 0) {
    return BrokenNgramFile(offsetof(ValueTrieHeader, log_alpha), "ln alpha",
                           "a finite number of at most 0", header.log_alpha);
  }
  return absl::OkStatus();
}

// Checks that the number of blanks of an order, which stands at the offset
// `field`, is right.
absl::Status CheckBlanks(const ValueCodes& log_probs, const ValueRecord& record,
                         uint64_t blanks, uint64_t field) {
  const auto bits = static_cast<int>(record.bits);
  uint64_t found = 0;
  // The n-grams without a code have a number.
  for (uint64_t i = 0; i < record.codes; ++i) {
    found += std::isnan(log_probs.Decode(
        static_cast<uint32_t>(ReadBits(log_probs.codes, i * bits, bits))));
  }
  if (found == blanks) return absl::OkStatus();
  return BrokenNgramFile(field, "blanks", found, blanks);
}

absl::Status CheckUnigrams(const ValueTrie& trie, WordId begin_sentence,
                           const ValueRecord& record, uint64_t order_at) {
  for (WordId word = 0; word < trie.vocabulary_size; ++word) {
    const float value = trie.UnigramLogProb(word);
    const bool right =
        word == begin_sentence ? value == kImpossible : !std::isnan(value);
    if (right) continue;
    return BrokenNgramFile(
        record.codes_at, absl::StrCat("log-probability of word ", word),
        word == begin_sentence ? "-inf for <s>" : "a number", value);
  }
  std::vector<bool> seen(trie.vocabulary_size);
  ScoredWord last = {0, 1};
  for (WordId i = 0; i < trie.vocabulary_size; ++i) {
    const WordId word = trie.BestUnigram(i);
    if (word >= trie.vocabulary_size || seen[word] ||
        !Likelier(last, {word, trie.UnigramLogProb(word)})) {
      return BrokenNgramFile(order_at,
                             absl::StrCat("word ", i, " by probability"),
                             "each word once, by descending probability", word);
    }
    seen[word] = true;
    last = {word, trie.UnigramLogProb(word)};
  }
  return absl::OkStatus();
}

// Checks that the lists of the likeliest children of the large contexts of
// order k are right.
absl::Status CheckBest(const ValueTrie& trie, int k, uint64_t larges_at) {
  const RankLevel& level = trie.levels[k - 1];
  const ValueCodes& log_probs = trie.log_probs[k];
  for (uint64_t index = 0; index < level.large_count; ++index) {
    const LargeContext& large = level.larges[index];
    if (large.size <= kListedChildren) continue;
    const NgramId first = level.LargeFirstChild(large, index);
    const auto child = [&](uint32_t position) {
      const float value = log_probs.Value(first + position);
      return ScoredWord{position, std::isnan(value) ? kImpossible : value};
    };
    const uint8_t* best = LargeBestAt(large, level.LargeData(large, index));
    const int width = BitWidth(large.size - 1);
    const auto listed = [&](uint32_t i) {
      return child(
          static_cast<uint32_t>(ReadBits(best, uint64_t{i} * width, width)));
    };
    bool sorted = true;
    for (uint32_t i = 1; i < kListedChildren && sorted; ++i) {
      sorted = Likelier(listed(i - 1), listed(i));
    }
    const ScoredWord last = listed(kListedChildren - 1);
    uint32_t likelier = 0;
    for (uint32_t i = 0; i < large.size; ++i) {
      likelier += Likelier(child(i), last);
    }
    if (sorted && likelier == kListedChildren - 1) continue;
    return BrokenNgramFile(
        larges_at + index * sizeof(LargeContext), "likeliest children",
        "descending probability, then ascending position", "another order");
  }
  return absl::OkStatus();
}

}  // namespace

bool ValueTrie::Matches(absl::string_view bytes) {
  return bytes.substr(0, kValueTrieMagic.size()) ==
         absl::string_view(kValueTrieMagic.data(), kValueTrieMagic.size());
}

absl::StatusOr<ValueTrie> ValueTrie::Parse(absl::string_view bytes,
                                           WordId vocabulary_size,
                                           WordId begin_sentence) {
  ValueTrieHeader header;
  if (!Matches(bytes) || bytes.size() < sizeof(header)) {
    return BrokenNgramFile(0, "header", "lmvalue1 and the other fields",
                           absl::CHexEscape(bytes.substr(0, 8)));
  }
  std::memcpy(&header, bytes.data(), sizeof(header));
  absl::Status status = CheckHeader(header, bytes.size(), vocabulary_size);
  if (!status.ok()) return status;
  const size_t orders_at = sizeof(header);
  const size_t levels_at = orders_at + header.order * sizeof(ValueOrderRecord);
  const size_t end = levels_at + (header.order - 1) * sizeof(RankLevelRecord);
  if (bytes.size() < end) {
    return BrokenNgramFile(orders_at, "bytes of the records", end,
                           bytes.size());
  }
  const Sections sections(bytes);
  ValueTrie trie;
  trie.vocabulary_size = vocabulary_size;
  trie.rule = static_cast<UnseenRule>(header.rule);
  trie.log_alpha = header.log_alpha;
  for (uint32_t k = 1; k <= header.order; ++k) {
    uint64_t larges_at = 0;
    if (k > 1) {
      RankLevelRecord record;
      const size_t at = levels_at + (k - 2) * sizeof(record);
      std::memcpy(&record, bytes.data() + at, sizeof(record));
      const absl::StatusOr<RankLevel> level =
          ParseRankLevel(bytes, record,
                         {.order = static_cast<int>(k) - 1,
                          .record_at = at,
                          .contexts = trie.Entries(static_cast<int>(k) - 1),
                          .vocabulary_size = vocabulary_size,
                          .begin_sentence = begin_sentence});
      if (!level.ok()) return level.status();
      trie.levels.push_back(*level);
      larges_at = record.larges_at;
    }
    ValueOrderRecord record;
    const size_t at = orders_at + (k - 1) * sizeof(record);
    std::memcpy(&record, bytes.data() + at, sizeof(record));
    const uint64_t ngrams = trie.Entries(static_cast<int>(k));
    const absl::StatusOr<ValueCodes> log_probs =
        ValueCheck(sections, record.log_probs,
                   at + offsetof(ValueOrderRecord, log_probs), ngrams,
                   Use::kLogProbs)
            .Run();
    if (!log_probs.ok()) return log_probs.status();
    trie.log_probs.push_back(*log_probs);
    trie.blanks.push_back(record.blanks);
    status = CheckBlanks(*log_probs, record.log_probs, record.blanks, at);
    if (status.ok() && k > 1) {
      status = CheckBest(trie, static_cast<int>(k) - 1, larges_at);
    }
    if (!status.ok()) return status;
    if (k == 1) {
      const uint64_t order_bits =
          uint64_t{vocabulary_size} * BitWidth(vocabulary_size - 1);
      const auto order = sections.Find<uint8_t>(
          offsetof(ValueTrieHeader, unigram_order_at), "order of the unigrams",
          header.unigram_order_at, (order_bits + 7) / 8);
      if (!order.ok()) return order.status();
      trie.unigram_order = *order;
      status = CheckUnigrams(trie, begin_sentence, record.log_probs,
                             header.unigram_order_at);
      if (!status.ok()) return status;
    }
    if (k == header.order) break;
    const absl::StatusOr<ValueCodes> backoffs =
        ValueCheck(sections, record.backoffs,
                   at + offsetof(ValueOrderRecord, backoffs), ngrams,
                   Use::kBackoffs)
            .Run();
    if (!backoffs.ok()) return backoffs.status();
    trie.backoffs.push_back(*backoffs);
  }
  return trie;
}

}  // namespace lmserve
