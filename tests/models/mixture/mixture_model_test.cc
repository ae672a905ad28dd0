// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A model that gives each word a fixed probability, whatever the state. The
// state is the number of words read, 4 bytes. Counts the calls of Score().
class TableModel final : public LanguageModel {
 public:
  TableModel(Vocabulary vocabulary, std::vector<float> log_probs)
      : vocabulary_(std::move(vocabulary)), log_probs_(std::move(log_probs)) {}

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  size_t state_size() const override { return sizeof(uint32_t); }
  void Start(std::byte* state) const override { Write(0, state); }

  void Score(absl::Span<const Query> batch) const override {
    ++calls;
    for (const Query& query : batch) {
      uint32_t read = Read(query.state);
      for (size_t t = 0; t < query.words.size(); ++t, ++read) {
        if (query.log_probs.empty()) continue;
        query.log_probs[t] = log_probs_[query.words[t]];
      }
      if (query.next_state != nullptr) Write(read, query.next_state);
    }
  }

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override {
    for (size_t i = 0; i < states.size(); ++i) {
      log_probs = std::copy(log_probs_.begin(), log_probs_.end(), log_probs);
    }
  }

  static uint32_t Read(const std::byte* state) {
    uint32_t read;
    std::memcpy(&read, state, sizeof(read));
    return read;
  }

  mutable int calls = 0;

 private:
  static void Write(uint32_t read, std::byte* state) {
    std::memcpy(state, &read, sizeof(read));
  }

  const Vocabulary vocabulary_;
  const std::vector<float> log_probs_;
};

const std::vector<absl::string_view> kWords = {"<unk>", "<s>", "</s>", "a"};

// Returns the natural logarithm of each probability.
std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> logs;
  logs.reserve(probabilities.size());
  for (double p : probabilities) logs.push_back(std::log(p));
  return logs;
}

std::unique_ptr<TableModel> Table(
    std::vector<float> log_probs,
    const std::vector<absl::string_view>& words = kWords) {
  return std::make_unique<TableModel>(Vocabulary::Create(words).value(),
                                      std::move(log_probs));
}

std::unique_ptr<MixtureModel> Mix(std::vector<std::vector<float>> tables,
                                  const std::vector<double>& weights) {
  std::vector<MixtureModel::Member> members;
  for (size_t m = 0; m < tables.size(); ++m) {
    members.push_back({Table(tables[m]), weights[m]});
  }
  return MixtureModel::Create(std::move(members)).value();
}

std::vector<float> Distribution(const LanguageModel& model) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  const std::byte* row = state.data();
  std::vector<float> log_probs(model.vocabulary().size());
  model.Distribution({&row, 1}, log_probs.data());
  return log_probs;
}

// Returns the log-probability of a word that has the log-probabilities a and b
// in the two members of a mixture.
float MixTwo(float a, double weight_of_a, float b) {
  return Distribution(*Mix({{0, -kInfinity, 0, a}, {0, -kInfinity, 0, b}},
                           {weight_of_a, 1 - weight_of_a}))[3];
}

TEST(MixtureModelTest, SumsByHand) {
  const auto model =
      Mix({Logs({.25, 0, .5, .25}), Logs({.125, 0, .125, .75})}, {0.75, 0.25});
  const std::vector<float> log_probs = Distribution(*model);
  EXPECT_FLOAT_EQ(log_probs[0], std::log(.75 * .25 + .25 * .125));
  EXPECT_EQ(log_probs[1], -kInfinity);
  EXPECT_FLOAT_EQ(log_probs[2], std::log(.75 * .5 + .25 * .125));
  EXPECT_FLOAT_EQ(log_probs[3], std::log(.75 * .25 + .25 * .75));
}

TEST(MixtureModelTest, MixesInfinities) {
  EXPECT_FLOAT_EQ(MixTwo(-kInfinity, 0.25, -1), std::log(0.75) - 1);
  EXPECT_FLOAT_EQ(MixTwo(-1, 0.25, -kInfinity), std::log(0.25) - 1);
  EXPECT_EQ(MixTwo(-kInfinity, 0.25, -kInfinity), -kInfinity);
}

// exp() of these log-probabilities is 0 in double.
TEST(MixtureModelTest, TinyProbabilitiesDoNotUnderflow) {
  EXPECT_FLOAT_EQ(MixTwo(-2000, 0.25, -2001),
                  -2000 + std::log(0.25 + 0.75 * std::exp(-1.0)));
  EXPECT_FLOAT_EQ(MixTwo(-3000, 0.25, -1), std::log(0.75) - 1);
}

TEST(MixtureModelTest, NeverAboveTheBestMember) {
  for (double weight : {0.1, 0.2, 0.3, 1.0 / 3, 0.7, 0.9}) {
    EXPECT_LE(MixTwo(0, weight, 0), 0);
    EXPECT_LE(MixTwo(-1, weight, -1), -1);
  }
}

TEST(MixtureModelTest, OneMemberIsItselfToTheBit) {
  const std::vector<float> logs = Logs({.3, 0, .6, .1});
  EXPECT_EQ(Distribution(*Mix({logs}, {1})), logs);
}

TEST(MixtureModelTest, MembersOfWeight0AreLeftOut) {
  const std::vector<float> logs = Logs({.3, 0, .6, .1});
  const auto model = Mix({Logs({1, 0, 0, 0}), logs}, {0, 1});
  EXPECT_EQ(model->state_size(), sizeof(uint32_t));
  EXPECT_EQ(Distribution(*model), logs);
}

TEST(MixtureModelTest, EachMemberScoresABatchInOneCall) {
  auto first = Table(Logs({.25, 0, .5, .25}));
  auto second = Table(Logs({.125, 0, .125, .75}));
  const TableModel *a = first.get(), *b = second.get();
  std::vector<MixtureModel::Member> members;
  members.push_back({std::move(first), 0.5});
  members.push_back({std::move(second), 0.5});
  const auto model = MixtureModel::Create(std::move(members)).value();
  ASSERT_EQ(model->state_size(), 2 * sizeof(uint32_t));

  const std::vector<WordId> words = {3, 3, 2};
  std::vector<std::vector<std::byte>> states(
      4, std::vector<std::byte>(model->state_size()));
  std::vector<float> log_probs(3), last(1);
  for (auto& state : states) model->Start(state.data());
  const LanguageModel::Query batch[] = {
      {states[0].data(), words, states[0].data(), absl::MakeSpan(log_probs)},
      {states[1].data(), words, states[2].data(), {}},
      {states[3].data(), {&words[2], 1}, nullptr, absl::MakeSpan(last)}};
  model->Score(batch);
  EXPECT_EQ(a->calls, 1);
  EXPECT_EQ(b->calls, 1);
  EXPECT_FLOAT_EQ(log_probs[1], std::log(.5 * .25 + .5 * .75));
  EXPECT_FLOAT_EQ(log_probs[2], std::log(.5 * .5 + .5 * .125));
  EXPECT_EQ(last[0], log_probs[2]);
  const std::vector<uint32_t> read = {3, 0, 3, 0};
  for (size_t i = 0; i < states.size(); ++i) {
    EXPECT_EQ(TableModel::Read(states[i].data()), read[i]);
    EXPECT_EQ(TableModel::Read(states[i].data() + sizeof(uint32_t)), read[i]);
  }
}

TEST(MixtureModelTest, WeightsAreScaledToTheSum1) {
  const std::vector<float> logs = Logs({.5, 0, .25, .25});
  EXPECT_EQ(Distribution(*Mix({logs, logs}, {0.5, 0.5 + 9e-7})), logs);
  EXPECT_EQ(Distribution(*Mix({logs}, {1 - 9e-7})), logs);
}

std::string Error(const std::vector<double>& weights,
                  const std::vector<absl::string_view>& last = kWords) {
  std::vector<MixtureModel::Member> members;
  members.reserve(weights.size());
  for (double weight : weights) {
    members.push_back({Table({0, 0, 0, 0}), weight});
  }
  if (!members.empty()) {
    members.back().model = Table(std::vector<float>(last.size()), last);
  }
  return MixtureModel::Create(std::move(members)).status().ToString();
}

TEST(MixtureModelTest, Errors) {
  EXPECT_EQ(Error({}),
            "INVALID_ARGUMENT: members: expected at least 1, found 0");
  EXPECT_EQ(
      Error({0.5, -0.5, 1}),
      "INVALID_ARGUMENT: member 1: weight: expected at least 0, found -0.5");
  EXPECT_EQ(
      Error({0.5, std::nan("")}),
      "INVALID_ARGUMENT: member 1: weight: expected at least 0, found nan");
  EXPECT_THAT(Error({kInfinity}), HasSubstr("member 0: weight"));
  EXPECT_EQ(Error({0.5, 0.25}),
            "INVALID_ARGUMENT: weights: expected a sum of 1, found 0.75");
  EXPECT_THAT(Error({0.5, 0.5 + 2e-6}), HasSubstr("expected a sum of 1"));
  EXPECT_THAT(Error({0, 0}), HasSubstr("expected a sum of 1, found 0"));
}

TEST(MixtureModelTest, VocabulariesMustBeTheSame) {
  EXPECT_EQ(Error({0.5, 0.5}, {"<unk>", "<s>", "</s>", "b"}),
            "INVALID_ARGUMENT: member 1: the vocabulary differs from that of "
            "member 0: word 3: expected 'a', found 'b'");
  // This holds for a member of weight 0, too.
  EXPECT_THAT(Error({1, 0}, {"<unk>", "<s>", "</s>"}), HasSubstr("member 1"));
}

}  // namespace
}  // namespace lmserve
