// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/interpolate.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_model.h"
#include "tests/testing/naive_backoff.h"
#include "tests/testing/ngram_models.h"
#include "trainer/evaluation/mixture_weights.h"
#include "trainer/ngram/distribution_sums.h"

namespace lmserve {
namespace {

using Words = NaiveBackoff::Words;

NgramUnion UnionOf(const std::vector<TableModel>& models, double share = 0.5) {
  std::vector<NgramUnion::Model> views;
  views.reserve(models.size());
  for (const TableModel& model : models) {
    views.push_back({&model.vocabulary, &model.table});
  }
  return NgramUnion(views, share);
}

// A member by the definition in the header.
class NaiveMember {
 public:
  NaiveMember(const TableModel& model, const Vocabulary& all, double share)
      : model_(model.vocabulary, model.table),
        vocabulary_(model.vocabulary),
        unknown_(all.size() - model.vocabulary.size()),
        share_(share) {}

  double Probability(const Words& history, const std::string& word) const {
    Words known;
    for (const std::string& w : history) known.push_back(Known(w));
    const double prob = model_.Probability(known, Known(word));
    if (!vocabulary_.Contains(word)) return prob * share_ / unknown_;
    return word == "<unk>" && unknown_ > 0 ? prob * (1 - share_) : prob;
  }

  const NaiveBackoff& model() const { return model_; }

 private:
  std::string Known(const std::string& word) const {
    return vocabulary_.Contains(word) ? word : "<unk>";
  }

  const NaiveBackoff model_;
  const Vocabulary& vocabulary_;
  const double unknown_;  // number of words
  const double share_;
};

// The interpolation by the definition in the header.
NaiveBackoff Interpolate(const std::vector<TableModel>& models,
                         const std::vector<double>& weights, double share) {
  const NgramUnion all = UnionOf(models);
  std::vector<NaiveMember> members;
  members.reserve(models.size());
  for (const TableModel& model : models) {
    members.emplace_back(model, all.vocabulary(), share);
  }
  NaiveBackoff result;
  for (const NaiveMember& member : members) {
    for (const auto& [ngram, entry] : member.model().ngrams()) {
      double prob = 0;
      for (size_t m = 0; m < members.size(); ++m) {
        prob += weights[m] *
                members[m].Probability(Words(ngram.begin(), ngram.end() - 1),
                                       ngram.back());
      }
      result.ngrams()[ngram] = {prob, 1};
    }
  }
  result.Normalize();
  return result;
}

// Whether a word that is possible has no n-gram after a history, so that the
// back-off weight has an effect.
bool BacksOff(const NaiveBackoff& model, const Words& history) {
  const Words shorter(history.begin() + 1, history.end());
  for (const std::string& word : model.KnownWords()) {
    Words ngram = history;
    ngram.push_back(word);
    if (!model.ngrams().contains(ngram) &&
        model.Probability(shorter, word) > 0) {
      return true;
    }
  }
  return false;
}

// Compares two models n-gram by n-gram, and that every distribution of the
// first one sums to 1.
void ExpectSame(const NaiveBackoff& found, const NaiveBackoff& expected) {
  ASSERT_EQ(found.ngrams().size(), expected.ngrams().size());
  auto other = expected.ngrams().begin();
  for (const auto& [ngram, entry] : found.ngrams()) {
    SCOPED_TRACE(testing::PrintToString(ngram));
    ASSERT_EQ(ngram, other->first);
    EXPECT_NEAR(entry.prob, other->second.prob, 1e-6 * other->second.prob);
    if (BacksOff(found, ngram)) {
      EXPECT_NEAR(entry.backoff, other->second.backoff,
                  1e-4 * other->second.backoff);
    }
    EXPECT_NEAR(found.Sum(ngram), 1, 5e-6);
    ++other;
  }
}

const std::vector<std::string> kWords = {"a", "b", "c", "d", "e", "f"};
const std::vector<std::string> kOthers = {"c", "x", "a", "y", "b"};
const std::vector<std::string> kFew = {"a", "z"};

struct Case {
  std::string name;
  std::vector<TableModel> (*make)();
  std::vector<double> weights;
};

template <typename... Models>
std::vector<TableModel> List(Models... models) {
  std::vector<TableModel> list;
  (list.push_back(std::move(models)), ...);
  return list;
}

TableModel First(int order, absl::string_view method = "modified-kneser-ney") {
  return TrainTable(RandomText(1, kWords, 60), order, method);
}
TableModel Second(int order, absl::string_view method = "modified-kneser-ney") {
  return TrainTable(RandomText(2, kOthers, 50), order, method);
}
TableModel Third(int order, absl::string_view method = "modified-kneser-ney") {
  return TrainTable(RandomText(3, kFew, 12), order, method);
}

class InterpolateTest : public testing::TestWithParam<Case> {};

TEST_P(InterpolateTest, IsTheDefinition) {
  const std::vector<TableModel> models = GetParam().make();
  for (double share : {0.0, 0.5, 0.9, 1.0}) {
    SCOPED_TRACE(share);
    const NgramUnion all = UnionOf(models, share);
    const NormalizedTable result = all.Interpolate(GetParam().weights).value();
    EXPECT_EQ(result.scaled, 0u);
    ExpectSame(NaiveBackoff(all.vocabulary(), result.table),
               Interpolate(models, GetParam().weights, share));
    EXPECT_NEAR(SumDistributions(result.table).worst, 1, 5e-6);
    EXPECT_TRUE(BuildNgramFile(result.table).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, InterpolateTest,
    testing::Values(
        Case{"SameWords",
             [] {
               return List(First(3), TrainTable(RandomText(4, kWords, 80), 3,
                                                "witten-bell"));
             },
             {0.3, 0.7}},
        Case{"SameWordsInAnotherOrder",
             [] {
               return List(
                   First(3),
                   TrainTable(RandomText(5, {"f", "e", "d", "c", "b", "a"}, 60),
                              3));
             },
             {0.5, 0.5}},
        Case{"OtherWords",
             [] { return List(First(3), Second(3)); },
             {0.25, 0.75}},
        Case{"OtherOrders",
             [] { return List(First(2), Second(4)); },
             {0.6, 0.4}},
        Case{"ThreeModels",
             [] { return List(First(4), Second(2, "katz"), Third(3)); },
             {0.2, 0.3, 0.5}},
        Case{"Unigrams", [] { return List(First(1), Second(1)); }, {0.5, 0.5}},
        Case{"OneModel", [] { return List(Second(3)); }, {1}},
        Case{"WithUnknownWords",
             [] {
               return List(TrainTable("a <unk> b\n<unk> <unk> a\nb a <unk>\n",
                                      3, "witten-bell"),
                           Second(3));
             },
             {0.5, 0.5}},
        Case{"PrunedModels",
             [] {
               EstimateOptions pruned;
               pruned.prune = {0, 1, 2};
               return List(TrainTable(RandomText(1, kWords, 60), 4, pruned),
                           Second(3));
             },
             {0.5, 0.5}}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

// The union begins with the first model's words, in their order.
TEST(NgramUnion, Vocabulary) {
  const std::vector<TableModel> models =
      List(TableFromArpa(TinyArpa()), TrainTable("zebra cat a\n", 2));
  const NgramUnion all = UnionOf(models);
  EXPECT_EQ(all.vocabulary().text(),
            "<unk>\n<s>\n</s>\nthe\na\ncat\ndog\nis\nsmall\nbarks\nzebra\n");
  EXPECT_EQ(all.Unknown(0), 1u);  // zebra
  EXPECT_EQ(all.Unknown(1), 5u);  // the dog is small barks
}

// The first model does not know the zebra, which gets the share of <unk>, and
// is read as <unk>.
TEST(NgramUnion, UnknownWordsShareUnk) {
  const std::vector<TableModel> models =
      List(TableFromArpa(TinyArpa()), TrainTable("zebra cat a\n", 2));
  const NgramUnion all = UnionOf(models, 0.2);
  std::vector<WordId> text;
  for (const char* word : {"<s>", "the", "zebra", "cat", "gnu", "</s>"}) {
    text.push_back(all.vocabulary().Find(word));
  }
  const std::vector<float> scores = all.Score(0, text);
  const double ln10 = std::log(10);
  EXPECT_THAT(
      scores,
      testing::ElementsAre(
          testing::FloatNear(-0.3 * ln10, 1e-5),
          // the back-off weights of "<s> the" and "the"
          testing::FloatNear(-(0.05 + 0.3 + 1.5) * ln10 + std::log(0.2), 1e-5),
          testing::FloatNear(-1.0 * ln10, 1e-5),
          testing::FloatNear(-(0.25 + 1.5) * ln10 + std::log(0.8), 1e-5),
          testing::FloatNear(-0.9 * ln10, 1e-5)));
  // The second model does not know five words. None of them gets anything.
  const NgramUnion none = UnionOf(models, 0);
  const WordId dog = none.vocabulary().Find("dog");
  EXPECT_EQ(none.Score(1, {dog})[0], -INFINITY);
  EXPECT_GT(all.Score(1, {dog})[0], -INFINITY);
}

// Where the vocabularies agree, the scores, and so the weights that EM finds,
// are those of the models of a mixture.
TEST(NgramUnion, WeightsAreThoseOfAMixture) {
  const TrainedNgramModel first = TrainModel(RandomText(1, kWords, 60), 3);
  const TrainedNgramModel second = TrainModel(RandomText(4, kWords, 80), 2);
  const std::vector<TableModel> models =
      List(TrainTable(RandomText(1, kWords, 60), 3),
           TrainTable(RandomText(4, kWords, 80), 2));
  const NgramUnion all = UnionOf(models);
  std::vector<WordId> text;
  std::vector<std::vector<float>> expected(2), found;
  for (const std::string& word :
       NaiveBackoff::Split("<s> a b c a </s> <s> b f e a </s> <s> d </s>")) {
    text.push_back(all.vocabulary().Find(word));
  }
  const std::vector<const NgramModel*> members = {first.model.get(),
                                                  second.model.get()};
  for (int m = 0; m < 2; ++m) {
    std::vector<std::byte> state(members[m]->state_size());
    for (WordId id : text) {
      const std::string word(all.vocabulary().word(id));
      if (word == "<s>") {
        members[m]->Start(state.data());
      } else {
        expected[m].push_back(
            members[m]
                ->ScoreWord(state.data(), members[m]->vocabulary().Find(word))
                .log_prob);
      }
    }
    found.push_back(all.Score(m, text));
    EXPECT_THAT(found[m],
                testing::Pointwise(testing::FloatNear(1e-5), expected[m]));
  }
  const MixtureFit fit = FitMixtureWeights(found);
  const MixtureFit mixture = FitMixtureWeights(expected);
  EXPECT_EQ(fit.iterations, mixture.iterations);
  EXPECT_NEAR(fit.weights[0], mixture.weights[0], 1e-5);
}

// Models whose distributions do not sum to 1 give one that does.
TEST(Interpolate, ModelsThatDoNotSumToOne) {
  const std::vector<TableModel> models =
      List(TableFromArpa(TinyArpa()), TrainTable("the cat is a\n", 3));
  const NgramUnion all = UnionOf(models);
  const NormalizedTable result =
      all.Interpolate(std::vector<double>{0.5, 0.5}).value();
  EXPECT_GT(result.scaled, 0u);
  EXPECT_NEAR(SumDistributions(result.table).worst, 1, 2e-5);
}

}  // namespace
}  // namespace lmserve
