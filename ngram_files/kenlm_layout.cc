// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/kenlm_layout.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/ngram/ngram_table.h"
#include "models/quoted.h"
#include "text_io/text_format.h"

namespace lmserve {
namespace {

constexpr absl::string_view kMagicOfAll = "mmap lm http://kheafield.com/code";
constexpr absl::string_view kMagicIncomplete =
    "mmap lm http://kheafield.com/code incomplete";
constexpr absl::string_view kMagic =
    "mmap lm http://kheafield.com/code format version 5\n";
constexpr size_t kMagicSize = 56;

// Offsets in the header.
constexpr uint64_t kOrderAt = 88;
constexpr uint64_t kKindAt = 96;
constexpr uint64_t kHasWordsAt = 100;
constexpr uint64_t kVersionAt = 104;
constexpr uint64_t kCountsAt = 108;

// The kinds of files.
constexpr uint32_t kTrie = 2;
constexpr uint32_t kQuantizedAdds = 1;
constexpr uint32_t kArrayPointersAdd = 2;

constexpr int kTrieVersion = 1;
constexpr int kQuantizationVersion = 2;
constexpr int kArrayPointersVersion = 0;
constexpr int kMaxQuantizationBits = 25;

constexpr absl::string_view kWayOut =
    "; import the ARPA file that it was built from with import-arpa";

uint64_t RoundUp8(uint64_t at) { return (at + 7) / 8 * 8; }

// The bits for the numbers from 0 to `max`.
int RequiredBits(uint64_t max) { return static_cast<int>(std::bit_width(max)); }

// Checks the magic and the numbers that show the order of bytes.
absl::Status CheckMagic(absl::string_view bytes) {
  if (CompressionOf(bytes) != Compression::kNone) {
    return KenlmError(0, "magic", "a binary file of KenLM",
                      "compressed data; decompress it first");
  }
  if (!absl::StartsWith(bytes, kMagicOfAll)) {
    return KenlmError(
        0, "magic", "a binary file of KenLM (import-arpa imports an ARPA file)",
        Quoted(bytes.substr(0, kMagicOfAll.size())));
  }
  if (absl::StartsWith(bytes, kMagicIncomplete)) {
    return KenlmError(0, "magic", "a complete file",
                      "one that build_binary did not finish; build it again");
  }
  if (!absl::StartsWith(bytes, kMagic)) {
    const absl::string_view found = bytes.substr(kMagicOfAll.size());
    return KenlmError(
        kMagicOfAll.size(), "magic", "format version 5",
        absl::StrCat(Quoted(found.substr(0, found.find('\n'))), kWayOut));
  }
  std::string expected(kMagic);
  expected.resize(kMagicSize);
  const auto append = [&expected](const auto& value) {
    expected.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  for (float value : {0.0f, 1.0f, -0.5f}) append(value);
  for (uint32_t value :
       {uint32_t{1}, std::numeric_limits<uint32_t>::max(), uint32_t{0}}) {
    append(value);
  }
  append(uint64_t{1});
  const auto other =
      std::mismatch(expected.begin(), expected.end(), bytes.begin());
  if (other.first == expected.end()) return absl::OkStatus();
  return KenlmError(other.first - expected.begin(), "test values",
                    "those of a little-endian, 64-bit machine",
                    absl::StrCat("others", kWayOut));
}

// Checks the kind of the file and sets it.
absl::Status ReadKind(absl::string_view bytes, KenlmHeader* header) {
  const auto kind = ReadKenlmValue<uint32_t>(bytes, kKindAt);
  if (kind < kTrie) {
    return KenlmError(
        kKindAt, "kind", "a trie",
        absl::StrCat("probing hash tables", kind == 0 ? "" : " with rest costs",
                     ", which do not have the words of their n-grams", kWayOut,
                     ", or build a trie from it"));
  }
  if (kind > kTrie + kQuantizedAdds + kArrayPointersAdd) {
    return KenlmError(kKindAt, "kind", "a trie (2 to 5)",
                      absl::StrCat(kind, kWayOut));
  }
  header->is_quantized = ((kind - kTrie) & kQuantizedAdds) != 0;
  header->has_array_pointers = ((kind - kTrie) & kArrayPointersAdd) != 0;
  const auto version = ReadKenlmValue<uint32_t>(bytes, kVersionAt);
  if (version != kTrieVersion) {
    return KenlmError(kVersionAt, "version of the trie",
                      absl::StrCat(kTrieVersion),
                      absl::StrCat(version, kWayOut));
  }
  if (bytes[kHasWordsAt] == 0) {
    return KenlmError(kHasWordsAt, "words", "a file with its words",
                      absl::StrCat("one without (build_binary -v)", kWayOut));
  }
  return absl::OkStatus();
}

// The number of high bits of `next` that array pointers leave out of records:
// the one that makes offsets and records smallest, but at most `max_bits`.
int ChoppedBits(uint64_t records, uint64_t max_next, int max_bits) {
  const int required = RequiredBits(max_next);
  int best = 0;
  int64_t smallest = std::numeric_limits<int64_t>::max();
  for (int chopped = 0; chopped <= std::min(required, max_bits); ++chopped) {
    const int64_t change =
        static_cast<int64_t>(max_next >> (required - chopped)) * 64 -
        static_cast<int64_t>(records) * chopped;
    if (change < smallest) {
      smallest = change;
      best = chopped;
    }
  }
  return best;
}

// Computes a layout from the start of the file to its end.
class LayoutReader {
 public:
  LayoutReader(absl::string_view bytes, KenlmHeader header) : bytes_(bytes) {
    layout_.header = std::move(header);
  }

  absl::StatusOr<KenlmLayout> Read() {
    position_ = RoundUp8(kCountsAt + counts().size() * sizeof(uint64_t));
    layout_.levels.resize(counts().size() - 1);
    layout_.hashes_at = position_;
    Skip(sizeof(uint64_t) * (1 + counts()[0]));
    if (layout_.header.is_quantized) {
      if (absl::Status status = ReadTables(); !status.ok()) return status;
    }
    layout_.unigrams_at = position_;
    Skip(16 * (counts()[0] + 2));
    for (int k = 2; k <= layout_.header.order(); ++k) {
      if (absl::Status status = ReadLevel(k); !status.ok()) return status;
    }
    layout_.words_at = position_;
    if (absl::Status status = NeedBytes(0); !status.ok()) return status;
    return std::move(layout_);
  }

 private:
  const std::vector<uint64_t>& counts() const { return layout_.header.counts; }

  void Skip(uint64_t size) { position_ += size; }

  // Checks that the next bytes, and all that were skipped, are in the file.
  // The header's counts, below 2^32, keep sums far from an overflow.
  absl::Status NeedBytes(uint64_t size) const {
    if (position_ <= bytes_.size() && size <= bytes_.size() - position_) {
      return absl::OkStatus();
    }
    return KenlmError(
        bytes_.size(), "size",
        absl::StrCat("at least ", position_ + size, " bytes, as the header's ",
                     "counts require"),
        absl::StrCat("the end of the file"));
  }

  // Reads a byte of the file at the position + `offset`.
  int Byte(uint64_t offset) const {
    return static_cast<unsigned char>(bytes_[position_ + offset]);
  }

  absl::Status CheckByte(uint64_t offset, absl::string_view what, int min,
                         int max) const {
    const int found = Byte(offset);
    if (found >= min && found <= max) return absl::OkStatus();
    return KenlmError(
        position_ + offset, what,
        min == max ? absl::StrCat(min) : absl::StrCat(min, " to ", max),
        absl::StrCat(found));
  }

  absl::Status ReadTables() {
    if (absl::Status status = NeedBytes(8); !status.ok()) return status;
    absl::Status status = CheckByte(0, "version of the quantization",
                                    kQuantizationVersion, kQuantizationVersion);
    status.Update(
        CheckByte(1, "bits of a probability", 1, kMaxQuantizationBits));
    status.Update(
        CheckByte(2, "bits of a back-off weight", 1, kMaxQuantizationBits));
    if (!status.ok()) return status;
    quantized_prob_bits_ = Byte(1);
    quantized_backoff_bits_ = Byte(2);
    Skip(8);
    for (KenlmLevel& level : layout_.levels) {
      level.probs_at = position_;
      Skip(sizeof(float) << quantized_prob_bits_);
      if (&level == &layout_.levels.back()) break;
      level.backoffs_at = position_;
      Skip(sizeof(float) << quantized_backoff_bits_);
    }
    return absl::OkStatus();
  }

  absl::Status ReadLevel(int k) {
    KenlmLevel& level = layout_.levels[k - 2];
    const bool is_highest = k == layout_.header.order();
    const bool is_quantized = layout_.header.is_quantized;
    level.word_bits = RequiredBits(counts()[0]);
    level.prob_bits = is_quantized ? quantized_prob_bits_ : 31;
    if (!is_highest) {
      level.backoff_bits = is_quantized ? quantized_backoff_bits_ : 32;
      level.next_bits = RequiredBits(counts()[k]);
      if (layout_.header.has_array_pointers) {
        absl::Status status = ReadOffsets(k, &level);
        if (!status.ok()) return status;
      }
    }
    level.records_at = position_;
    Skip(((1 + counts()[k - 1]) * level.record_bits() + 7) / 8 + 8);
    return absl::OkStatus();
  }

  // Places the offsets of array pointers of order k.
  absl::Status ReadOffsets(int k, KenlmLevel* level) {
    if (absl::Status status = NeedBytes(2); !status.ok()) return status;
    absl::Status status =
        CheckByte(0, "version of the array pointers", kArrayPointersVersion,
                  kArrayPointersVersion);
    if (pointer_bits_ < 0) pointer_bits_ = Byte(1);
    status.Update(CheckByte(1, "bits of the array pointers", pointer_bits_,
                            pointer_bits_));
    if (!status.ok()) return status;
    const uint64_t max_next = counts()[k];
    const int chopped =
        ChoppedBits(counts()[k - 1] + 1, max_next, pointer_bits_);
    level->next_bits -= chopped;
    level->offsets = (max_next >> level->next_bits) + 1;
    level->offsets_at = RoundUp8(position_) + sizeof(uint64_t);
    Skip(sizeof(uint64_t) * (1 + level->offsets) + 7);
    return absl::OkStatus();
  }

  const absl::string_view bytes_;
  KenlmLayout layout_;
  uint64_t position_ = 0;
  int quantized_prob_bits_ = 0;
  int quantized_backoff_bits_ = 0;
  int pointer_bits_ = -1;  // of all orders; -1 before the first one is read
};

}  // namespace

bool IsKenlmFile(absl::string_view head) {
  return absl::StartsWith(head, kMagicOfAll);
}

std::string KenlmKindName(const KenlmHeader& header) {
  return absl::StrCat(header.is_quantized ? "quantized " : "", "trie",
                      header.has_array_pointers ? " with array pointers" : "");
}

absl::StatusOr<KenlmHeader> ReadKenlmHeader(absl::string_view bytes) {
  if (bytes.size() < kCountsAt && absl::StartsWith(bytes, kMagic)) {
    return KenlmError(bytes.size(), "header",
                      absl::StrCat("at least ", kCountsAt, " bytes"),
                      "the end of the file");
  }
  if (absl::Status status = CheckMagic(bytes); !status.ok()) return status;
  KenlmHeader header;
  if (absl::Status status = ReadKind(bytes, &header); !status.ok()) {
    return status;
  }
  const int order = static_cast<unsigned char>(bytes[kOrderAt]);
  if (order < 2 || order > kMaxNgramOrder) {
    return KenlmError(kOrderAt, "order", absl::StrCat("2 to ", kMaxNgramOrder),
                      absl::StrCat(order));
  }
  for (int k = 1; k <= order; ++k) {
    const uint64_t at = kCountsAt + (k - 1) * sizeof(uint64_t);
    if (bytes.size() < at + sizeof(uint64_t)) {
      return KenlmError(bytes.size(), "header",
                        absl::StrCat(order, " counts of n-grams"),
                        "the end of the file");
    }
    const auto count = ReadKenlmValue<uint64_t>(bytes, at);
    if (count > std::numeric_limits<uint32_t>::max()) {
      return absl::ResourceExhaustedError(
          KenlmError(at, absl::StrCat("number of ", k, "-grams"),
                     "at most 4294967295", absl::StrCat(count))
              .message());
    }
    header.counts.push_back(count);
  }
  return header;
}

absl::StatusOr<KenlmLayout> ReadKenlmLayout(absl::string_view bytes) {
  absl::StatusOr<KenlmHeader> header = ReadKenlmHeader(bytes);
  if (!header.ok()) return header.status();
  return LayoutReader(bytes, *std::move(header)).Read();
}

uint64_t ReadKenlmBits(absl::string_view bytes, uint64_t at, int bits) {
  return ReadKenlmValue<uint64_t>(bytes, at / 8) >> (at % 8) &
         ((uint64_t{1} << bits) - 1);
}

absl::Status KenlmError(uint64_t at, absl::string_view what,
                        absl::string_view expected, absl::string_view found) {
  return absl::InvalidArgumentError(absl::StrCat(
      "byte ", at, ": ", what, ": expected ", expected, ", found ", found));
}

}  // namespace lmserve
