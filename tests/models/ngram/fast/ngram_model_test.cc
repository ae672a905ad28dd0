// SPDX-License-Identifier: Apache-2.0
//
// Known pitfalls ("traps") of n-gram queries, each tested with a tiny model and
// expected values written as sums of numbers in its ARPA text.
// tests/conformance tests the properties that hold for every model.

#include "models/ngram/fast/ngram_model.h"

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ngram_files/arpa.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using State = std::vector<std::byte>;
using testing::ElementsAre;

// A model whose queries are words and whose scores are log10, as in ARPA files.
class Model {
 public:
  explicit Model(absl::string_view arpa) : built_(BuildFromArpa(arpa)) {}

  const NgramModel& model() const { return *built_.model; }

  std::vector<WordId> Encode(absl::string_view text) const {
    std::vector<WordId> ids;
    for (absl::string_view word : absl::StrSplit(text, ' ')) {
      ids.push_back(model().vocabulary().Find(word));
    }
    return ids;
  }

  State Start() const {
    State state(model().state_size());
    model().Start(state.data());
    return state;
  }

  // Returns the state after <s> and the words of a text.
  State After(absl::string_view text) const {
    State state = Start();
    const std::vector<WordId> words = Encode(text);
    const LanguageModel::Query query = {state.data(), words, state.data(), {}};
    model().Score({&query, 1});
    return state;
  }

  // Returns log10 P of each word of a text. Checks that Score() and both
  // ScoreWord() give the same bits.
  std::vector<double> Score(absl::string_view text) const {
    const std::vector<WordId> words = Encode(text);
    const State start = Start();
    State single = start, batched = start, kept = start;
    NgramModel::Contexts contexts;
    const bool has_contexts = model().rule() == UnseenRule::kBackOff;
    if (has_contexts) contexts = model().ContextsOf(start.data());
    std::vector<float> log_probs(words.size());
    const LanguageModel::Query query = {start.data(), words, batched.data(),
                                        absl::MakeSpan(log_probs)};
    model().Score({&query, 1});
    std::vector<double> scores;
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_EQ(model().ScoreWord(single.data(), words[i]).log_prob,
                log_probs[i]);
      if (has_contexts) {
        EXPECT_EQ(model().ScoreWord(contexts, words[i], &contexts).log_prob,
                  log_probs[i]);
        model().WriteState(contexts, kept.data());
        EXPECT_EQ(kept, single);
      }
      scores.push_back(log_probs[i] / kLn10);
    }
    EXPECT_EQ(single, batched);
    return scores;
  }

  // Returns the order of the n-gram that was found for each word.
  std::vector<int> Orders(absl::string_view text) const {
    State state = Start();
    std::vector<int> orders;
    for (WordId word : Encode(text)) {
      orders.push_back(model().ScoreWord(state.data(), word).order);
    }
    return orders;
  }

  // Returns the k best next words after a state.
  std::vector<std::string> Best(const State& state, size_t k) const {
    std::vector<ScoredWord> best(k);
    const std::byte* row = state.data();
    model().TopK({&row, 1}, k, absl::MakeSpan(best));
    std::vector<std::string> words;
    words.reserve(best.size());
    for (const ScoredWord& word : best) {
      words.emplace_back(model().vocabulary().word(word.word));
    }
    return words;
  }

 private:
  const BuiltNgramModel built_;
};

MATCHER_P(IsNear, expected, "") {
  *result_listener << "off by " << arg - expected;
  return std::abs(arg - expected) < 1e-5;
}

class TinyModelTest : public testing::Test {
 protected:
  const Model tiny_{TinyArpa()};
};

// Trap 10: the score is the log-probability of the longest match plus the
// back-off weights of the longer contexts only.
TEST_F(TinyModelTest, LongestMatchAndBackOffsOfLongerContexts) {
  EXPECT_THAT(tiny_.Score("the cat is small </s>"),
              ElementsAre(IsNear(-0.3), IsNear(-0.18), IsNear(-0.22),
                          IsNear(-0.17), IsNear(-0.21)));
  EXPECT_THAT(tiny_.Orders("the cat is small </s>"),
              ElementsAre(2, 3, 3, 3, 3));
  // The model has neither "<s> a cat" nor "a cat".
  EXPECT_THAT(tiny_.Score("a cat </s>"),
              ElementsAre(IsNear(-0.6), IsNear(-0.45 + -0.2 + -1.0),
                          IsNear(-0.25 + -0.9)));
  EXPECT_THAT(tiny_.Orders("a cat </s>"), ElementsAre(2, 1, 1));
  // "the dog" is the longest match; the only longer context is "<s> the".
  EXPECT_THAT(tiny_.Score("the dog"),
              ElementsAre(IsNear(-0.3), IsNear(-0.05 + -0.5)));
}

// Trap 11: the score of an unknown word includes the back-off weights of its
// context, and the words before it do not influence the words after it.
TEST_F(TinyModelTest, UnknownWordIsChargedAndForgets) {
  EXPECT_THAT(tiny_.Score("the zebra is small"),
              ElementsAre(IsNear(-0.3), IsNear(-0.05 + -0.3 + -1.5),
                          IsNear(-1.2), IsNear(-0.2)));
  EXPECT_EQ(tiny_.After("the zebra"), tiny_.After("zebra zebra"));
}

TEST(NgramModelTest, UnknownWordCanBeAContext) {
  const Model model(R"(\data\
ngram 1=4
ngram 2=2
\1-grams:
-1 <unk> -0.5
-99 <s> -0.2
-1 </s>
-2 is
\2-grams:
-0.3 <unk> is
-0.7 <s> <unk>
\end\
)");
  EXPECT_THAT(model.Score("zebra is </s>"),
              ElementsAre(IsNear(-0.7), IsNear(-0.3), IsNear(-1)));
  EXPECT_THAT(model.Score("zebra zebra"),
              ElementsAre(IsNear(-0.7), IsNear(-0.5 + -1)));
}

// Trap 12: a state is the longest context that has children or a back-off
// weight. Words before it are dropped, so that states with the same
// continuations have the same bytes.
TEST_F(TinyModelTest, StateDropsWhatDoesNotMatter) {
  // "a dog" has neither children nor a back-off weight, "dog" has both.
  EXPECT_EQ(tiny_.After("a dog"), tiny_.After("zebra dog"));
  EXPECT_NE(tiny_.After("a dog"), tiny_.After("the dog"));
  // "dog barks" has a back-off weight of 0, which is the same as none, and
  // "barks" has no back-off weight and no children.
  EXPECT_EQ(tiny_.After("the dog barks"), tiny_.After("zebra"));
  // "small </s>" has no children.
  EXPECT_EQ(tiny_.After("is small </s>"), tiny_.After("zebra"));
}

TEST_F(TinyModelTest, StateKeepsAContextForItsBackOffAlone) {
  // "<s> a" has no children, but its back-off weight of -0.45 counts.
  EXPECT_NE(tiny_.After("a"), tiny_.After("zebra a"));
  EXPECT_THAT(tiny_.Score("a dog").back(), IsNear(-0.45 + -0.4));
}

std::string TwoBigrams(absl::string_view backoff_of_a_b) {
  return absl::StrCat(R"(\data\
ngram 1=6
ngram 2=2
ngram 3=1
\1-grams:
-1 <unk>
-99 <s>
-1 </s>
-1 a -0.1
-1 b -0.1
-1 c -0.1
\2-grams:
-0.5 a b)",
                      backoff_of_a_b, R"(
-0.5 b c
\3-grams:
-0.2 a b c
\end\
)");
}

TEST(NgramModelTest, ExtensionWithoutBackOffIsKept) {
  // "a b" has a back-off weight of 0, but the child "a b c".
  const Model model(TwoBigrams(" 0"));
  EXPECT_THAT(model.Score("a b c"),
              ElementsAre(IsNear(-1), IsNear(-0.5), IsNear(-0.2)));
  EXPECT_NE(model.After("a b"), model.After("zebra b"));
}

TEST(NgramModelTest, MissingBackOffAndZeroAreTheSame) {
  const Model missing(TwoBigrams("")), zero(TwoBigrams("\t0")),
      minus_zero(TwoBigrams("\t-0.0"));
  for (const char* text : {"a b", "a b c", "b c", "a", "zebra"}) {
    EXPECT_EQ(missing.After(text), zero.After(text)) << text;
    EXPECT_EQ(missing.After(text), minus_zero.After(text)) << text;
    EXPECT_EQ(missing.Score(text), zero.Score(text)) << text;
  }
}

// Trap 14: a pruned model may lack the suffix "b c" of "a b c".
TEST(NgramModelTest, SuffixMayBeMissing) {
  const Model model(R"(\data\
ngram 1=7
ngram 2=2
ngram 3=2
\1-grams:
-1 <unk>
-99 <s> -0.3
-1 </s>
-1.1 a -0.1
-1.2 b -0.2
-1.3 c -0.4
-1.4 d
\2-grams:
-0.5 a b -0.05
-0.6 c d
\3-grams:
-0.2 a b c
-0.7 a b d
\end\
)");
  // After "a b c" the longest context is "c", because "b c" is not an n-gram.
  EXPECT_THAT(model.Score("a b c d"),
              ElementsAre(IsNear(-0.3 + -1.1), IsNear(-0.5), IsNear(-0.2),
                          IsNear(-0.6)));
  EXPECT_THAT(model.Orders("a b c d"), ElementsAre(1, 2, 3, 2));
  EXPECT_EQ(model.After("a b c"), model.After("zebra c"));
  // "b d" is not an n-gram either: "d" only gets the back-off weight of "b".
  EXPECT_THAT(model.Score("zebra b d").back(), IsNear(-0.2 + -1.4));
}

// Trap 15: next_state may be the same memory as state, and Start() must write
// all bytes of a state.
TEST_F(TinyModelTest, StateMayBeScoredInPlace) {
  const std::vector<WordId> words = tiny_.Encode("the cat is");
  State state(tiny_.model().state_size(), std::byte{0xAB});
  tiny_.model().Start(state.data());
  EXPECT_EQ(state, tiny_.Start());
  const LanguageModel::Query query = {state.data(), words, state.data(), {}};
  tiny_.model().Score({&query, 1});
  EXPECT_EQ(state, tiny_.After("the cat is"));
}

// Trap 17: an n-gram is identified by its words, not only by their hash. The
// context has enough children to be hashed, and many other words hash to the
// slot of a child.
TEST(NgramModelTest, HashedContextFindsOnlyItsChildren) {
  constexpr int kWords = 5000, kChildren = 300;
  std::string arpa =
      absl::StrCat("\\data\\\nngram 1=", kWords + 3, "\nngram 2=", kChildren,
                   "\n\\1-grams:\n-1 <unk>\n-99 <s> -0.5\n"
                   "-1 </s>\n");
  for (int i = 0; i < kWords; ++i) absl::StrAppend(&arpa, "-4 w", i, "\n");
  absl::StrAppend(&arpa, "\\2-grams:\n");
  for (int i = 0; i < kChildren; ++i) {
    absl::StrAppend(&arpa, "-2 <s> w", i * 13, "\n");
  }
  const Model model(absl::StrCat(arpa, "\\end\\\n"));
  for (int i = 0; i < kWords; ++i) {
    const bool is_child = i % 13 == 0 && i / 13 < kChildren;
    EXPECT_EQ(model.Orders(absl::StrCat("w", i))[0], is_child ? 2 : 1) << i;
    EXPECT_THAT(model.Score(absl::StrCat("w", i))[0],
                IsNear(is_child ? -2 : -4.5));
  }
}

// A model of more orders than a state keeps contexts, large ones among them.
TEST(NgramModelTest, KeptContextsScoreAsStatesDo) {
  std::vector<std::string> words;
  for (int i = 0; i < 40; ++i) words.push_back(absl::StrCat("w", i));
  const TrainedNgramModel trained = TrainModel(RandomText(1, words, 2000), 7);
  const NgramModel& model = *trained.model;
  State state(model.state_size());
  std::map<int, int> orders;
  for (absl::string_view line : absl::StrSplit(
           RandomText(2, words, 300) + RandomText(1, words, 100), '\n')) {
    model.Start(state.data());
    NgramModel::Contexts contexts = model.ContextsOf(state.data());
    for (absl::string_view word : absl::StrSplit(line, ' ')) {
      const WordId id = model.vocabulary().Find(word);
      const NgramModel::Step expected = model.ScoreWord(state.data(), id);
      NgramModel::Contexts after;
      const NgramModel::Step found = model.ScoreWord(contexts, id, &after);
      EXPECT_EQ(found.log_prob, expected.log_prob);
      EXPECT_EQ(found.order, expected.order);
      State written(model.state_size());
      model.WriteState(after, written.data());
      EXPECT_EQ(written, state);
      contexts = after;
      ++orders[found.order];
    }
  }
  EXPECT_EQ(orders.size(), 7u);  // each was found
}

// Trap 20: a word gets its probability from the longest context that has it,
// even if a shorter context would give it a higher one.
TEST(NgramModelTest, LongestContextWinsInTopK) {
  const Model model(R"(\data\
ngram 1=6
ngram 2=2
\1-grams:
-3 <unk>
-99 <s> 0
-0.8 </s>
-0.1 a
-0.9 b
-1 c
\2-grams:
-2 <s> a
-0.5 <s> c
\end\
)");
  EXPECT_THAT(model.Best(model.Start(), 6),
              ElementsAre("c", "</s>", "b", "a", "<unk>", "<s>"));
  EXPECT_THAT(model.Best(model.After("zebra"), 3),
              ElementsAre("a", "</s>", "b"));
}

// Traps 6 and 20: <s> is never predicted; </s> is predicted like a word.
TEST_F(TinyModelTest, BeginIsLastAndEndIsAWord) {
  const std::vector<std::string> best = tiny_.Best(tiny_.After("is small"), 10);
  EXPECT_EQ(best.front(), "</s>");
  EXPECT_EQ(best.back(), "<s>");
  State state = tiny_.Start();
  EXPECT_EQ(
      tiny_.model()
          .ScoreWord(state.data(), tiny_.model().vocabulary().begin_sentence())
          .log_prob,
      -std::numeric_limits<float>::infinity());
}

// Scores texts of many lengths, up to several blocks of the scorer.
TEST_F(TinyModelTest, LongTextsEqualWordByWord) {
  std::string text = "the";
  for (int i = 0; i < 700; ++i) {
    const char* const words[] = {"the", "cat", "is", "small", "dog", "zebra"};
    absl::StrAppend(&text, " ", words[i * i % 6]);
    if (i > 100 && i < 400) continue;  // saves time
    tiny_.Score(text);
  }
}

// Stupid back-off (Brants et al. 2007, equation 5): a factor alpha for each
// word that is dropped from the context, whether the model has the longer
// context or not.
TEST(NgramModelTest, StupidBackOffAppliesAlphaForEveryStep) {
  EstimateOptions options;
  options.smoothing.method = "stupid-back-off";
  options.smoothing.alpha = 0.4;
  const TrainedNgramModel trained =
      TrainModel("a b c\na b d\nd c\n", 3, options);
  const NgramModel& model = *trained.model;
  const auto score = [&](absl::string_view text) {
    State state(model.state_size());
    model.Start(state.data());
    double score = 0;
    for (absl::string_view word : absl::StrSplit(text, ' ')) {
      const WordId id = model.vocabulary().Find(word);
      score = std::exp(model.ScoreWord(state.data(), id).log_prob);
    }
    return score;
  };
  // The unigram counts are a 2, b 2, c 2, d 2, </s> 3: 11 tokens without <s>.
  EXPECT_NEAR(score("a b c"), 1. / 2, 1e-6);       // count(a b c) / count(a b)
  EXPECT_NEAR(score("d b c"), 0.4 * 1 / 2, 1e-6);  // "d b" was never seen
  EXPECT_NEAR(score("a c b"), 0.4 * 0.4 * 2 / 11, 1e-6);
  EXPECT_NEAR(score("zebra zebra a"), 0.4 * 0.4 * 2 / 11, 1e-6);
  EXPECT_NEAR(score("a"), 2. / 3, 1e-6);  // one word of context: <s>
  EXPECT_NEAR(score("b"), 0.4 * 2 / 11, 1e-6);
}

}  // namespace
}  // namespace lmserve
