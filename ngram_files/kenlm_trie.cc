// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/kenlm_trie.h"

#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/ngram/fast/ngram_file.h"
#include "models/quoted.h"
#include "models/utf8.h"
#include "ngram_files/imported_ngrams.h"
#include "ngram_files/murmur_hash.h"

namespace lmserve {
namespace {

constexpr uint64_t kUnigramBytes = 16;

class KenlmTrieReader {
 public:
  KenlmTrieReader(absl::string_view bytes, KenlmLayout layout) : bytes_(bytes) {
    trie_.layout = std::move(layout);
    trie_.levels.resize(trie_.layout.header.order());
  }

  absl::StatusOr<KenlmTrie> Read() && {
    absl::Status status = ReadWords();
    if (!status.ok()) return status;
    if (status = ReadUnigrams(); !status.ok()) return status;
    for (int k = 2; k <= trie_.layout.header.order(); ++k) {
      if (status = ReadLevel(k); !status.ok()) return status;
    }
    return std::move(trie_);
  }

 private:
  uint64_t Count(int order) const {
    return trie_.layout.header.counts[order - 1];
  }

  // Reads the words and compares each with its hash.
  absl::Status ReadWords() {
    const uint64_t hashes_at = trie_.layout.hashes_at;
    const auto hashes = ReadKenlmValue<uint64_t>(bytes_, hashes_at);
    if (hashes >= Count(1)) {
      return KenlmError(hashes_at, "number of words but <unk>",
                        absl::StrCat("less than ", Count(1)),
                        absl::StrCat(hashes));
    }
    trie_.words.reserve(hashes + 1);
    uint64_t at = trie_.layout.words_at;
    uint64_t hash_before = 0;
    for (uint64_t i = 0; i <= hashes; ++i) {
      const absl::string_view rest = bytes_.substr(at);
      const size_t size = rest.find('\0');
      if (size == absl::string_view::npos) {
        return KenlmError(
            at, absl::StrCat("word ", i),
            absl::StrCat(hashes + 1, " words, each ended by a NUL byte"),
            "the end of the file");
      }
      const absl::string_view word = rest.substr(0, size);
      absl::Status status =
          i == 0 ? CheckFirstWord(word, at)
                 : CheckWord(word, at, hashes_at + 8 * i, &hash_before);
      if (!status.ok()) return status;
      trie_.words.push_back(word);
      at += size + 1;
    }
    if (at == bytes_.size()) return absl::OkStatus();
    return KenlmError(
        at, "words",
        absl::StrCat("the end of the file after ", hashes + 1, " words"),
        Quoted(bytes_.substr(at)));
  }

  static absl::Status CheckFirstWord(absl::string_view word, uint64_t at) {
    if (word == kUnknownWord) return absl::OkStatus();
    return KenlmError(at, "word 0", kUnknownWord, Quoted(word));
  }

  // Checks a word and its hash, which must be larger than the one before.
  absl::Status CheckWord(absl::string_view word, uint64_t at, uint64_t hash_at,
                         uint64_t* hash_before) const {
    const auto hash = ReadKenlmValue<uint64_t>(bytes_, hash_at);
    if (trie_.words.size() > 1 && hash <= *hash_before) {
      return KenlmError(hash_at, "hash of a word",
                        absl::StrCat("more than ", *hash_before, " before it"),
                        absl::StrCat(hash));
    }
    *hash_before = hash;
    if (hash != MurmurHash64A(word)) {
      return KenlmError(at, "word", absl::StrCat("one with the hash ", hash),
                        Quoted(word));
    }
    if (word.empty()) return KenlmError(at, "word", "a byte", "none");
    if (word == kUnknownWord || word == kUnknownUppercase) {
      return KenlmError(at, "word",
                        "another one than <unk> and <UNK>, which are word 0",
                        Quoted(word));
    }
    if (FindInvalidUtf8(word) != absl::string_view::npos) {
      return KenlmError(at, "word", "valid UTF-8", Quoted(word));
    }
    return absl::OkStatus();
  }

  absl::Status CheckProb(uint64_t at, float prob) const {
    if (prob <= 0) return absl::OkStatus();
    return KenlmError(at, "log10 probability", "at most 0", absl::StrCat(prob));
  }

  absl::Status CheckBackoff(uint64_t at, float backoff) const {
    if (backoff * kLn10 <= kMaxBackOff) return absl::OkStatus();
    return KenlmError(at, "back-off weight",
                      absl::StrCat("at most ", kMaxBackOff / kLn10),
                      absl::StrCat(backoff));
  }

  // Adds the `next` of one more entry of order k, or, after the last of them,
  // of the record that ends the level.
  absl::Status AddNext(int k, uint64_t at, uint64_t next, bool is_last) {
    std::vector<uint32_t>& children = trie_.levels[k - 1].children;
    const uint64_t end = Count(k + 1);
    const uint64_t min = children.empty() ? 0 : children.back();
    const bool is_first = children.empty();
    if (next < min || next > end || (is_first && next != 0) ||
        (is_last && next != end)) {
      return KenlmError(at, absl::StrCat("next of a ", k, "-gram"),
                        is_last    ? absl::StrCat(end)
                        : is_first ? "0"
                                   : absl::StrCat(min, " to ", end),
                        absl::StrCat(next));
    }
    children.push_back(static_cast<uint32_t>(next));
    return absl::OkStatus();
  }

  // KenLM reserves a 1-gram for each count of the header, of which there is one
  // too many if the ARPA file had both <unk> and <UNK>. The 1-grams after the
  // last word have no children.
  absl::Status ReadUnigrams() {
    KenlmEntries& level = trie_.levels[0];
    const size_t words = trie_.words.size();
    level.children.reserve(words + 1);
    for (uint64_t i = 0; i <= Count(1); ++i) {
      const uint64_t at = trie_.layout.unigrams_at + i * kUnigramBytes;
      const auto next = ReadKenlmValue<uint64_t>(bytes_, at + 8);
      if (i <= words) {
        absl::Status status = AddNext(1, at + 8, next, i == words);
        if (!status.ok()) return status;
      } else if (next != Count(2)) {
        return KenlmError(at + 8, "next of a 1-gram without a word",
                          absl::StrCat(Count(2)), absl::StrCat(next));
      }
      if (i >= words) continue;
      level.words.push_back(static_cast<WordId>(i));
      level.probs.push_back(ReadKenlmValue<float>(bytes_, at));
      level.backoffs.push_back(ReadKenlmValue<float>(bytes_, at + 4));
      absl::Status status = CheckProb(at, level.probs.back());
      status.Update(CheckBackoff(at + 4, level.backoffs.back()));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadLevel(int k) {
    const KenlmLevel& layout = trie_.layout.levels[k - 2];
    const bool is_highest = k == trie_.layout.header.order();
    absl::Status status = ReadWordsOf(k);
    if (!status.ok()) return status;
    KenlmEntries& level = trie_.levels[k - 1];
    level.probs.reserve(Count(k));
    if (!is_highest) level.backoffs.reserve(Count(k));
    for (uint64_t i = 0; i < Count(k); ++i) {
      const uint64_t bit =
          layout.records_at * 8 + i * layout.record_bits() + layout.word_bits;
      level.probs.push_back(Prob(layout, bit));
      if (status = CheckProb(bit / 8, level.probs.back()); !status.ok()) {
        return status;
      }
      if (is_highest) continue;
      level.backoffs.push_back(Backoff(layout, bit));
      status = CheckBackoff(bit / 8, level.backoffs.back());
      if (!status.ok()) return status;
    }
    return is_highest ? absl::OkStatus() : ReadNexts(k);
  }

  // Reads the first words of the n-grams of order k, which ascend among those
  // of one suffix.
  absl::Status ReadWordsOf(int k) {
    const KenlmLevel& layout = trie_.layout.levels[k - 2];
    const std::vector<uint32_t>& children = trie_.levels[k - 2].children;
    std::vector<WordId>& words = trie_.levels[k - 1].words;
    words.reserve(Count(k));
    for (size_t suffix = 0; suffix + 1 < children.size(); ++suffix) {
      for (uint64_t i = children[suffix]; i < children[suffix + 1]; ++i) {
        const uint64_t bit = layout.records_at * 8 + i * layout.record_bits();
        const uint64_t word = ReadKenlmBits(bytes_, bit, layout.word_bits);
        const bool is_first = i == children[suffix];
        if (word >= trie_.words.size() || (!is_first && word <= words.back())) {
          return KenlmError(
              bit / 8, absl::StrCat("word of a ", k, "-gram"),
              absl::StrCat(is_first ? 0 : uint64_t{words.back()} + 1, " to ",
                           trie_.words.size() - 1),
              absl::StrCat(word));
        }
        words.push_back(static_cast<WordId>(word));
      }
    }
    return absl::OkStatus();
  }

  // Returns the value of a quantized probability or back-off weight.
  float FromTable(uint64_t table_at, uint64_t bit, int bits) const {
    return ReadKenlmValue<float>(
        bytes_, table_at + sizeof(float) * ReadKenlmBits(bytes_, bit, bits));
  }

  // Return the values of a record whose values start at a bit.
  float Prob(const KenlmLevel& layout, uint64_t bit) const {
    if (layout.probs_at > 0) {
      return FromTable(layout.probs_at, bit + layout.backoff_bits,
                       layout.prob_bits);
    }
    constexpr uint32_t kSign = uint32_t{1} << 31;
    const auto bits =
        static_cast<uint32_t>(ReadKenlmBits(bytes_, bit, layout.prob_bits));
    return std::bit_cast<float>(bits | kSign);
  }
  float Backoff(const KenlmLevel& layout, uint64_t bit) const {
    if (layout.probs_at > 0) {
      return FromTable(layout.backoffs_at, bit, layout.backoff_bits);
    }
    return std::bit_cast<float>(static_cast<uint32_t>(
        ReadKenlmBits(bytes_, bit + layout.prob_bits, layout.backoff_bits)));
  }

  // Reads the `next` of all n-grams of order k and of the record after them.
  absl::Status ReadNexts(int k) {
    const KenlmLevel& layout = trie_.layout.levels[k - 2];
    if (absl::Status status = CheckOffsets(layout); !status.ok()) return status;
    trie_.levels[k - 1].children.reserve(Count(k) + 1);
    uint64_t high = 0;
    for (uint64_t i = 0; i <= Count(k); ++i) {
      while (high + 1 < layout.offsets && Offset(layout, high + 1) <= i) ++high;
      const uint64_t bit = layout.records_at * 8 +
                           (i + 1) * layout.record_bits() - layout.next_bits;
      const uint64_t next = high << layout.next_bits |
                            ReadKenlmBits(bytes_, bit, layout.next_bits);
      absl::Status status = AddNext(k, bit / 8, next, i == Count(k));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  uint64_t Offset(const KenlmLevel& layout, uint64_t i) const {
    return ReadKenlmValue<uint64_t>(bytes_, layout.offsets_at + 8 * i);
  }

  absl::Status CheckOffsets(const KenlmLevel& layout) const {
    for (uint64_t i = 0; i < layout.offsets; ++i) {
      const uint64_t min = i == 0 ? 0 : Offset(layout, i - 1);
      const uint64_t found = Offset(layout, i);
      if (i == 0 ? found == 0 : found >= min) continue;
      return KenlmError(layout.offsets_at + 8 * i, "offset of array pointers",
                        i == 0 ? "0" : absl::StrCat("at least ", min),
                        absl::StrCat(found));
    }
    return absl::OkStatus();
  }

  const absl::string_view bytes_;
  KenlmTrie trie_;
};

}  // namespace

uint64_t KenlmTrie::ByteOf(int order, size_t entry) const {
  if (order == 1) return layout.unigrams_at + entry * kUnigramBytes;
  const KenlmLevel& level = layout.levels[order - 2];
  return level.records_at + entry * level.record_bits() / 8;
}

absl::StatusOr<KenlmTrie> ReadKenlmTrie(absl::string_view bytes) {
  absl::StatusOr<KenlmLayout> layout = ReadKenlmLayout(bytes);
  if (!layout.ok()) return layout.status();
  return KenlmTrieReader(bytes, *std::move(layout)).Read();
}

}  // namespace lmserve
