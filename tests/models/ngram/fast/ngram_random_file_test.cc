// SPDX-License-Identifier: Apache-2.0
//
// Tests of ngram.bin with random tables: the file has the n-grams of the table,
// and a file with random changes is refused or safe to use.

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_file.h"
#include "models/ngram/fast/ngram_model.h"
#include "tests/models/ngram/random_table.h"

namespace lmserve {
namespace {

using Words = std::vector<WordId>;

struct Ngram {
  float log_prob;
  bool matters;  // as a context: has children or a back-off weight
};

// Returns the n-grams of a table, keyed by their words.
std::map<Words, Ngram> ByWords(const NgramTable& table) {
  std::map<Words, Ngram> ngrams;
  std::vector<Words> contexts = {{}};
  std::vector<uint32_t> children = {
      0, static_cast<uint32_t>(table.levels[0].size())};
  for (const NgramLevel& level : table.levels) {
    std::vector<Words> next;
    for (size_t c = 0; c < contexts.size(); ++c) {
      for (uint32_t i = children[c]; i < children[c + 1]; ++i) {
        next.push_back(contexts[c]);
        next.back().push_back(level.words[i]);
        const bool matters =
            !level.children.empty() &&
            (level.children[i] != level.children[i + 1] ||
             (level.backoffs[i] != 0 && table.rule == UnseenRule::kBackOff));
        ngrams[next.back()] = {level.log_probs[i], matters};
      }
    }
    contexts = std::move(next);
    children = level.children;
  }
  return ngrams;
}

NodeId Walk(const NgramFile& file, const Words& words) {
  NodeId node = kRoot;
  for (WordId word : words) node = file.FindChild(node, word);
  return node;
}

class RandomTableTest : public testing::TestWithParam<UnseenRule> {
 protected:
  static constexpr WordId kWords = 60;
  const NgramTable table_ = RandomTable(kWords, GetParam(), 1);
  const std::map<Words, Ngram> ngrams_ = ByWords(table_);
  const std::string bytes_ = BuildNgramFile(table_).value();
  const NgramFile file_ = NgramFile::Parse(bytes_, kWords).value();
};

TEST_P(RandomTableTest, FindChildEqualsTheMap) {
  std::map<bool, int> contexts;
  for (const auto& [words, ngram] : ngrams_) {
    if (words.size() == 4) continue;
    const NodeId node = Walk(file_, words);
    uint32_t width = 0;
    Words longer = words;
    longer.push_back(0);
    for (WordId word = 0; word < kWords; ++word) {
      longer.back() = word;
      const NodeId child = file_.FindChild(node, word);
      const auto expected = ngrams_.find(longer);
      ASSERT_EQ(child != kRoot, expected != ngrams_.end());
      if (child == kRoot) continue;
      ++width;
      ASSERT_EQ(file_.words[child], word);
      ASSERT_EQ(file_.LogProb(child), expected->second.log_prob);
      ASSERT_EQ(file_.OrderOf(child), static_cast<int>(longer.size()));
    }
    ++contexts[width > kMaxScannedChildren];
  }
  // The test covered both ways to find a child.
  EXPECT_GT(contexts[false], 100);
  EXPECT_GT(contexts[true], 100);
}

TEST_P(RandomTableTest, ContextAfterIsTheLongestSuffixThatMatters) {
  for (const auto& [words, ngram] : ngrams_) {
    Words suffix = words;
    while (!suffix.empty()) {
      const auto found = ngrams_.find(suffix);
      if (found != ngrams_.end() && found->second.matters) break;
      suffix.erase(suffix.begin());
    }
    ASSERT_EQ(file_.ContextAfter(Walk(file_, words)), Walk(file_, suffix));
  }
}

// Calls all query methods of a model from the states after random texts.
void Exercise(const NgramModel& model, std::mt19937& random) {
  const WordId size = model.vocabulary().size();
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  std::vector<float> log_probs(8), row(size);
  Words words(8);
  std::vector<ScoredWord> best(size);
  for (int step = 0; step < 3; ++step) {
    const std::byte* view = state.data();
    model.Distribution({&view, 1}, row.data());
    for (size_t k : {size_t{1}, size_t{3}, size_t{size}}) {
      const auto top = absl::MakeSpan(best).first(k);
      model.TopK({&view, 1}, k, top);
      for (const ScoredWord& word : top) ASSERT_LT(word.word, size);
    }
    for (WordId& word : words) word = random() % size;
    const LanguageModel::Query query = {state.data(), words, state.data(),
                                        absl::MakeSpan(log_probs)};
    model.Score({&query, 1});
  }
  for (int k = 1; k <= model.order(); ++k) {
    model.ForEach(k, [&](const NgramModel::Ngram& ngram) {
      for (WordId word : ngram.words) ASSERT_LT(word, size);
    });
  }
}

// Returns a copy of a file with 1 to 3 random changes: a flipped bit, a random
// byte, or a small number. The copy has exactly the size of the file, so that a
// sanitizer detects reads past the end.
std::vector<char> Changed(const std::string& bytes, std::mt19937& random) {
  std::vector<char> changed(bytes.begin(), bytes.end());
  for (uint32_t left = 1 + random() % 3; left > 0; --left) {
    // About half of the changes are in the header and the first nodes.
    const size_t end = random() % 2 ? bytes.size() : size_t{512};
    const size_t at = random() % std::min(end, bytes.size());
    switch (random() % 3) {
      case 0:
        changed[at] ^= 1 << random() % 8;
        break;
      case 1:
        changed[at] = static_cast<char>(random());
        break;
      case 2:
        const uint32_t value = random() % 70;
        std::memcpy(&changed[at / 4 * 4], &value, sizeof(value));
    }
  }
  return changed;
}

TEST_P(RandomTableTest, ChangedBytesAreRefusedOrHarmless) {
  std::mt19937 random(2);
  const std::string tiny =
      BuildNgramFile(RandomTable(12, GetParam(), 3)).value();
  int parsed = 0;
  for (int i = 0; i < 10000; ++i) {
    const bool large = i % 10 == 0;
    const std::vector<char> bytes = Changed(large ? bytes_ : tiny, random);
    const auto model = NgramModel::Create(
        NumberedVocabulary(large ? kWords : 12), {bytes.data(), bytes.size()});
    if (!model.ok()) continue;
    ++parsed;
    Exercise(**model, random);
  }
  EXPECT_GT(parsed, 500);
  EXPECT_LT(parsed, 9500);
}

INSTANTIATE_TEST_SUITE_P(Rules, RandomTableTest,
                         testing::Values(UnseenRule::kBackOff,
                                         UnseenRule::kFloor,
                                         UnseenRule::kStupid));

}  // namespace
}  // namespace lmserve
