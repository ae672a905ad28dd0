// SPDX-License-Identifier: Apache-2.0
//
// Tests of the compact layout with random counts: every way to ask for a
// probability gives the bits of every other one, and the value of a naive
// reference; a file with random changes is refused or safe to use.

#include "models/ngram/compact/count_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "models/distribution.h"
#include "models/ngram/compact/count_trie_builder.h"
#include "tests/models/ngram/compact/compact_file.h"
#include "tests/models/ngram/compact/random_counts.h"

namespace lmserve {
namespace {

using Words = RandomCounts::Words;
using State = std::vector<std::byte>;

struct Case {
  std::string name;
  RandomCounts::Options options;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, const auto& change) {
    Case c;
    c.name = name;
    c.options.seed = static_cast<uint32_t>(cases.size() + 1);
    change(&c.options);
    cases.push_back(c);
  };
  using Options = RandomCounts::Options;
  add("order_1", [](Options* o) { o->order = 1; });
  add("order_2", [](Options* o) { o->order = 2; });
  add("order_4", [](Options*) {});
  add("order_9", [](Options* o) {
    o->order = 9;
    o->words = 40;
    o->most_children = 30;
  });
  add("witten_bell", [](Options* o) { o->smoothing = {{}, 1}; });
  add("without_discounts", [](Options* o) { o->smoothing = {{}, 0}; });
  // All contexts of order 1 are direct.
  add("large", [](Options* o) {
    o->order = 3;
    o->words = 130;
    o->most_children = 120;
    o->large_share = 1;
  });
  // Bitmaps, and lists with low parts of 8 bits.
  add("many_words", [](Options* o) {
    o->order = 3;
    o->words = 10'000;
    o->large_share = 2'000;
    o->most_children = 4'000;
  });
  // Ranks of more than 16 bits, lists with low parts of 16 bits and, with
  // samples, of 8 bits.
  add("wide_ranks", [](Options* o) {
    o->order = 2;
    o->words = 80'000;
    o->large_share = 2'000;
    o->most_children = 3'000;
  });
  // Contexts with few children whose counts are too large for a block, and
  // unigrams of 64 bits.
  add("large_counts", [](Options* o) {
    o->most_count = uint64_t{1} << 40;
    o->large_share = 10;
  });
  return cases;
}

// Random counts and the model made of them.
struct Made {
  explicit Made(const RandomCounts::Options& options)
      : counts(options), bytes(counts.Build()) {}

  const RandomCounts counts;
  const AlignedBytes bytes;
  const std::unique_ptr<CountModel> model =
      CountModel::Create(counts.MakeVocabulary(), bytes.view()).value();
};

// All tests of a case use the same model.
const Made& MadeFor(const Case& c) {
  static auto& all = *new std::map<std::string, std::unique_ptr<Made>>;
  std::unique_ptr<Made>& made = all[c.name];
  if (made == nullptr) made = std::make_unique<Made>(c.options);
  return *made;
}

class CountModelTest : public testing::TestWithParam<Case> {
 protected:
  State Start() const {
    State state(model_->state_size());
    model_->Start(state.data());
    return state;
  }

  float Score(State* state, WordId word) const {
    float log_prob;
    const LanguageModel::Query query = {
        state->data(), {&word, 1}, state->data(), {&log_prob, 1}};
    model_->Score({&query, 1});
    return log_prob;
  }

  // Random texts of words that mostly follow each other in the model.
  std::vector<Words> Texts(size_t count) const {
    std::mt19937 random(99);
    std::vector<Words> texts;
    for (size_t i = 0; i < count; ++i) {
      Words text;
      for (size_t size = 1 + random() % 300; size > 0; --size) {
        text.push_back(
            counts_.RandomWord(ContextOf(text, text.size()), random()));
      }
      texts.push_back(text);
    }
    return texts;
  }

  // The context that matters after some words of a text.
  Words ContextOf(const Words& text, size_t read) const {
    Words context = {1};
    context.insert(context.end(), text.begin(), text.begin() + read);
    const auto most = static_cast<size_t>(counts_.order() - 1);
    if (context.size() > most) {
      context.erase(context.begin(), context.end() - most);
    }
    return context;
  }

  const RandomCounts& counts_ = MadeFor(GetParam()).counts;
  const AlignedBytes& bytes_ = MadeFor(GetParam()).bytes;
  const CountModel* const model_ = MadeFor(GetParam()).model.get();
};

TEST_P(CountModelTest, ScoresEqualANaiveReference) {
  for (const Words& text : Texts(5)) {
    State state = Start();
    for (size_t i = 0; i < std::min<size_t>(text.size(), 60); ++i) {
      const double expected = counts_.Probability(ContextOf(text, i), text[i]);
      const float found = Score(&state, text[i]);
      if (expected == 0) {
        ASSERT_EQ(found, kImpossible);
      } else {
        // Large contexts store their weights as floats.
        ASSERT_NEAR(found, std::log(expected),
                    2e-6 - 1e-6 * std::log(expected));
      }
    }
  }
}

TEST_P(CountModelTest, BatchesEqualSingleWords) {
  const std::vector<Words> texts = Texts(40);
  const State start = Start();
  std::vector<std::vector<float>> batch_logs;
  std::vector<State> batch_states(texts.size(), start);
  std::vector<LanguageModel::Query> batch;
  batch_logs.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    batch_logs.emplace_back(texts[i].size());
    batch.push_back({start.data(), texts[i], batch_states[i].data(),
                     absl::MakeSpan(batch_logs[i])});
  }
  model_->Score(batch);
  for (size_t i = 0; i < texts.size(); ++i) {
    State state = start;
    std::vector<float> logs;
    for (WordId word : texts[i]) logs.push_back(Score(&state, word));
    ASSERT_EQ(logs, batch_logs[i]);
    ASSERT_EQ(state, batch_states[i]);
  }
}

TEST_P(CountModelTest, AllInstructionSetsGiveTheSameBits) {
  const std::vector<Words> texts = Texts(10);
  const auto score = [&] {
    std::vector<std::tuple<std::vector<float>, std::vector<uint8_t>, State>>
        results;
    for (const Words& text : texts) {
      std::vector<float> logs(text.size());
      std::vector<uint8_t> lengths(text.size());
      State state = Start();
      const LanguageModel::Query query = {state.data(), text, state.data(),
                                          absl::MakeSpan(logs),
                                          absl::MakeSpan(lengths)};
      model_->Score({&query, 1});
      // The logarithms of instruction sets may differ in the last bit.
      for (float& log : logs) log = std::round(log * 1e5f);
      results.emplace_back(logs, lengths, state);
    }
    return results;
  };
  const auto expected = score();
  // Leaves only the code without vector instructions.
  hwy::DisableTargets(~HWY_SCALAR);
  const auto found = score();
  hwy::DisableTargets(0);
  EXPECT_EQ(found, expected);
}

TEST_P(CountModelTest, DistributionsEqualScoresAndTopKSortsThem) {
  const WordId words = model_->vocabulary().size();
  for (const Words& text : Texts(3)) {
    State state = Start();
    for (size_t i = 0; i < std::min<size_t>(text.size(), 8); ++i) {
      std::vector<float> logs(words);
      const std::byte* row = state.data();
      model_->Distribution({&row, 1}, logs.data());
      double sum = 0;
      for (float log : logs) sum += std::exp(double{log});
      ASSERT_NEAR(sum, 1, 1e-5);
      for (WordId w = 0; w < words; w += 1 + words / 500) {
        State copy = state;
        ASSERT_EQ(Score(&copy, w), logs[w]) << "word " << w;
      }
      for (size_t k : {size_t{1}, size_t{10}, size_t{64}, size_t{200}}) {
        k = std::min<size_t>(k, words);
        std::vector<ScoredWord> expected(k), found(k);
        TakeBest(logs, absl::MakeSpan(expected));
        model_->TopK({&row, 1}, k, absl::MakeSpan(found));
        ASSERT_EQ(found, expected);
      }
      Score(&state, text[i]);
    }
  }
}

// The n-grams are listed in order, with the back-off weights of a model in
// which P(w | h) = b(h) P(w | h') for the words w that h has not.
TEST_P(CountModelTest, ListsTheNgrams) {
  for (int k = 1; k <= counts_.order(); ++k) {
    uint64_t count = 0;
    Words last;
    model_->ForEach(k, [&](const NgramSet::Ngram& ngram) {
      const Words words(ngram.words.begin(), ngram.words.end());
      ASSERT_TRUE(last.empty() || last < words);
      last = words;
      if (++count % 97 != 0) return;
      const Words context(words.begin(), words.end() - 1);
      const double expected = counts_.Probability(context, words.back());
      ASSERT_NEAR(std::exp(double{ngram.log_prob}), expected, 1e-5 * expected);
      if (k < counts_.order()) {
        const auto& children = counts_.level(k).at(words);
        WordId unseen = 2;  // not <s>, which is never predicted
        while (children.contains(unseen)) ++unseen;
        const Words suffix(words.begin() + 1, words.end());
        const double lower = counts_.Probability(suffix, unseen);
        if (lower == 0) return;  // without discounts
        const double weight = counts_.Probability(words, unseen) / lower;
        ASSERT_NEAR(std::exp(double{ngram.backoff}), weight, 1e-5 * weight);
      }
    });
    EXPECT_EQ(count, model_->Count(k));
  }
}

// RankContext finds each child by its rank, and no other.
TEST_P(CountModelTest, ContextsFindTheirChildren) {
  const CountTrie& trie = model_->trie();
  for (int k = 1; k < counts_.order(); ++k) {
    NgramId id = 0;
    for (const auto& [words, children] : counts_.level(k)) {
      const RankContext context(trie.levels[k - 1], id++);
      ASSERT_EQ(context.size(), children.size());
      if (id % 7 != 0 && children.size() < 100) continue;
      std::vector<uint32_t> ranks;
      context.Ranks(&ranks);
      ASSERT_EQ(ranks.size(), children.size());
      uint32_t i = 0;
      for (const auto& [word, count] : children) {
        ASSERT_EQ(context.Count(i), count);
        ASSERT_EQ(context.Rank(i), ranks[i]);
        if (k == 1) {
          ASSERT_EQ(ranks[i], word);
        }
        ASSERT_EQ(context.Find(ranks[i]), i);
        if (i == 0 || ranks[i - 1] + 1 < ranks[i]) {
          ASSERT_EQ(context.Find(ranks[i] - 1), kNoRank);
        }
        ++i;
      }
      if (!ranks.empty()) {
        ASSERT_EQ(context.Find(ranks.back() + 1), kNoRank);
      }
    }
  }
}

TEST_P(CountModelTest, DamagedFilesAreRefusedOrSafe) {
  if (GetParam().options.words > 1'000) GTEST_SKIP() << "slow";
  std::mt19937 random(7);
  size_t accepted = 0;
  for (int i = 0; i < 200; ++i) {
    AlignedBytes damaged = bytes_;
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      // Half of the changes are in the header and the first sections.
      const size_t size = damaged.view().size();
      const size_t at =
          random() % (random() % 2 == 0 ? std::min<size_t>(size, 1'500) : size);
      damaged[at] ^= 1 << random() % 8;
    }
    const auto model =
        CountModel::Create(counts_.MakeVocabulary(), damaged.view());
    if (!model.ok()) {
      EXPECT_THAT(std::string(model.status().message()),
                  testing::HasSubstr("ngram.bin at byte "));
      continue;
    }
    ++accepted;
    UseModel(**model, random);
  }
  EXPECT_LT(accepted, 200u);
}

TEST_P(CountModelTest, TruncatedFilesAreRefused) {
  const absl::string_view view = bytes_.view();
  for (size_t size = 0; size < view.size(); size += 1 + view.size() / 50) {
    EXPECT_FALSE(
        CountModel::Create(counts_.MakeVocabulary(), view.substr(0, size))
            .ok());
  }
}

INSTANTIATE_TEST_SUITE_P(All, CountModelTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace lmserve
