// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/kenlm_writer.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "ngram_files/murmur_hash.h"

namespace lmserve {
namespace {

using Words = std::vector<std::string>;

// The ids of an n-gram, the last word first.
using Ids = std::vector<uint32_t>;

Words Suffix(const Words& ngram) { return {ngram.begin() + 1, ngram.end()}; }
Words Context(const Words& ngram) { return {ngram.begin(), ngram.end() - 1}; }

// Returns the words in the order of their ids.
Words WordsById(const KenlmNgrams& ngrams) {
  Words words;
  for (const auto& [ngram, values] : ngrams) {
    if (ngram.size() == 1 && ngram[0] != "<unk>") words.push_back(ngram[0]);
  }
  std::sort(words.begin(), words.end(),
            [](const std::string& a, const std::string& b) {
              return MurmurHash64A(a) < MurmurHash64A(b);
            });
  words.insert(words.begin(), "<unk>");
  return words;
}

size_t OrderOf(const KenlmNgrams& ngrams) {
  size_t order = 0;
  for (const auto& [ngram, values] : ngrams) {
    order = std::max(order, ngram.size());
  }
  return order;
}

// Adds each missing suffix with the probability to which it backs off.
KenlmNgrams WithBlanks(KenlmNgrams ngrams) {
  std::set<Words> blanks;
  for (const auto& [ngram, values] : ngrams) {
    for (Words blank = ngram; blank.size() > 1; blank = Suffix(blank)) {
      if (!ngrams.contains(blank)) blanks.insert(blank);
    }
  }
  for (size_t size = 2; size < OrderOf(ngrams); ++size) {
    for (const Words& blank : blanks) {
      if (blank.size() != size) continue;
      ngrams[blank].prob =
          ngrams.at(Suffix(blank)).prob + ngrams[Context(blank)].backoff;
    }
  }
  return ngrams;
}

class Writer {
 public:
  Writer(const KenlmNgrams& ngrams, const KenlmKind& kind)
      : kind_(kind), words_(WordsById(ngrams)), levels_(OrderOf(ngrams)) {
    std::map<std::string, uint32_t> ids;
    for (uint32_t id = 0; id < words_.size(); ++id) ids[words_[id]] = id;
    const KenlmNgrams all = WithBlanks(ngrams);
    std::set<Words> contexts;
    for (const auto& [ngram, values] : all) contexts.insert(Context(ngram));
    for (const auto& [ngram, values] : all) {
      Ids reversed;
      for (const std::string& word : ngram) {
        reversed.insert(reversed.begin(), ids.at(word));
      }
      KenlmNgram& written = levels_[ngram.size() - 1][reversed];
      written = values;
      // The sign of 0 says whether the n-gram is a context.
      if (values.backoff == 0) {
        written.backoff = contexts.contains(ngram) ? 0.0f : -0.0f;
      }
    }
  }

  std::string Write() {
    WriteHeader();
    Put<uint64_t>(words_.size() - 1);
    for (size_t i = 1; i < words_.size(); ++i) Put(MurmurHash64A(words_[i]));
    Put<uint64_t>(0);
    if (kind_.prob_bits > 0) WriteTables();
    WriteUnigrams();
    for (size_t k = 2; k <= levels_.size(); ++k) WriteLevel(k);
    for (const std::string& word : words_) bytes_.append(word + '\0');
    return std::move(bytes_);
  }

 private:
  using Level = std::map<Ids, KenlmNgram>;

  template <typename T>
  void Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  void PadTo8() { bytes_.resize((bytes_.size() + 7) / 8 * 8); }

  void WriteHeader() {
    bytes_ = "mmap lm http://kheafield.com/code format version 5\n";
    bytes_.resize(56);
    Put(0.0f);
    Put(1.0f);
    Put(-0.5f);
    Put<uint32_t>(1);
    Put<uint32_t>(-1);
    Put<uint32_t>(0);
    Put<uint64_t>(1);
    Put<uint32_t>(levels_.size());
    Put(1.5f);
    Put<uint32_t>(2 + (kind_.prob_bits > 0 ? 1 : 0) +
                  (kind_.pointer_bits >= 0 ? 2 : 0));
    Put<uint32_t>(1);
    Put<uint32_t>(1);
    for (const Level& level : levels_) Put<uint64_t>(level.size());
    PadTo8();
  }

  // Writes the distinct values in ascending order, filled up with -infinity.
  std::vector<float> WriteTable(std::vector<float> table,
                                const std::set<float>& values, int bits) {
    table.insert(table.end(), values.begin(), values.end());
    if (table.size() > size_t{1} << bits) std::abort();
    table.resize(size_t{1} << bits, -std::numeric_limits<float>::infinity());
    for (float value : table) Put(value);
    return table;
  }

  void WriteTables() {
    Put<uint8_t>(2);
    Put<uint8_t>(kind_.prob_bits);
    Put<uint8_t>(kind_.backoff_bits);
    PadTo8();
    for (size_t k = 2; k <= levels_.size(); ++k) {
      std::set<float> probs, backoffs;
      for (const auto& [ids, values] : levels_[k - 1]) {
        probs.insert(values.prob);
        if (values.backoff != 0) backoffs.insert(values.backoff);
      }
      probs_.push_back(WriteTable({}, probs, kind_.prob_bits));
      if (k == levels_.size()) break;
      backoffs_.push_back(
          WriteTable({-0.0f, 0.0f}, backoffs, kind_.backoff_bits));
    }
  }

  // The number of n-grams of order k that come before the children of one of
  // order k - 1.
  uint64_t Next(size_t k, const Ids& ids) const {
    const Level& level = levels_[k - 1];
    return std::distance(level.begin(), level.lower_bound(ids));
  }

  void WriteUnigrams() {
    for (const auto& [ids, values] : levels_[0]) {
      Put(values.prob);
      Put(values.backoff);
      Put<uint64_t>(Next(2, ids));
    }
    Put<uint64_t>(0);
    Put<uint64_t>(levels_[1].size());
    Put<uint64_t>(0);
    Put<uint64_t>(0);
  }

  static int Width(uint64_t max) { return std::bit_width(max); }

  // Appends the lowest bits of a number to the records.
  void PutBits(uint64_t value, int bits) {
    for (int i = 0; i < bits; ++i) records_.push_back(value >> i & 1);
  }

  static uint64_t IndexOf(const std::vector<float>& table, float value) {
    for (size_t i = 0; i < table.size(); ++i) {
      if (std::bit_cast<uint32_t>(table[i]) == std::bit_cast<uint32_t>(value)) {
        return i;
      }
    }
    std::abort();
  }

  void PutValues(size_t k, const KenlmNgram& values) {
    const bool is_highest = k == levels_.size();
    if (kind_.prob_bits > 0) {
      if (!is_highest) {
        PutBits(IndexOf(backoffs_[k - 2], values.backoff), kind_.backoff_bits);
      }
      PutBits(IndexOf(probs_[k - 2], values.prob), kind_.prob_bits);
      return;
    }
    PutBits(std::bit_cast<uint32_t>(values.prob), 31);
    if (!is_highest) PutBits(std::bit_cast<uint32_t>(values.backoff), 32);
  }

  void WriteLevel(size_t k) {
    const Level& level = levels_[k - 1];
    const bool is_highest = k == levels_.size();
    const uint64_t max_next = is_highest ? 0 : levels_[k].size();
    const int low = is_highest ? 0 : WriteOffsets(k);
    const int word_bits = Width(levels_[0].size());
    records_.clear();
    for (const auto& [ids, values] : level) {
      PutBits(ids.back(), word_bits);
      PutValues(k, values);
      PutBits(is_highest ? 0 : Next(k + 1, ids), low);
    }
    // The record after the last one has only `next`.
    const size_t bits = (level.empty() ? RecordBits(k, word_bits, low)
                                       : records_.size() / level.size());
    records_.resize(records_.size() + bits - low);
    PutBits(max_next, low);
    records_.resize((records_.size() + 7) / 8 * 8);
    for (size_t i = 0; i < records_.size(); i += 8) {
      uint8_t byte = 0;
      for (int bit = 0; bit < 8; ++bit) byte |= records_[i + bit] << bit;
      Put(byte);
    }
    Put<uint64_t>(0);
  }

  size_t RecordBits(size_t k, int word_bits, int low) {
    records_.clear();
    PutValues(k, {-1, 0});
    const size_t bits = word_bits + records_.size() + low;
    records_.clear();
    return bits;
  }

  // Writes the offsets of array pointers, if the file has them. Returns the
  // number of bits of `next` that are in the records.
  int WriteOffsets(size_t k) {
    const Level& level = levels_[k - 1];
    const uint64_t max_next = levels_[k].size();
    const int all = Width(max_next);
    if (kind_.pointer_bits < 0) return all;
    // As many bits as make offsets and records smallest, the fewest of these.
    std::map<int64_t, int> by_size;
    for (int low = all - std::min(all, kind_.pointer_bits); low <= all; ++low) {
      by_size[int64_t(64 * (max_next >> low)) -
              int64_t(level.size() + 1) * (all - low)] = low;
    }
    const int low = by_size.begin()->second;
    const size_t begin = bytes_.size();
    Put<uint8_t>(0);
    Put<uint8_t>(kind_.pointer_bits);
    bytes_.resize((begin + 7) / 8 * 8 + 8);
    std::vector<uint64_t> nexts;
    for (const auto& [ids, values] : level) nexts.push_back(Next(k + 1, ids));
    nexts.push_back(max_next);
    for (uint64_t high = 0; high <= max_next >> low; ++high) {
      uint64_t first = 0;
      while (nexts[first] >> low < high) ++first;
      Put<uint64_t>(high == 0 ? 0 : first);
    }
    bytes_.resize(begin + 8 * (2 + (max_next >> low)) + 7);
    return low;
  }

  const KenlmKind kind_;
  const Words words_;
  std::vector<Level> levels_;
  std::vector<std::vector<float>> probs_, backoffs_;
  std::vector<bool> records_;
  std::string bytes_;
};

}  // namespace

std::string WriteKenlm(const KenlmNgrams& ngrams, const KenlmKind& kind) {
  return Writer(ngrams, kind).Write();
}

std::string KenlmArpa(const KenlmNgrams& ngrams) {
  std::string header = "\\data\\\n", body;
  const auto add = [&](const Words& words, const KenlmNgram& values) {
    // The exact value of a float has up to 112 digits.
    absl::StrAppendFormat(&body, "%.120g\t%s\t%.120g\n", values.prob,
                          absl::StrJoin(words, " "), values.backoff);
  };
  for (size_t k = 1; k <= OrderOf(ngrams); ++k) {
    absl::StrAppend(&body, "\n\\", k, "-grams:\n");
    size_t count = 0;
    if (k == 1) {
      for (const std::string& word : WordsById(ngrams)) {
        add({word}, ngrams.at({word}));
      }
    }
    for (const auto& [ngram, values] : ngrams) {
      if (ngram.size() != k) continue;
      if (k > 1) add(ngram, values);
      ++count;
    }
    absl::StrAppend(&header, "ngram ", k, "=", count, "\n");
  }
  return absl::StrCat(header, body, "\n\\end\\\n");
}

}  // namespace lmserve
