// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/ngram_tree.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "tests/testing/naive_backoff.h"
#include "tests/testing/ngram_models.h"
#include "trainer/ngram/table_of_model.h"

namespace lmserve {
namespace {

EstimateOptions Pruned() {
  EstimateOptions options;
  options.prune = {0, 1, 2};
  return options;
}

// A table of a model is the one of which the model was made.
TEST(TableOf, GivesTheSameFileAgain) {
  for (int order : {1, 2, 3, 5}) {
    const TrainedNgramModel trained = TrainModel(DemoText(300, 1), order);
    EXPECT_EQ(BuildNgramFile(TableOf(*trained.model).value()).value(),
              trained.bytes)
        << order;
  }
  const TrainedNgramModel pruned = TrainModel(DemoText(300, 1), 4, Pruned());
  EXPECT_EQ(BuildNgramFile(TableOf(*pruned.model).value()).value(),
            pruned.bytes);
  const BuiltNgramModel tiny = BuildFromArpa(TinyArpa());
  EXPECT_EQ(BuildNgramFile(TableOf(*tiny.model).value()).value(), tiny.bytes);
}

TEST(TableOf, OtherRulesAreRefused) {
  for (const char* method : {"additive", "stupid-back-off"}) {
    EstimateOptions options;
    options.smoothing.method = method;
    EXPECT_EQ(TableOf(*TrainModel("a b\n", 2, options).model).status().code(),
              absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(TableOf(*TrainModel("a b\n", 1, options).model).ok());
  }
}

// Compares all probabilities along a text with the definition of back-off, and
// with a state that is not what the whole history gives.
void ExpectDefinition(const TableModel& model, const std::string& text) {
  const NgramTree tree(model.table);
  const NaiveBackoff naive(model.vocabulary, model.table);
  NgramPlace state;
  NaiveBackoff::Words history;
  for (const std::string& word : NaiveBackoff::Split(text)) {
    for (const std::string& other : naive.KnownWords()) {
      const double expected = std::log(naive.Probability(history, other));
      const double found = tree.Score(state, model.vocabulary.Find(other));
      if (std::isinf(expected)) {
        EXPECT_EQ(found, expected);
      } else {
        EXPECT_NEAR(found, expected, 1e-6);
      }
    }
    tree.Advance(&state, model.vocabulary.Find(word));
    history.push_back(word);
    const size_t longest = model.table.order() - 1;
    if (history.size() > longest) history.erase(history.begin());
  }
}

TEST(NgramTree, ScoresByTheDefinition) {
  const std::vector<std::string> words = {"a", "b", "c", "d", "e"};
  const std::string test = RandomText(7, words, 8);
  for (int order : {1, 2, 3, 4}) {
    ExpectDefinition(TrainTable(RandomText(1, words, 40), order), test);
  }
  ExpectDefinition(TrainTable(RandomText(2, words, 80), 4, Pruned()), test);
}

// In TinyArpa(), the suffixes "cat is small" has and "dog barks" lacks
// n-grams, and some contexts have no children.
TEST(NgramTree, ScoresWithMissingSuffixes) {
  ExpectDefinition(TableFromArpa(TinyArpa()),
                   "<s> the cat is small barks dog barks a a dog <unk> the");
}

TEST(NgramTree, SuffixIsTheLongestThatExists) {
  const TableModel model = TableFromArpa(TinyArpa());
  const NgramTree tree(model.table);
  NgramPlace state;
  const auto read = [&](const char* word) {
    tree.Advance(&state, model.vocabulary.Find(word));
    return state.order;
  };
  EXPECT_EQ(read("<s>"), 1);
  EXPECT_EQ(read("the"), 2);
  EXPECT_EQ(read("cat"), 2);    // <s> the cat is no context; the cat is one
  EXPECT_EQ(read("is"), 2);     // cat is
  EXPECT_EQ(read("small"), 2);  // is small
  EXPECT_EQ(read("cat"), 1);
  const NgramPlace the_cat =
      tree.Child(tree.Child({}, model.vocabulary.Find("the")),
                 model.vocabulary.Find("cat"));
  EXPECT_EQ(the_cat.order, 2);
  EXPECT_EQ(tree.Suffix(the_cat),
            (NgramPlace{1, model.vocabulary.Find("cat")}));
  EXPECT_EQ(tree.Child(the_cat, model.vocabulary.Find("a")), NgramPlace());
}

}  // namespace
}  // namespace lmserve
