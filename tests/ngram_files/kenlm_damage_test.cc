// SPDX-License-Identifier: Apache-2.0
//
// Damaged and hostile binary files of KenLM are refused, with the place of the
// defect, and never cause anything else.

#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "ngram_files/kenlm_file.h"
#include "ngram_files/kenlm_layout.h"
#include "ngram_files/murmur_hash.h"
#include "tests/testing/kenlm_writer.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Has a blank ("b a") in order 2, which is a context of the one in order 3.
const KenlmNgrams& Ngrams() {
  static const KenlmNgrams ngrams = {
      {{"<unk>"}, {-2, 0}},          {{"<s>"}, {-99, -0.5}},
      {{"</s>"}, {-1.25, 0}},        {{"a"}, {-0.75, -0.25}},
      {{"b"}, {-1.5, -0.125}},       {{"<s>", "a"}, {-0.5, -0.25}},
      {{"a", "b"}, {-1, -0.75}},     {{"b", "</s>"}, {-0.25, 0}},
      {{"a", "b", "a"}, {-0.5, -1}}, {{"a", "b", "a", "b"}, {-0.25, 0}}};
  return ngrams;
}

const KenlmKind kExact = {};
const KenlmKind kQuantized = {3, 3, -1};
const KenlmKind kArrays = {.pointer_bits = 22};
const KenlmKind kBoth = {3, 3, 1};
const std::vector<KenlmKind> kKinds = {kExact, kQuantized, kArrays, kBoth};

absl::Status Read(absl::string_view bytes) {
  // A copy, so that a sanitizer sees each access beyond the end.
  const std::vector<char> copy(bytes.begin(), bytes.end());
  const absl::StatusOr<ImportedNgrams> model =
      ParseKenlm({copy.data(), copy.size()}, "file", {});
  if (!model.ok()) return model.status();
  return BuildNgramFile(model->table).status();
}

void ExpectRefused(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), StartsWith("file: byte "));
  EXPECT_THAT(status.message(), HasSubstr(": expected "));
  EXPECT_THAT(status.message(), HasSubstr(", found "));
}

TEST(KenlmDamage, EachCutIsRefused) {
  for (const KenlmKind& kind : kKinds) {
    const std::string bytes = WriteKenlm(Ngrams(), kind);
    ASSERT_TRUE(Read(bytes).ok()) << Read(bytes);
    for (size_t size = 0; size < bytes.size(); ++size) {
      ExpectRefused(Read(bytes.substr(0, size)));
    }
    ExpectRefused(Read(bytes + '\0'));
    ExpectRefused(Read(bytes + "x"));
  }
}

// Every change of a bit is refused, or gives another model or the same.
TEST(KenlmDamage, EachBitMayChange) {
  for (const KenlmKind& kind : kKinds) {
    const std::string bytes = WriteKenlm(Ngrams(), kind);
    int refused = 0;
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      std::string changed = bytes;
      changed[bit / 8] ^= static_cast<char>(1 << bit % 8);
      const absl::Status status = Read(changed);
      if (status.ok()) continue;
      ++refused;
      if (status.code() != absl::StatusCode::kResourceExhausted) {
        ExpectRefused(status);
      }
    }
    EXPECT_GT(refused, 1000);
  }
}

TEST(KenlmDamage, EachByteMayBecomeAnything) {
  for (const KenlmKind& kind : kKinds) {
    const std::string bytes = WriteKenlm(Ngrams(), kind);
    for (size_t at = 88; at < bytes.size(); ++at) {
      for (char value : {'\0', '\1', '\x7F', '\x80', '\xFF'}) {
        std::string changed = bytes;
        changed[at] = value;
        const absl::Status status = Read(changed);
        if (!status.ok() &&
            status.code() != absl::StatusCode::kResourceExhausted) {
          ExpectRefused(status);
        }
      }
    }
  }
}

// One change of a valid file and the message about it. `at` returns the offset.
struct Damage {
  std::string name;
  KenlmKind kind;
  std::function<uint64_t(const KenlmLayout&)> at;
  std::string bytes;
  std::string message;  // after "file: byte AT: "
};

template <typename T>
std::string Value(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::function<uint64_t(const KenlmLayout&)> Header(uint64_t at) {
  return [at](const KenlmLayout&) { return at; };
}

std::function<uint64_t(const KenlmLayout&)> Hashes(uint64_t at) {
  return [at](const KenlmLayout& layout) { return layout.hashes_at + at; };
}

std::function<uint64_t(const KenlmLayout&)> Unigrams(uint64_t at) {
  return [at](const KenlmLayout& layout) { return layout.unigrams_at + at; };
}

std::function<uint64_t(const KenlmLayout&)> WordList(uint64_t at) {
  return [at](const KenlmLayout& layout) { return layout.words_at + at; };
}

std::function<uint64_t(const KenlmLayout&)> Tables(uint64_t at) {
  return [at](const KenlmLayout& layout) {
    return layout.levels[0].probs_at - 8 + at;
  };
}

std::function<uint64_t(const KenlmLayout&)> Offsets(uint64_t at) {
  return [at](const KenlmLayout& layout) {
    return layout.levels[0].offsets_at + at;
  };
}

class DamageTest : public testing::TestWithParam<Damage> {};

TEST_P(DamageTest, NamesThePlace) {
  std::string bytes = WriteKenlm(Ngrams(), GetParam().kind);
  const uint64_t at = GetParam().at(ReadKenlmLayout(bytes).value());
  ASSERT_LE(at + GetParam().bytes.size(), bytes.size());
  bytes.replace(at, GetParam().bytes.size(), GetParam().bytes);
  const absl::Status status = Read(bytes);
  EXPECT_THAT(
      std::string(status.message()),
      StartsWith(absl::StrCat("file: byte ", at, ": ", GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Fields, DamageTest,
    testing::Values(
        Damage{"NoKenlmFile", kExact, Header(0), "\\data\\\n",
               "magic: expected a binary file of KenLM (import-arpa imports "
               "an ARPA file), found '\\data\\"},
        Damage{"Gzip", kExact, Header(0), "\x1F\x8B",
               "magic: expected a binary file of KenLM, found compressed data"},
        Damage{"OtherVersion", kExact, Header(33), " format version 4\n",
               "magic: expected format version 5, found ' format version 4'; "
               "import the ARPA file"},
        Damage{"OtherByteOrder", kExact, Header(60), Value(0x803F),
               "test values: expected those of a little-endian, 64-bit "
               "machine, found others; import the ARPA file"},
        Damage{"OrderOne", kExact, Header(88), "\1",
               "order: expected 2 to 32, found 1"},
        Damage{"OrderTooHigh", kExact, Header(88), "\x21",
               "order: expected 2 to 32, found 33"},
        Damage{"Probing", kExact, Header(96), Value(0),
               "kind: expected a trie, found probing hash tables, which do not "
               "have the words of their n-grams; import the ARPA file that it "
               "was built from with import-arpa, or build a trie from it"},
        Damage{"RestCosts", kExact, Header(96), Value(1),
               "kind: expected a trie, found probing hash tables with rest "
               "costs"},
        Damage{"OtherKind", kExact, Header(96), Value(6),
               "kind: expected a trie (2 to 5), found 6"},
        Damage{"NoWords", kExact, Header(100), Value('\0'),
               "words: expected a file with its words, found one without "
               "(build_binary -v)"},
        Damage{"TrieVersion", kExact, Header(104), Value(0),
               "version of the trie: expected 1, found 0"},
        Damage{"HugeCount", kExact, Header(116), Value(uint64_t{1} << 60),
               "number of 2-grams: expected at most 4294967295, found "
               "1152921504606846976"},
        Damage{"MoreHashesThanWords", kExact, Hashes(0), Value(uint64_t{5}),
               "number of words but <unk>: expected less than 5, found 5"},
        Damage{"HashesInAnotherOrder", kExact, Hashes(16), Value(uint64_t{1}),
               "hash of a word: expected more than "},
        Damage{"FirstWord", kExact, WordList(0), "<UNK>",
               "word 0: expected <unk>, found '<UNK>'"},
        Damage{"OtherWord", kExact, WordList(6), "x",
               "word: expected one with the hash "},
        Damage{"FirstNext", kExact, Unigrams(8), Value(uint64_t{1}),
               "next of a 1-gram: expected 0, found 1"},
        Damage{"NextPastTheEnd", kExact, Unigrams(24), Value(uint64_t{5}),
               "next of a 1-gram: expected 0 to 4, found 5"},
        Damage{"LastNext", kExact, Unigrams(88), Value(uint64_t{3}),
               "next of a 1-gram: expected 4, found 3"},
        Damage{"PositiveProbability", kExact, Unigrams(16), Value(0.5f),
               "log10 probability: expected at most 0, found 0.5"},
        Damage{"NanProbability", kExact, Unigrams(0),
               Value(std::numeric_limits<float>::quiet_NaN()),
               "log10 probability: expected at most 0, found nan"},
        Damage{"BackOffTooLarge", kExact, Unigrams(4), Value(435.0f),
               "back-off weight: expected at most 434.294, found 435"},
        Damage{"NanBackOff", kExact, Unigrams(4),
               Value(std::numeric_limits<float>::quiet_NaN()),
               "back-off weight: expected at most 434.294, found nan"},
        Damage{"QuantizationVersion", kQuantized, Tables(0), "\1",
               "version of the quantization: expected 2, found 1"},
        Damage{"NoProbabilityBits", kQuantized, Tables(1), Value('\0'),
               "bits of a probability: expected 1 to 25, found 0"},
        Damage{"TooManyBackOffBits", kBoth, Tables(2), "\x1A",
               "bits of a back-off weight: expected 1 to 25, found 26"},
        Damage{"ArrayVersion", kArrays,
               [](const KenlmLayout& layout) {
                 return layout.unigrams_at + uint64_t{7} * 16;
               },
               "\1", "version of the array pointers: expected 0, found 1"},
        Damage{"FirstOffset", kBoth, Offsets(0), Value(uint64_t{1}),
               "offset of array pointers: expected 0, found 1"}),
    [](const auto& info) { return info.param.name; });

// A record has bits of the word, the values and `next`.
void SetBits(std::string* bytes, uint64_t at, int bits, uint64_t value) {
  for (int i = 0; i < bits; ++i) {
    char& byte = (*bytes)[(at + i) / 8];
    const int bit = (at + i) % 8;
    byte = static_cast<char>((byte & ~(1 << bit)) | (value >> i & 1) << bit);
  }
}

// Returns the error for a file in which one field of a record has a value.
std::string WithField(const KenlmKind& kind, int order, uint64_t record,
                      const std::string& field, uint64_t value) {
  std::string bytes = WriteKenlm(Ngrams(), kind);
  const KenlmLevel level = ReadKenlmLayout(bytes)->levels[order - 2];
  uint64_t at = level.records_at * 8 + record * level.record_bits();
  if (field == "word") {
    SetBits(&bytes, at, level.word_bits, value);
  } else if (field == "prob") {
    SetBits(&bytes, at + level.word_bits, level.prob_bits, value);
  } else {
    SetBits(&bytes, at + level.record_bits() - level.next_bits, level.next_bits,
            value);
  }
  return std::string(Read(bytes).message());
}

TEST(KenlmDamage, RecordsNameThePlace) {
  for (const KenlmKind& kind : {kExact, kQuantized}) {
    EXPECT_THAT(WithField(kind, 2, 0, "word", 7),
                HasSubstr("word of a 2-gram: expected 0 to 4, found 7"));
    EXPECT_THAT(WithField(kind, 4, 0, "word", 5),
                HasSubstr("word of a 4-gram: expected 0 to 4, found 5"));
    EXPECT_THAT(WithField(kind, 2, 0, "next", 1),
                HasSubstr("next of a 2-gram: expected 0, found 1"));
    EXPECT_THAT(WithField(kind, 2, 4, "next", 0),
                HasSubstr("next of a 2-gram: expected 2, found 0"));
    EXPECT_THAT(WithField(kind, 3, 2, "next", 0),
                HasSubstr("next of a 3-gram: expected 1, found 0"));
  }
  EXPECT_THAT(WithField(kExact, 3, 0, "prob", 0x7FC00000),
              HasSubstr("log10 probability: expected at most 0, found "));
}

// Each of the words of a record of order 3 and 4 has its context only in one
// place.
TEST(KenlmDamage, NgramsWithoutTheirContexts) {
  int missing = 0;
  for (int order : {3, 4}) {
    for (uint64_t word = 0; word < 5; ++word) {
      const std::string message = WithField(kExact, order, 0, "word", word);
      if (message.empty()) continue;
      ++missing;
      EXPECT_THAT(message, HasSubstr(absl::StrCat(
                               "expected its first ", order - 1, " words as a ",
                               order - 1, "-gram of the file, found none")));
    }
  }
  EXPECT_GE(missing, 6);
}

TEST(KenlmDamage, ArrayPointersOfAnotherNumberOfBits) {
  std::string bytes = WriteKenlm(Ngrams(), kArrays);
  const KenlmLayout layout = ReadKenlmLayout(bytes).value();
  // The second array starts after the records of order 2.
  const KenlmLevel& level = layout.levels[0];
  const uint64_t second =
      level.records_at + (5 * level.record_bits() + 7) / 8 + 8;
  ASSERT_EQ(bytes[second + 1], 22);
  bytes[second + 1] = 21;
  EXPECT_EQ(Read(bytes).message(),
            absl::StrCat("file: byte ", second + 1,
                         ": bits of the array pointers: expected 22, found "
                         "21"));
}

TEST(KenlmDamage, UnfinishedFile) {
  std::string bytes = WriteKenlm(Ngrams());
  std::string start = "mmap lm http://kheafield.com/code incomplete\n";
  start.resize(144);
  bytes.replace(0, start.size(), start);
  EXPECT_EQ(Read(bytes).message(),
            "file: byte 0: magic: expected a complete file, found one that "
            "build_binary did not finish; build it again");
}

// A file whose words and hashes agree, but that has <unk> or invalid UTF-8
// among its words.
TEST(KenlmDamage, WordsThatAreNotAllowed) {
  for (const auto& [word, message] :
       {std::pair{"<unk>", "expected another one than <unk> and <UNK>"},
        {"<UNK>", "expected another one than <unk> and <UNK>"},
        {"\xFFgo", "expected valid UTF-8"},
        {"", "expected"}}) {
    KenlmNgrams ngrams = Ngrams();
    ngrams[{"qqqqq"}] = {-3, 0};
    std::string bytes = WriteKenlm(ngrams);
    // Replaces the word and its hash, wherever that is in the order.
    const KenlmLayout layout = ReadKenlmLayout(bytes).value();
    const size_t at = bytes.find("qqqqq", layout.words_at);
    bytes.replace(at, 5, word);
    const size_t hash_at =
        bytes.find(Value(MurmurHash64A("qqqqq")), layout.hashes_at);
    bytes.replace(hash_at, 8, Value(MurmurHash64A(word)));
    const absl::Status status = Read(bytes);
    ExpectRefused(status);
    if (!absl::StrContains(status.message(), "hash of a word")) {
      EXPECT_THAT(status.message(), HasSubstr(message));
    }
  }
}

}  // namespace
}  // namespace lmserve
