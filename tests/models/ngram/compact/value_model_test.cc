// SPDX-License-Identifier: Apache-2.0
//
// Tests of the compact layout with values on random tables, many of whose
// n-grams lack their suffix: all answers have the bits of the fast layout; a
// file with random changes is refused or safe to use.

#include "models/ngram/compact/value_model.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"
#include "models/distribution.h"
#include "models/ngram/compact/value_trie_builder.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_model.h"
#include "tests/models/ngram/compact/compact_file.h"
#include "tests/models/ngram/random_table.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

using Words = std::vector<WordId>;
using State = std::vector<std::byte>;

struct Case {
  std::string name;
  WordId words = 60;
  UnseenRule rule = UnseenRule::kBackOff;
  uint32_t most_children = 40;
  bool random_values = false;  // instead of a few different ones

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

std::vector<Case> Cases() {
  return {
      {.name = "back_off"},
      {.name = "values", .random_values = true},
      {.name = "floor", .rule = UnseenRule::kFloor},
      {.name = "stupid", .rule = UnseenRule::kStupid},
      // Lists of the likeliest children.
      {.name = "large", .words = 400, .most_children = 300},
      {.name = "large_values",
       .words = 400,
       .most_children = 300,
       .random_values = true},
      {.name = "large_floor",
       .words = 300,
       .rule = UnseenRule::kFloor,
       .most_children = 200},
      {.name = "large_stupid",
       .words = 300,
       .rule = UnseenRule::kStupid,
       .most_children = 200,
       .random_values = true},
  };
}

NgramTable MakeTable(const Case& c) {
  NgramTable table = RandomTable(c.words, c.rule, /*seed=*/5, c.most_children);
  std::mt19937 random(8);
  const auto change = [&](std::vector<float>* values, bool is_log_prob) {
    for (float& value : *values) {
      if (value == 0 || value == kImpossible) continue;
      value *= static_cast<float>(random() % 10'000) * 1e-4f;
      if (!is_log_prob && random() % 9 == 0) value = -value;  // above 1
      // A few log-probabilities are 0 or infinite.
      if (is_log_prob && random() % 50 == 0) value = -0.0f;
      if (random() % 50 == 0) value = kImpossible;
    }
  };
  if (!c.random_values) return table;
  for (NgramLevel& level : table.levels) {
    change(&level.log_probs, true);
    change(&level.backoffs, false);
  }
  return table;
}

// A random table and the models made of it.
struct Made {
  explicit Made(const Case& c)
      : table(MakeTable(c)),
        fast_bytes(BuildNgramFile(table).value()),
        bytes(BuildValueFile(table, 0).value()),
        fast(NgramModel::Create(NumberedVocabulary(c.words), fast_bytes.view())
                 .value()),
        model(ValueModel::Create(NumberedVocabulary(c.words), bytes.view())
                  .value()) {}

  const NgramTable table;
  const AlignedBytes fast_bytes, bytes;
  const std::unique_ptr<NgramModel> fast;
  const std::unique_ptr<ValueModel> model;
};

// All tests of a case use the same models.
const Made& MadeFor(const Case& c) {
  static auto& all = *new std::map<std::string, std::unique_ptr<Made>>;
  std::unique_ptr<Made>& made = all[c.name];
  if (made == nullptr) made = std::make_unique<Made>(c);
  return *made;
}

State StartOf(const LanguageModel& model) {
  State state(model.state_size());
  model.Start(state.data());
  return state;
}

float ScoreOne(const LanguageModel& model, State* state, WordId word) {
  float log_prob;
  const LanguageModel::Query query = {
      state->data(), {&word, 1}, state->data(), {&log_prob, 1}};
  model.Score({&query, 1});
  return log_prob;
}

// Random texts of words that often follow each other in a model. They begin
// again from time to time.
std::vector<Words> RandomTexts(const LanguageModel& model, size_t count,
                               size_t size) {
  std::mt19937 random(99);
  const WordId words = model.vocabulary().size();
  std::vector<ScoredWord> best(std::min<size_t>(words, 12));
  std::vector<Words> texts;
  for (size_t i = 0; i < count; ++i) {
    Words text;
    State state = StartOf(model);
    for (size_t left = 1 + random() % size; left > 0; --left) {
      const std::byte* row = state.data();
      model.TopK({&row, 1}, best.size(), absl::MakeSpan(best));
      text.push_back(random() % 4 == 0 ? static_cast<WordId>(random() % words)
                                       : best[random() % best.size()].word);
      ScoreOne(model, &state, text.back());
    }
    texts.push_back(text);
  }
  return texts;
}

// The bits of floats, among which are infinities. Zeros of both signs are
// equal.
std::vector<uint32_t> Bits(absl::Span<const float> values) {
  std::vector<uint32_t> bits;
  for (float value : values)
    bits.push_back(std::bit_cast<uint32_t>(value + 0.0f));
  return bits;
}

class ValueModelTest : public testing::TestWithParam<Case> {
 protected:
  const Made& made_ = MadeFor(GetParam());
  const NgramModel& fast_ = *made_.fast;
  const ValueModel& model_ = *made_.model;
};

TEST_P(ValueModelTest, ScoresHaveTheBitsOfTheFastLayout) {
  for (const Words& text : RandomTexts(fast_, 100, 60)) {
    std::vector<float> expected(text.size()), found(text.size());
    State fast = StartOf(fast_), state = StartOf(model_);
    const LanguageModel::Query fast_query = {fast.data(), text, fast.data(),
                                             absl::MakeSpan(expected)};
    fast_.Score({&fast_query, 1});
    const LanguageModel::Query query = {state.data(), text, state.data(),
                                        absl::MakeSpan(found)};
    model_.Score({&query, 1});
    ASSERT_EQ(Bits(found), Bits(expected));
  }
}

TEST_P(ValueModelTest, AllInstructionSetsGiveTheSameBits) {
  const std::vector<Words> texts = RandomTexts(fast_, 20, 60);
  const auto score = [&] {
    std::vector<std::tuple<std::vector<uint32_t>, std::vector<uint8_t>, State>>
        results;
    for (const Words& text : texts) {
      std::vector<float> logs(text.size());
      std::vector<uint8_t> lengths(text.size());
      State state = StartOf(model_);
      const LanguageModel::Query query = {state.data(), text, state.data(),
                                          absl::MakeSpan(logs),
                                          absl::MakeSpan(lengths)};
      model_.Score({&query, 1});
      results.emplace_back(Bits(logs), lengths, state);
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

TEST_P(ValueModelTest, BatchesEqualSingleWords) {
  const std::vector<Words> texts = RandomTexts(fast_, 60, 300);
  const State start = StartOf(model_);
  std::vector<std::vector<float>> batch_logs;
  std::vector<State> batch_states(texts.size(), start);
  std::vector<LanguageModel::Query> batch;
  batch_logs.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    batch_logs.emplace_back(texts[i].size());
    batch.push_back({start.data(), texts[i], batch_states[i].data(),
                     absl::MakeSpan(batch_logs[i])});
  }
  model_.Score(batch);
  for (size_t i = 0; i < texts.size(); ++i) {
    State state = start;
    std::vector<float> logs;
    for (WordId word : texts[i]) logs.push_back(ScoreOne(model_, &state, word));
    ASSERT_EQ(Bits(logs), Bits(batch_logs[i]));
    ASSERT_EQ(state, batch_states[i]);
  }
}

// States are equal if and only if those of the fast layout are: they keep the
// longest context that matters, and nothing of the words before it.
TEST_P(ValueModelTest, StatesAreThoseOfTheFastLayout) {
  std::map<State, State> states;
  std::set<State> found;
  for (const Words& text : RandomTexts(fast_, 200, 30)) {
    State fast = StartOf(fast_), state = StartOf(model_);
    for (WordId word : text) {
      ScoreOne(fast_, &fast, word);
      ScoreOne(model_, &state, word);
      ASSERT_EQ(states.emplace(fast, state).first->second, state);
      found.insert(state);
    }
  }
  EXPECT_EQ(found.size(), states.size());
  EXPECT_GT(states.size(), 50u);
}

TEST_P(ValueModelTest, PredictionsAreThoseOfTheFastLayout) {
  const WordId words = model_.vocabulary().size();
  for (const Words& text : RandomTexts(fast_, 30, 10)) {
    State fast = StartOf(fast_), state = StartOf(model_);
    for (WordId word : text) {
      const std::byte* fast_row = fast.data();
      const std::byte* row = state.data();
      std::vector<float> expected(words), found(words);
      fast_.Distribution({&fast_row, 1}, expected.data());
      model_.Distribution({&row, 1}, found.data());
      ASSERT_EQ(Bits(found), Bits(expected));
      for (size_t k :
           {size_t{1}, size_t{10}, size_t{64}, size_t{200}, size_t{words}}) {
        k = std::min<size_t>(k, words);
        std::vector<ScoredWord> best(k), found_best(k);
        TakeBest(expected, absl::MakeSpan(best));
        model_.TopK({&row, 1}, k, absl::MakeSpan(found_best));
        ASSERT_EQ(found_best, best);
      }
      ScoreOne(fast_, &fast, word);
      ScoreOne(model_, &state, word);
    }
  }
}

using Listed = std::map<Words, std::pair<float, float>>;

Listed List(const NgramSet& model, int order) {
  Listed ngrams;
  model.ForEach(order, [&](const NgramSet::Ngram& ngram) {
    const Words words(ngram.words.begin(), ngram.words.end());
    EXPECT_TRUE(
        ngrams.emplace(words, std::pair(ngram.log_prob, ngram.backoff)).second);
  });
  return ngrams;
}

TEST_P(ValueModelTest, ListsTheNgramsWithoutBlanks) {
  ASSERT_EQ(model_.order(), fast_.order());
  EXPECT_EQ(model_.rule(), fast_.rule());
  EXPECT_EQ(model_.log_alpha(), fast_.log_alpha());
  uint64_t blanks = 0;
  for (int k = 1; k <= model_.order(); ++k) {
    const Listed listed = List(model_, k);
    EXPECT_EQ(listed, List(fast_, k));
    EXPECT_EQ(listed.size(), model_.Count(k));
    EXPECT_EQ(model_.Count(k), fast_.Count(k));
    blanks += model_.trie().blanks[k - 1];
  }
  EXPECT_GT(blanks, 100u);
}

// A file cannot claim that its blanks are n-grams, nor the reverse.
TEST_P(ValueModelTest, AWrongNumberOfBlanksIsRefused) {
  for (int k = 1; k <= model_.order(); ++k) {
    const size_t at = sizeof(ValueTrieHeader) +
                      (k - 1) * sizeof(ValueOrderRecord) +
                      offsetof(ValueOrderRecord, blanks);
    AlignedBytes file(std::string(made_.bytes.view()));
    const uint64_t blanks = model_.trie().blanks[k - 1];
    const uint64_t wrong = blanks == 0 ? 1 : 0;
    std::memcpy(&file[at], &wrong, sizeof wrong);
    EXPECT_THAT(
        ValueModel::Create(NumberedVocabulary(GetParam().words), file.view())
            .status()
            .message(),
        HasSubstr(absl::StrCat("blanks: expected ", blanks)));
  }
}

// Scores, distributions and best words of a quantized model agree.
TEST_P(ValueModelTest, QuantizedModelsAreConsistent) {
  for (int bits : {2, 3, 8, 16}) {
    const AlignedBytes file(BuildValueFile(made_.table, bits).value());
    const auto model =
        ValueModel::Create(NumberedVocabulary(GetParam().words), file.view())
            .value();
    const WordId words = model->vocabulary().size();
    for (int k = 2; k <= model->order(); ++k) {
      std::set<float> values;
      for (const auto& [unused, value] : List(*model, k)) {
        values.insert(value.first);
      }
      EXPECT_LE(values.size(), size_t{1} << bits);
    }
    for (const Words& text : RandomTexts(*model, 3, 6)) {
      State state = StartOf(*model);
      for (WordId word : text) {
        std::vector<float> logs(words);
        const std::byte* row = state.data();
        model->Distribution({&row, 1}, logs.data());
        std::vector<ScoredWord> expected(words), found(words);
        TakeBest(logs, absl::MakeSpan(expected));
        model->TopK({&row, 1}, words, absl::MakeSpan(found));
        ASSERT_EQ(found, expected);
        // From 2 on: with a floor, <s> has a score, but no probability.
        for (WordId w = 2; w < words; w += 1 + words / 50) {
          State copy = state;
          ASSERT_EQ(ScoreOne(*model, &copy, w), logs[w]);
        }
        ScoreOne(*model, &state, word);
      }
    }
  }
}

// More bits than different values: nothing is rounded.
TEST(ValueModelQuantizeTest, FewValuesStayExact) {
  const NgramTable table = RandomTable(60, UnseenRule::kBackOff, 5);
  const AlignedBytes exact(BuildValueFile(table, 0).value());
  const AlignedBytes quantized(BuildValueFile(table, 5).value());
  EXPECT_EQ(quantized.view(), exact.view());
}

TEST(ValueModelQuantizeTest, FewerBitsTakeLessRoom) {
  const NgramTable table = MakeTable(Cases()[1]);
  size_t last = BuildValueFile(table, 0).value().size();
  for (int bits : {8, 4, 2}) {
    const size_t size = BuildValueFile(table, bits).value().size();
    EXPECT_LT(size, last) << bits << " bits";
    last = size;
  }
}

TEST(ValueModelOrderTest, OrderOne) {
  NgramTable table = RandomTable(60, UnseenRule::kBackOff, 5);
  table.levels.resize(1);
  table.levels[0].backoffs.clear();
  table.levels[0].children.clear();
  const AlignedBytes file(BuildValueFile(table, 0).value());
  const auto model =
      ValueModel::Create(NumberedVocabulary(60), file.view()).value();
  State state = StartOf(*model);
  for (WordId w : {0, 2, 59}) {
    EXPECT_EQ(ScoreOne(*model, &state, w), table.levels[0].log_probs[w]);
  }
  EXPECT_EQ(state, StartOf(*model));
}

TEST(ValueModelErrorTest, WrongValuesAreRefused) {
  NgramTable table = RandomTable(60, UnseenRule::kBackOff, 5);
  table.levels[1].log_probs[3] = 0.5;
  EXPECT_EQ(BuildValueFile(table, 0).status(), BuildNgramFile(table).status());
  EXPECT_FALSE(BuildValueFile(table, 0).ok());
  table.levels[1].log_probs[3] = std::nanf("");
  EXPECT_FALSE(BuildValueFile(table, 0).ok());
}

TEST_P(ValueModelTest, DamagedFilesAreRefusedOrSafe) {
  const int files = GetParam().words > 100 ? 40 : 400;  // others are slow
  std::mt19937 random(7);
  const AlignedBytes quantized(BuildValueFile(made_.table, 3).value());
  int accepted = 0;
  for (int i = 0; i < files; ++i) {
    AlignedBytes damaged = i % 2 == 0 ? made_.bytes : quantized;
    for (uint32_t n = 1 + random() % 3; n > 0; --n) {
      // Half of the changes are in the header and the first sections.
      const size_t size = damaged.view().size();
      const size_t at =
          random() % (random() % 2 == 0 ? std::min<size_t>(size, 1'500) : size);
      damaged[at] ^= 1 << random() % 8;
    }
    const auto model = ValueModel::Create(NumberedVocabulary(GetParam().words),
                                          damaged.view());
    if (!model.ok()) {
      EXPECT_THAT(std::string(model.status().message()),
                  testing::HasSubstr("ngram.bin at byte "));
      continue;
    }
    ++accepted;
    UseModel(**model, random);
  }
  EXPECT_LT(accepted, files);
  EXPECT_GT(accepted, 0);
}

TEST_P(ValueModelTest, TruncatedFilesAreRefused) {
  const absl::string_view view = made_.bytes.view();
  for (size_t size = 0; size < view.size(); size += 1 + view.size() / 50) {
    EXPECT_FALSE(ValueModel::Create(NumberedVocabulary(GetParam().words),
                                    view.substr(0, size))
                     .ok());
  }
}

INSTANTIATE_TEST_SUITE_P(All, ValueModelTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) {
                           return info.param.name;
                         });

}  // namespace
}  // namespace lmserve
