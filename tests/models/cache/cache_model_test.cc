// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_model.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/test_model.h"

namespace lmserve {
namespace {

using State = std::vector<std::byte>;

Cache Continuous(double weight, double theta) {
  return {.kind = CacheKind::kContinuous, .weight = weight, .theta = theta};
}

Cache Ngram(double weight, int order, double decay) {
  return {.kind = CacheKind::kNgram,
          .weight = weight,
          .order = order,
          .decay = decay};
}

State Start(const LanguageModel& model) {
  State state(model.state_size(), std::byte{0xAB});
  model.Start(state.data());
  return state;
}

std::vector<float> Score(const LanguageModel& model,
                         const std::vector<WordId>& words, State* state) {
  std::vector<float> log_probs(words.size());
  model.Score(
      {{state->data(), words, state->data(), absl::MakeSpan(log_probs)}});
  return log_probs;
}

std::vector<float> Distribution(const LanguageModel& model,
                                const State& state) {
  std::vector<float> log_probs(model.vocabulary().size());
  const std::byte* row = state.data();
  model.Distribution({&row, 1}, log_probs.data());
  return log_probs;
}

// A model that gives every word but <s> the same probability, whatever the
// text. Its state is the number of words read.
class UniformModel final : public LanguageModel {
 public:
  explicit UniformModel(const std::vector<absl::string_view>& words)
      : vocabulary_(Vocabulary::Create(words).value()) {}

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  size_t state_size() const override { return sizeof(uint32_t); }
  void Start(std::byte* state) const override {
    std::memset(state, 0, state_size());
  }
  bool StartEmpty(std::byte* state) const override {
    Start(state);
    return true;
  }

  void Score(absl::Span<const Query> batch) const override {
    for (const Query& query : batch) {
      for (size_t t = 0; t < query.log_probs.size(); ++t) {
        query.log_probs[t] = LogProb(query.words[t]);
      }
      if (query.next_state == nullptr) continue;
      uint32_t read;
      std::memcpy(&read, query.state, sizeof(read));
      read += query.words.size();
      std::memcpy(query.next_state, &read, sizeof(read));
    }
  }

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override {
    for (size_t i = 0; i < states.size(); ++i) {
      for (WordId w = 0; w < vocabulary_.size(); ++w) {
        *log_probs++ = LogProb(w);
      }
    }
  }

 private:
  float LogProb(WordId word) const {
    return word == vocabulary_.begin_sentence()
               ? kImpossible
               : -std::log(vocabulary_.size() - 1.0f);
  }

  const Vocabulary vocabulary_;
};

// Words: <unk> 0, <s> 1, </s> 2, a 3, b 4, c 5, d 6, e 7, f 8.
std::unique_ptr<CacheModel> OverUniform(CacheOptions options) {
  const std::vector<absl::string_view> words = {
      "<unk>", "<s>", "</s>", "a", "b", "c", "d", "e", "f"};
  return CacheModel::Create(std::make_unique<UniformModel>(words), options)
      .value();
}

constexpr double kUniform = 1.0 / 8;  // all words but <s>

TEST(CacheModelTest, UnigramsByHand) {
  const auto model =
      OverUniform({.history = 3, .caches = {Ngram(0.5, 1, 0.5)}});
  State state = Start(*model);
  const std::vector<float> found = Score(*model, {3, 3, 4, 5, 3, 8}, &state);
  const auto expect = [&](size_t t, double share) {
    EXPECT_NEAR(std::exp(found[t]), 0.5 * kUniform + 0.5 * share, 1e-6) << t;
  };
  expect(0, kUniform);  // the cache is empty
  expect(1, 1);         // a
  expect(2, 0);         // a a
  expect(3, 0);         // a a b
  // a b c, the oldest first: 0.25, 0.5, 1
  expect(4, 0.25 / 1.75);
  expect(5, 0);
  // The history is c a f now.
  const std::vector<float> next = Distribution(*model, state);
  EXPECT_NEAR(std::exp(next[5]), 0.5 * kUniform + 0.5 * 0.25 / 1.75, 1e-6);
  EXPECT_NEAR(std::exp(next[3]), 0.5 * kUniform + 0.5 * 0.5 / 1.75, 1e-6);
  EXPECT_NEAR(std::exp(next[8]), 0.5 * kUniform + 0.5 * 1 / 1.75, 1e-6);
  EXPECT_NEAR(std::exp(next[4]), 0.5 * kUniform, 1e-6);
}

TEST(CacheModelTest, BigramsByHand) {
  const auto model = OverUniform({.history = 9, .caches = {Ngram(0.5, 2, 1)}});
  State state = Start(*model);
  // After a came b, then c.
  const std::vector<float> found = Score(*model, {3, 4, 3, 4, 3, 5, 3}, &state);
  const auto expect = [&](size_t t, double share) {
    EXPECT_NEAR(std::exp(found[t]), 0.5 * kUniform + 0.5 * share, 1e-6) << t;
  };
  expect(0, kUniform);
  expect(1, kUniform);  // nothing came after a yet
  expect(2, kUniform);
  expect(3, 1);  // a b
  expect(4, 1);  // b a
  expect(5, 0);  // only b came after a
  expect(6, kUniform);
  EXPECT_NEAR(std::exp(Distribution(*model, state)[4]),
              0.5 * kUniform + 0.5 * 2.0 / 3, 1e-6);
  EXPECT_NEAR(std::exp(Distribution(*model, state)[5]),
              0.5 * kUniform + 0.5 * 1.0 / 3, 1e-6);
}

// A context that has left the history counts no longer.
TEST(CacheModelTest, AContextMustBeInTheHistory) {
  const auto model = OverUniform({.history = 3, .caches = {Ngram(0.5, 2, 1)}});
  State state = Start(*model);
  Score(*model, {3, 4, 5, 3}, &state);  // the history is b c a
  EXPECT_NEAR(std::exp(Distribution(*model, state)[4]), kUniform, 1e-6);
}

TEST(CacheModelTest, BeginOfSentenceIsNotCached) {
  const auto model = OverUniform({.history = 3, .caches = {Ngram(0.5, 1, 1)}});
  State with = Start(*model), without = with;
  EXPECT_EQ(Score(*model, {3, 1, 4}, &with)[1], kImpossible);
  Score(*model, {3, 4}, &without);
  // The state of the member is the number of words.
  EXPECT_EQ(State(with.begin() + 4, with.end()),
            State(without.begin() + 4, without.end()));
  EXPECT_EQ(Distribution(*model, with), Distribution(*model, without));
}

TEST(CacheModelTest, EndOfSentenceAndUnknownWordsAreCached) {
  const auto model = OverUniform({.history = 9, .caches = {Ngram(0.5, 1, 1)}});
  State state = Start(*model);
  Score(*model, {0, 2}, &state);
  const std::vector<float> next = Distribution(*model, state);
  EXPECT_NEAR(std::exp(next[0]), 0.5 * kUniform + 0.25, 1e-6);
  EXPECT_NEAR(std::exp(next[2]), 0.5 * kUniform + 0.25, 1e-6);
}

TEST(CacheModelTest, StartEmptyIsThatOfTheMember) {
  const auto model = OverUniform({.history = 9, .caches = {Ngram(0.5, 1, 1)}});
  State state(model->state_size(), std::byte{0xAB});
  EXPECT_TRUE(model->StartEmpty(state.data()));
  EXPECT_EQ(state, Start(*model));
}

// A text of more words than are in memory at once.
TEST(CacheModelTest, LongTexts) {
  const auto model =
      OverUniform({.history = 100, .caches = {Ngram(0.5, 1, 0.9)}});
  std::mt19937 random(1);
  std::vector<WordId> text(7000);
  for (WordId& word : text) word = 2 + random() % 7;
  State whole = Start(*model), parts = whole;
  const std::vector<float> expected = Score(*model, text, &whole);
  std::vector<float> found;
  for (size_t begin = 0; begin < text.size(); begin += 1000) {
    const std::vector<float> part = Score(
        *model, {text.begin() + begin, text.begin() + begin + 1000}, &parts);
    found.insert(found.end(), part.begin(), part.end());
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(parts, whole);
  // Together with others that need no or few probabilities.
  const State start = Start(*model);
  State moved(start.size()), stayed(start.size());
  std::vector<float> all(text.size()), few(3);
  const std::vector<WordId> last = {3, 4, 5};
  model->Score({{start.data(), last, nullptr, absl::MakeSpan(few)},
                {start.data(), text, moved.data(), {}},
                {start.data(), text, nullptr, absl::MakeSpan(all)},
                {start.data(), {}, stayed.data(), {}}});
  State state = start;
  EXPECT_EQ(few, Score(*model, last, &state));
  EXPECT_EQ(all, expected);
  EXPECT_EQ(moved, whole);
  EXPECT_EQ(stayed, start);
}

TEST(CacheModelTest, PartsMixToTheScores) {
  const auto model = OverUniform(
      {.history = 5, .caches = {Ngram(0.25, 1, 0.5), Ngram(0.5, 2, 1)}});
  const std::vector<WordId> text = {3, 4, 3, 4, 5, 3};
  State state = Start(*model), parts_state = state;
  const std::vector<float> expected = Score(*model, text, &state);
  ASSERT_EQ(model->parts(), 3u);
  std::vector<float> parts(3 * text.size()), unused(text.size());
  model->ScoreParts(
      {{parts_state.data(), text, parts_state.data(), absl::MakeSpan(unused)}},
      parts.data());
  EXPECT_EQ(parts_state, state);
  for (size_t t = 0; t < text.size(); ++t) {
    EXPECT_NEAR(std::exp(expected[t]),
                0.25 * std::exp(parts[t]) +
                    0.25 * std::exp(parts[text.size() + t]) +
                    0.5 * std::exp(parts[2 * text.size() + t]),
                1e-6);
  }
}

TEST(CacheModelTest, OptionsAreChecked) {
  const auto error = [](const CacheOptions& options) {
    const std::vector<absl::string_view> words = {"<unk>", "<s>", "</s>"};
    return std::string(
        CacheModel::Create(std::make_unique<UniformModel>(words), options)
            .status()
            .message());
  };
  EXPECT_EQ(error({.history = 0, .caches = {Ngram(0, 1, 1)}}),
            "history: expected 1 to 65536, found 0");
  EXPECT_EQ(error({.caches = {Ngram(0.6, 1, 1), Ngram(0.5, 1, 1)}}),
            "weights: expected a sum of at most 1, found 1.1");
  EXPECT_EQ(error({.caches = {Ngram(0.5, 1, std::nan(""))}}),
            "cache 0: decay: expected above 0 and at most 1, found nan");
  EXPECT_EQ(error({.keys = Precision::kInt8, .caches = {Ngram(0.5, 1, 1)}}),
            "keys: expected float or bf16, found int8");
  EXPECT_EQ(error({.caches = {Continuous(0.5, 0.1)}}),
            "a continuous cache needs a recurrent model, found a model without "
            "hidden states");
  EXPECT_EQ(error({.caches = {Ngram(1, 1, 1)}}), "");
}

// A recurrent model, and the same model with caches.
class ContinuousTest : public testing::TestWithParam<Cell> {
 protected:
  ContinuousTest() : member_(Member()) {}

  static TestModel Member() {
    RecurrentNetworkOptions options;
    options.stack.cell = GetParam();
    options.stack.units = 43;
    options.stack.layers = 2;
    options.embedding = 6;
    return RecurrentTestModel(VocabularyOf("a b c d e f g h"), options,
                              Precision::kFloat);
  }

  TestModel WithCaches(const CacheOptions& options) const {
    return CacheTestModel(Member(), options);
  }

  std::vector<WordId> RandomWords(size_t count) const {
    std::mt19937 random(3);
    std::vector<WordId> words(count);
    for (WordId& word : words) {
      do {
        word = random() % member_.model->vocabulary().size();
      } while (word == member_.model->vocabulary().begin_sentence());
    }
    return words;
  }

  // Computes P(word) of each word of a text as the equations say, from the
  // probabilities and hidden states of the member.
  std::vector<double> Naive(const CacheOptions& options,
                            const std::vector<WordId>& words) const {
    const LanguageModel& model = *member_.model;
    const HiddenStateModel& states = *model.hidden_states();
    State state = Start(model);
    std::vector<std::vector<float>> hidden;
    std::vector<double> found;
    for (size_t t = 0; t < words.size(); ++t) {
      hidden.emplace_back(states.hidden_size());
      states.CopyHidden(state.data(), hidden.back().data());
      double p = std::exp(double{Score(model, {words[t]}, &state)[0]});
      double mixed = p;
      for (const Cache& cache : options.caches) {
        double hits = 0, total = 0;
        const size_t begin = t < options.history ? 0 : t - options.history;
        for (size_t i = begin; i < t; ++i) {
          double k = 0;
          if (cache.kind == CacheKind::kContinuous) {
            for (size_t u = 0; u < hidden[t].size(); ++u) {
              k += double{hidden[t][u]} * hidden[i][u];
            }
            k = std::exp(cache.theta * k);
          } else {
            const size_t context = cache.order - 1;
            if (i < begin + context ||
                !std::equal(&words[i] - context, &words[i],
                            &words[t] - context)) {
              continue;
            }
            k = std::pow(cache.decay, t - 1 - i);
          }
          total += k;
          if (words[i] == words[t]) hits += k;
        }
        mixed += cache.weight * ((total > 0 ? hits / total : p) - p);
      }
      found.push_back(mixed);
    }
    return found;
  }

  const TestModel member_;
};

TEST_P(ContinuousTest, EqualsNaive) {
  const std::vector<WordId> words = RandomWords(60);
  for (size_t history : {1, 7, 1000}) {
    const CacheOptions options = {
        .history = history,
        .caches = {Continuous(0.3, 0.7), Ngram(0.1, 1, 0.9), Continuous(0.2, 5),
                   Ngram(0.2, 2, 0.95), Ngram(0.1, 3, 1)}};
    const std::vector<double> expected = Naive(options, words);
    const TestModel model = WithCaches(options);
    State state = Start(*model.model);
    const std::vector<float> found = Score(*model.model, words, &state);
    for (size_t t = 0; t < words.size(); ++t) {
      EXPECT_NEAR(found[t], std::log(expected[t]), 1e-5) << history << " " << t;
    }
  }
}

TEST_P(ContinuousTest, KeysOfBf16AreAlmostAsGood) {
  const std::vector<WordId> words = RandomWords(60);
  CacheOptions options = {.history = 20, .caches = {Continuous(0.5, 1)}};
  const TestModel exact = WithCaches(options);
  options.keys = Precision::kBf16;
  const TestModel rounded = WithCaches(options);
  const size_t units = 43;
  EXPECT_EQ(exact.model->state_size() - rounded.model->state_size(),
            20 * units * 2);
  State a = Start(*exact.model), b = Start(*rounded.model);
  const std::vector<float> expected = Score(*exact.model, words, &a);
  const std::vector<float> found = Score(*rounded.model, words, &b);
  EXPECT_NE(found, expected);
  for (size_t t = 0; t < words.size(); ++t) {
    EXPECT_NEAR(found[t], expected[t], 0.02);
  }
}

TEST_P(ContinuousTest, HiddenStatesOfABatchAreThoseOfTheStates) {
  const LanguageModel& model = *member_.model;
  const HiddenStateModel& states = *model.hidden_states();
  const size_t units = states.hidden_size();
  ASSERT_EQ(units, 43u);
  // More words than one pass through the network has, in texts that share
  // their beginnings.
  const std::vector<WordId> words = RandomWords(5000);
  const std::vector<size_t> sizes = {3, 0, 1500, 1400, 5000, 7};
  const State start = Start(model);
  std::vector<LanguageModel::Query> batch;
  std::vector<std::vector<float>> log_probs;
  size_t total = 0;
  for (size_t size : sizes) {
    log_probs.emplace_back(size);
    batch.push_back({start.data(), absl::MakeConstSpan(words).first(size),
                     nullptr, absl::MakeSpan(log_probs.back())});
    total += size;
  }
  std::vector<float> hidden(total * units);
  states.ScoreWithHidden(batch, hidden.data());
  State state = start;
  std::vector<float> expected, expected_log_probs;
  for (WordId word : words) {
    std::vector<float> h(units);
    states.CopyHidden(state.data(), h.data());
    expected.insert(expected.end(), h.begin(), h.end());
    expected_log_probs.push_back(Score(model, {word}, &state)[0]);
  }
  const float* found = hidden.data();
  for (size_t q = 0; q < sizes.size(); ++q) {
    const size_t floats = sizes[q] * units;
    EXPECT_EQ(std::vector<float>(found, found + floats),
              std::vector<float>(expected.begin(), expected.begin() + floats))
        << q;
    EXPECT_EQ(log_probs[q],
              std::vector<float>(expected_log_probs.begin(),
                                 expected_log_probs.begin() + sizes[q]));
    found += floats;
  }
}

TEST_P(ContinuousTest, TheGatesAreThoseOfTheMember) {
  const TestModel model =
      WithCaches({.history = 20, .caches = {Continuous(0.5, 1)}});
  ASSERT_NE(model.model->inspectable(), nullptr);
  EXPECT_EQ(model.model->inspectable()->layers().size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Cells, ContinuousTest,
                         testing::Values(Cell::kRnn, Cell::kGru, Cell::kLstm),
                         [](const testing::TestParamInfo<Cell>& info) {
                           return std::string(CellName(info.param));
                         });

}  // namespace
}  // namespace lmserve
