// SPDX-License-Identifier: Apache-2.0
//
// ngram.bin is checked once, when it is parsed, and trusted afterwards. So
// Parse() must refuse every file that a model could not use safely.

#include "models/ngram/fast/ngram_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_model.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Copies bytes to memory of exactly their size, so that a sanitizer detects
// reads past the end.
std::vector<char> Exactly(absl::string_view bytes) {
  return {bytes.begin(), bytes.end()};
}

absl::string_view View(const std::vector<char>& bytes) {
  return {bytes.data(), bytes.size()};
}

uint32_t Bits(float value) { return std::bit_cast<uint32_t>(value); }

void Put(std::vector<char>& bytes, size_t offset, uint32_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

uint32_t Get(absl::string_view bytes, size_t offset) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// The offsets of the sections in the file of TinyArpa(), computed from
// FORMAT.md: 10 words, 9 bigrams, 5 trigrams, 1 slot. The bigrams are the nodes
// 11 to 19: <s> the, <s> a, the cat, the dog, a dog, cat is, dog barks, is
// small, small </s>.
constexpr size_t kNodes = 128, kLeaves = 512, kWords = 576, kSlots = 704,
                 kBestWords = 768, kSize = 808;

size_t Node(NodeId id) { return kNodes + size_t{16} * id; }
size_t Leaf(NodeId id) { return kLeaves + size_t{8} * (id - 20); }
size_t Word(NodeId id) { return kWords + size_t{4} * id; }

class TinyFileTest : public testing::Test {
 protected:
  static std::string Error(const std::vector<char>& bytes) {
    const absl::Status status = NgramFile::Parse(View(bytes), 10).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }

  const BuiltNgramModel built_ = BuildFromArpa(TinyArpa());
  const std::vector<char> tiny_ = Exactly(built_.bytes);
};

TEST_F(TinyFileTest, HasTheDocumentedLayout) {
  const absl::string_view bytes = View(tiny_);
  ASSERT_EQ(bytes.size(), kSize);
  EXPECT_EQ(bytes.substr(0, 8), "lmngram1");
  const uint32_t header[] = {3, 0, 0, 1, kSize, 0, 10, 9, 5};
  for (size_t i = 0; i < std::size(header); ++i) {
    EXPECT_EQ(Get(bytes, 8 + 4 * i), header[i]) << i;
  }
  EXPECT_EQ(Get(bytes, Node(0) + 8), 1u);
  // "the cat": its trigram "the cat is" is the second, its link "cat".
  const double ln10 = std::log(10.0);
  EXPECT_FLOAT_EQ(std::bit_cast<float>(Get(bytes, Node(13))), -0.35 * ln10);
  EXPECT_FLOAT_EQ(std::bit_cast<float>(Get(bytes, Node(13) + 4)), -0.2 * ln10);
  EXPECT_EQ(Get(bytes, Node(13) + 8), 21u);
  EXPECT_EQ(Get(bytes, Node(13) + 12), 1u + 5);
  EXPECT_EQ(Get(bytes, Word(13)), 5u);
  // The context after the trigram "<s> the cat" is "the cat".
  EXPECT_FLOAT_EQ(std::bit_cast<float>(Get(bytes, Leaf(20))), -0.18 * ln10);
  EXPECT_EQ(Get(bytes, Leaf(20) + 4), 13u);
  // the -0.7, a -0.8, </s> -0.9, ..., <s> last.
  EXPECT_EQ(Get(bytes, kBestWords), 3u);
  EXPECT_EQ(Get(bytes, kBestWords + 4), 4u);
  EXPECT_EQ(Get(bytes, kBestWords + 36), 1u);
}

struct Mutation {
  size_t offset;
  uint32_t value;
  size_t reported;       // the offset in the error message
  const char* expected;  // the start of the message after the offset
};

// Mutations of every field of the header and of every section.
const Mutation kMutations[] = {
    {0, 0, 0, "magic: expected lmngram1 or lmngram2, found other bytes"},
    {4, 0x336d6172, 0,
     "magic: expected lmngram1 or lmngram2, found 'lmngram3', the format of "
     "another"},
    {4, 0x326d6172, 8, "order: expected 17 to 32, found 3"},
    {8, 0, 8, "order: expected 1 to 16, found 0"},
    {8, 17, 8, "order: expected 1 to 16, found 17"},
    {8, 0xffffffff, 8, "order"},
    {8, 2, 40, "3-grams: expected 0, found 5"},
    {8, 4, 464, "first child"},
    {12, 3, 12, "rule for unseen words: expected 0 to 2, found 3"},
    {16, Bits(kNan), 16, "ln alpha"},
    {16, Bits(-kInfinity), 16, "ln alpha"},
    {16, Bits(0.5f), 16, "ln alpha: expected a finite number of at most 0"},
    {20, 0, 20, "slots: expected a power of two, found 0"},
    {20, 3, 20, "slots: expected a power of two, found 3"},
    {20, 0x80000000, 24, "file size"},
    {24, kSize - 4, 24, "file size: expected 808, found 804"},
    {28, 1, 24, "file size: expected 808, found 4294968104"},
    {32, 9, 32, "words: expected 10, found 9"},
    {36, 8, 24, "file size"},
    {36, 0xffffffff, 32, "n-grams: expected fewer than 2^32"},
    {40, 0xffffffff, 32, "n-grams: expected fewer than 2^32"},
    {40, 6, Node(20), "end of the children"},
    {40, 50, 24, "file size"},
    {Node(0), Bits(kNan), Node(0), "log-probability"},
    {Node(0) + 8, 2, Node(0), "first child: expected 1, found 2"},
    {Node(0) + 12, 1, Node(0), "link"},
    {Node(1) + 8, 12, Node(1), "first child: expected 11, found 12"},
    {Node(4) + 8, 12, Node(4), "first child: expected at least 13, found 12"},
    {Node(3) + 8, 21, Node(3), "first child"},
    {Node(10) + 8, 0xffffffff, Node(10), "first child"},
    {Node(11) + 8, 19, Node(11), "first child: expected 20, found 19"},
    {Node(19) + 8, 26, Node(19), "first child"},
    {Node(20) + 8, 24, Node(20), "end of the children: expected 25, found 24"},
    {Node(20) + 8, 26, Node(20), "end of the children"},
    {Node(5), Bits(0.5f), Node(5), "log-probability: expected at most 0"},
    {Node(5), Bits(kInfinity), Node(5), "log-probability"},
    {Node(5), Bits(kNan), Node(5), "log-probability"},
    {Node(5) + 4, Bits(kNan), Node(5), "back-off"},
    {Node(5) + 4, Bits(kInfinity), Node(5), "back-off"},
    {Node(5) + 12, 1, Node(5), "link: expected below 1, found 1"},
    {Node(13) + 12, 13, Node(13), "link: expected below 11, found 13"},
    {Node(13) + 12, 11, Node(13), "link"},
    {Node(13) + 12, 0xffffffff, Node(13), "link"},
    {Leaf(20), Bits(kNan), Leaf(20), "log-probability"},
    {Leaf(20), Bits(1e-30f), Leaf(20), "log-probability"},
    {Leaf(24) + 4, 20, Leaf(24), "link: expected below 20, found 20"},
    {Leaf(24) + 4, 0xffffffff, Leaf(24), "link"},
    {Word(1), 1, Word(1), "word: expected 0, found 1"},
    {Word(10), 10, Word(10), "word: expected 9, found 10"},
    {Word(11), 10, Word(11), "word: expected below 10, found 10"},
    {Word(24), 0xffffffff, Word(24), "word: expected below 10"},
    // "<s> the" is less probable than "<s> a", which follows it.
    {Node(11), Bits(-9), Word(12), "children of a context"},
    {Node(12), Bits(-0.1f), Word(12), "children of a context"},
    {kSlots, 25, kSlots, "slot: expected below 25, found 25"},
    {kSlots, 1, kSlots, "slots: expected at least one empty slot, found none"},
    {kBestWords, 10, kBestWords, "best word: expected every word once"},
    {kBestWords, 0xffffffff, kBestWords, "best word"},
    {kBestWords + 4, 3, kBestWords + 4, "best word"},
};

TEST_F(TinyFileTest, EveryFieldIsChecked) {
  for (const Mutation& mutation : kMutations) {
    std::vector<char> bytes = tiny_;
    Put(bytes, mutation.offset, mutation.value);
    const std::string error = Error(bytes);
    const std::string prefix =
        absl::StrCat("ngram.bin at byte ", mutation.reported, ": ");
    EXPECT_THAT(error, StartsWith(prefix + mutation.expected))
        << mutation.value << " at " << mutation.offset;
  }
}

TEST_F(TinyFileTest, EquallyProbableChildrenAreOrderedById) {
  std::vector<char> bytes = tiny_;
  Put(bytes, Node(11), Get(View(bytes), Node(12)));
  EXPECT_TRUE(NgramFile::Parse(View(bytes), 10).ok());  // the 3, a 4
  std::swap(bytes[Word(11)], bytes[Word(12)]);
  EXPECT_THAT(Error(bytes), HasSubstr("children of a context"));
}

TEST_F(TinyFileTest, TruncatedAtAnyLength) {
  for (size_t size = 0; size < tiny_.size(); ++size) {
    const std::vector<char> bytes = Exactly(View(tiny_).substr(0, size));
    EXPECT_THAT(Error(bytes),
                StartsWith(absl::StrCat("ngram.bin at byte ", size, ": ")));
  }
}

TEST_F(TinyFileTest, LongerThanItSays) {
  std::vector<char> bytes = tiny_;
  bytes.push_back(0);
  EXPECT_THAT(Error(bytes), HasSubstr("file size: expected 808, found 809"));
}

TEST_F(TinyFileTest, UnalignedBytesAreRefused) {
  std::vector<char> bytes = tiny_;
  bytes.insert(bytes.begin(), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(
      NgramFile::Parse(View(bytes).substr(1), 10).status()));
}

TEST_F(TinyFileTest, BeginOfSentenceHasNoProbability) {
  for (size_t offset : {Node(2), Word(11)}) {
    std::vector<char> bytes = tiny_;
    Put(bytes, offset, offset == Word(11) ? 1 : Bits(-99));
    ASSERT_TRUE(NgramFile::Parse(View(bytes), 10).ok());
    const absl::Status status =
        NgramModel::Create(
            Vocabulary::Parse(std::string(built_.model->vocabulary().text()))
                .value(),
            View(bytes))
            .status();
    EXPECT_THAT(status.ToString(), HasSubstr("<s>: expected probability 0"));
  }
}

// There are no bigrams, but trigrams, which would be the children of n-grams of
// the wrong order.
TEST(NgramFileTest, RefusesAnEmptyOrderBelowAnother) {
  std::vector<char> bytes(460);
  std::memcpy(bytes.data(), "lmngram1", 8);
  const uint32_t header[] = {3, 0, 0, 1, 460, 0, 3, 0, 2};
  std::memcpy(bytes.data() + 8, header, sizeof(header));
  Put(bytes, 128 + 8, 1);
  for (NodeId id : {1, 2, 3}) {
    Put(bytes, 128 + 16 * id, Bits(id == 2 ? -kInfinity : -1));
    Put(bytes, 128 + 16 * id + 8, 4);
    Put(bytes, 320 + 4 * id, id - 1);
  }
  Put(bytes, 128 + 16 * 4 + 8, 6);
  Put(bytes, 256, Bits(-1));
  Put(bytes, 256 + 8, Bits(-2));
  Put(bytes, 320 + 4 * 5, 2);
  for (WordId w : {0, 1, 2}) Put(bytes, 448 + 4 * w, w);
  EXPECT_FALSE(NgramFile::Parse(View(bytes), 3).ok());
}

// The sum of two such back-off weights would be infinite.
TEST_F(TinyFileTest, BackOffsThatOverflow) {
  std::vector<char> bytes = tiny_;
  for (NodeId id : {6, 13}) {  // "cat", "the cat"
    Put(bytes, Node(id) + 4, Bits(std::numeric_limits<float>::max()));
  }
  EXPECT_THAT(Error(bytes), HasSubstr("back-off"));
}

// Returns ARPA text of a bigram model with `words` words w0, w1, ... The
// contexts w0 and w1 have the words from w2 on as children.
std::string WideArpa(int words) {
  std::string unigrams = "-1\t<unk>\n-99\t<s>\t-0.5\n-1\t</s>\n";
  std::string bigrams;
  for (int i = 0; i < words; ++i) {
    const double log10 = -2 - i % 97 / 50.0;
    absl::StrAppend(&unigrams, log10, "\tw", i, i < 2 ? "\t-0.7\n" : "\n");
    if (i < 2) continue;
    for (int context : {0, 1}) {
      absl::StrAppend(&bigrams, log10 - 0.01 * context, "\tw", context, " w", i,
                      "\n");
    }
  }
  return absl::StrCat("\\data\\\nngram 1=", words + 3,
                      "\nngram 2=", 2 * (words - 2), "\n\n\\1-grams:\n",
                      unigrams, "\n\\2-grams:\n", bigrams, "\n\\end\\\n");
}

// A table with one empty slot is valid as such, but each look-up of an n-gram
// that does not exist would read all of it.
TEST(WideFileTest, EveryLookupIsShort) {
  constexpr int kVocabulary = 1003;
  const BuiltNgramModel built = BuildFromArpa(WideArpa(1000));
  std::vector<char> bytes = Exactly(built.bytes);
  const NgramFile file = NgramFile::Parse(View(bytes), kVocabulary).value();
  const NgramLayout layout(file.header);
  ASSERT_EQ(file.slots.size(), 4096u);
  const auto occupy = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const size_t offset = layout.slots_at + i % 4096 * sizeof(NodeId);
      if (Get(View(bytes), offset) == 0) Put(bytes, offset, 1);
    }
    return NgramFile::Parse(View(bytes), kVocabulary).status();
  };
  EXPECT_TRUE(occupy(1000, 1400).ok());
  EXPECT_THAT(std::string(occupy(4000, 4000 + 513).message()),
              testing::MatchesRegex(
                  "ngram.bin at byte [0-9]+: slots in a row that are not "
                  "empty: expected at most 512, found 5[0-9]+"));
  const absl::Status status = occupy(1, 4096);
  EXPECT_FALSE(status.ok());
}

TEST(WideFileTest, ContextHasAtMostAllWordsAsChildren) {
  const BuiltNgramModel built = BuildFromArpa(WideArpa(1000));
  std::vector<char> bytes = Exactly(built.bytes);
  const NgramFile file = NgramFile::Parse(View(bytes), 1003).value();
  const NgramLayout layout(file.header);
  const NodeId w1 = 1 + 4;  // after <unk>, <s>, </s> and w0
  ASSERT_EQ(file.nodes[w1].first_child - file.nodes[w1 - 1].first_child, 998u);
  const size_t offset = layout.nodes_at + w1 * sizeof(NgramNode) +
                        offsetof(NgramNode, first_child);
  Put(bytes, offset, file.nodes[w1 + 1].first_child);
  EXPECT_THAT(
      std::string(NgramFile::Parse(View(bytes), 1003).status().message()),
      HasSubstr("children: expected at most 1003, found 1996"));
}

// The children of w0 hide nearly all words of the vocabulary.
TEST(WideFileTest, TopKIsTheSortedDistribution) {
  constexpr WordId kVocabulary = 5003;
  const BuiltNgramModel built = BuildFromArpa(WideArpa(5000));
  const NgramModel& model = *built.model;
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  model.ScoreWord(state.data(), model.vocabulary().Find("w0"));
  const std::byte* const view = state.data();
  std::vector<float> log_probs(kVocabulary);
  model.Distribution({&view, 1}, log_probs.data());
  std::vector<ScoredWord> expected;
  for (WordId w = 0; w < kVocabulary; ++w)
    expected.push_back({w, log_probs[w]});
  std::sort(expected.begin(), expected.end(), Likelier);
  for (size_t k : {1, 10, 4000, 5003}) {
    std::vector<ScoredWord> best(k);
    model.TopK({&view, 1}, k, absl::MakeSpan(best));
    EXPECT_TRUE(std::equal(best.begin(), best.end(), expected.begin())) << k;
  }
}

}  // namespace
}  // namespace lmserve
