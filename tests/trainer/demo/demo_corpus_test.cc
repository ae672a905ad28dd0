// SPDX-License-Identifier: Apache-2.0
#include "trainer/demo/demo_corpus.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

constexpr int kSentences = 20'000;

// Returns ln P of the words of a text after <s>, and of </s> if the text is a
// whole sentence.
double LogProb(const NgramModel& model, absl::string_view text,
               bool whole = true) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  double sum = 0;
  for (absl::string_view word : SplitWords(text)) {
    sum +=
        model.ScoreWord(state.data(), model.vocabulary().Find(word)).log_prob;
  }
  const WordId end = model.vocabulary().end_sentence();
  return whole ? sum + model.ScoreWord(state.data(), end).log_prob : sum;
}

TEST(DemoCorpus, TheSameSeedGivesTheSameSentences) {
  EXPECT_EQ(DemoText(1000, 7), DemoText(1000, 7));
  EXPECT_NE(DemoText(1000, 7), DemoText(1000, 8));
}

// The corpus is the same on every machine and must not change: results of other
// tests depend on it.
TEST(DemoCorpus, FirstSentenceByValue) {
  EXPECT_EQ(DemoCorpus(1).Next(), "the young house near the cow is quiet .");
}

TEST(DemoCorpus, LabelsOfSentencesAndWords) {
  DemoCorpus plain(3), labeled(3);
  std::map<std::string, int> kinds, tags;
  for (int i = 0; i < kSentences; ++i) {
    const DemoCorpus::Labeled sentence = labeled.NextLabeled();
    EXPECT_EQ(sentence.text, plain.Next());
    const std::vector<absl::string_view> words = SplitWords(sentence.text);
    ASSERT_EQ(sentence.tags.size(), words.size());
    ++kinds[sentence.kind];
    for (const std::string& tag : sentence.tags) ++tags[tag];
  }
  EXPECT_EQ(kinds.size(), 9u);
  EXPECT_EQ(kinds.count(""), 0u);
  EXPECT_EQ(tags.size(), 13u);
  const DemoCorpus::Labeled first = DemoCorpus(1).NextLabeled();
  EXPECT_EQ(first.kind, "description");
  EXPECT_EQ(absl::StrJoin(first.tags, " "),
            "DET ADJ NOUN ADP DET NOUN AUX ADJ PUNCT");
}

TEST(DemoCorpus, HundredsOfWords) {
  const std::string text = DemoText(kSentences, 1);
  std::set<absl::string_view> types;
  for (absl::string_view word : SplitWords(text)) types.insert(word);
  EXPECT_GE(types.size(), 200u);
  EXPECT_LE(types.size(), 2000u);
}

TEST(DemoCorpus, LowerCaseWordsSeparatedBySingleSpaces) {
  DemoCorpus corpus(2);
  for (int i = 0; i < kSentences; ++i) {
    const std::string sentence = corpus.Next();
    EXPECT_EQ(sentence, absl::StrJoin(SplitWords(sentence), " "));
    EXPECT_EQ(sentence.find_first_not_of("abcdefghijklmnopqrstuvwxyz .?"),
              std::string::npos)
        << sentence;
  }
}

TEST(DemoCorpus, AnNgramModelLearnsTheContrasts) {
  const TrainedNgramModel trained = TrainModel(DemoText(kSentences, 1), 5);
  ASSERT_GE(DemoContrasts().size(), 6u);
  for (const Contrast& contrast : DemoContrasts()) {
    EXPECT_GT(LogProb(*trained.model, contrast.likely),
              LogProb(*trained.model, contrast.unlikely))
        << contrast.likely;
  }
}

std::vector<DemoCorpus::Probe> Probes(int count) {
  DemoCorpus corpus(3);
  std::vector<DemoCorpus::Probe> probes;
  probes.reserve(count);
  for (int i = 0; i < count; ++i) probes.push_back(corpus.NextProbe());
  return probes;
}

// Returns the fraction of probes for which the right word is the most probable.
double ShareSolved(const NgramModel& model,
                   const std::vector<DemoCorpus::Probe>& probes) {
  int solved = 0;
  for (const DemoCorpus::Probe& probe : probes) {
    const auto log_prob = [&](const std::string& word) {
      return LogProb(model, probe.context + " " + word, /*whole=*/false);
    };
    const double right = log_prob(probe.right);
    solved += std::all_of(
        probe.wrong.begin(), probe.wrong.end(),
        [&](const std::string& wrong) { return log_prob(wrong) < right; });
  }
  return double(solved) / probes.size();
}

// The eight answers are about equally frequent, and the context of an n-gram
// model does not contain the information.
TEST(DemoCorpus, ShortContextsDoNotSolveTheProbes) {
  const std::vector<DemoCorpus::Probe> probes = Probes(2000);
  for (int order : {3, 5}) {
    const TrainedNgramModel trained =
        TrainModel(DemoText(kSentences, 1), order);
    EXPECT_LT(ShareSolved(*trained.model, probes), 0.2) << "order " << order;
  }
}

// The third word of the sentence determines the answer.
TEST(DemoCorpus, TheBeginningOfTheSentenceSolvesTheProbes) {
  std::map<std::string, std::set<std::string>> answers;
  for (const DemoCorpus::Probe& probe : Probes(2000)) {
    const std::vector<std::string> words = absl::StrSplit(probe.context, ' ');
    ASSERT_GT(words.size(), 3u + 3u);
    answers[words[2]].insert(probe.right);
    EXPECT_THAT(probe.wrong, testing::SizeIs(7));
    EXPECT_THAT(probe.wrong, testing::Not(testing::Contains(probe.right)));
  }
  EXPECT_EQ(answers.size(), 8u);
  std::set<std::string> all;
  for (const auto& [role, things] : answers) {
    EXPECT_EQ(things.size(), 1u) << role;
    all.insert(things.begin(), things.end());
  }
  EXPECT_EQ(all.size(), 8u);
}

// The probes occur in the corpus, so a model can learn them.
TEST(DemoCorpus, ProbesAreSentencesOfTheCorpus) {
  DemoCorpus corpus(4);
  int found = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string sentence = corpus.Next();
    found += sentence.find(" their exams .") != std::string::npos;
  }
  EXPECT_GT(found, 5);
}

}  // namespace
}  // namespace lmserve
