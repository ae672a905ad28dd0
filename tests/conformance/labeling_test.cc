// SPDX-License-Identifier: Apache-2.0
//
// The contracts of TaggerModel and ClassifierModel: one test suite each, run
// over small networks of each kind with random weights.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/publish.h"
#include "models/labels.h"
#include "models/model_factory.h"
#include "models/neural/pooling.h"
#include "models/text.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using Words = std::vector<absl::string_view>;

const double kImpossibleDouble = -std::numeric_limits<double>::infinity();

bool SameBits(absl::Span<const float> a, absl::Span<const float> b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Returns sentences of many lengths, some with unknown words.
std::vector<Words> Sentences(absl::string_view text) {
  std::vector<Words> sentences;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    sentences.push_back(SplitWords(line));
  }
  return sentences;
}

std::vector<WordId> FindIds(const Vocabulary& vocabulary, const Words& words) {
  std::vector<WordId> ids;
  for (absl::string_view word : words) ids.push_back(vocabulary.Find(word));
  return ids;
}

struct TaggerCase {
  std::string name;
  TaggerNetworkOptions options;
  Precision precision = Precision::kFloat;
  double tolerance = 1e-5;  // of a log-probability

  friend void PrintTo(const TaggerCase& c, std::ostream* out) {
    *out << c.name;
  }
};

class TaggerTest : public testing::TestWithParam<TaggerCase> {
 protected:
  struct Tags {
    std::vector<size_t> labels;
    std::vector<float> log_probs;
  };

  const TaggerModel& model() const { return *made_.model->tagger(); }

  static std::vector<Tags> Tag(const TaggerModel& model,
                               absl::Span<const Words> sentences) {
    std::vector<Tags> tags(sentences.size());
    std::vector<TaggerModel::Sentence> batch;
    for (size_t i = 0; i < sentences.size(); ++i) {
      tags[i].labels.resize(sentences[i].size());
      tags[i].log_probs.resize(sentences[i].size() * model.labels().size());
      batch.push_back({sentences[i], absl::MakeSpan(tags[i].labels),
                       absl::MakeSpan(tags[i].log_probs)});
    }
    model.Tag(batch);
    return tags;
  }

  Tags Tag(const Words& words) const { return Tag(model(), {&words, 1})[0]; }

  // Whether the constraints permit a sequence.
  bool Permits(absl::Span<const WordId> labels) const {
    if (!GetParam().options.bio) return true;
    std::optional<absl::string_view> before;
    for (WordId label : labels) {
      if (!MayFollow(before, labels_[label])) return false;
      before = labels_[label];
    }
    return true;
  }

  // Calls visit(labels, ln P) for all sequences of labels of a sentence, where
  // P is not divided by the sum over those that the constraints permit.
  template <typename Visit>
  void ForEachSequence(const NaiveLabeler& naive, const Words& words,
                       const Visit& visit) const {
    const std::vector<WordId> ids = FindIds(model().vocabulary(), words);
    std::vector<WordId> labels(words.size());
    while (true) {
      visit(labels, Permits(labels) ? naive.LogProbability(words, ids, labels)
                                    : kImpossibleDouble);
      size_t t = 0;
      while (t < labels.size() && ++labels[t] == labels_.size())
        labels[t++] = 0;
      if (t == labels.size()) return;
    }
  }

  const std::string text_ =
      absl::StrCat(DemoText(25, 2), "zebra\nthe\nthe z\u00fcrich ",
                   std::string(70, 'x'), " cat\n");
  const std::vector<std::string> labels_ = {"B-A", "I-A", "B-B", "I-B", "O"};
  const LabelingTestModel made_ =
      TaggerTestModel(VocabularyOf(DemoText(400, 1)), labels_,
                      GetParam().options, GetParam().precision);
  const std::vector<Words> sentences_ = Sentences(text_);
};

// Adds up the probabilities of all sequences of labels.
TEST_P(TaggerTest, EqualsTheSumOverAllSequences) {
  const NaiveLabeler naive = NaiveLabeler::Tagger(made_, GetParam().options);
  const size_t count = labels_.size();
  for (Words words : sentences_) {
    words.resize(std::min<size_t>(words.size(), 3));
    if (words.back().size() > 64) continue;  // is read in part
    std::vector<double> sums(words.size() * count);
    double sum = 0, best = kImpossibleDouble;
    std::vector<WordId> best_labels;
    ForEachSequence(naive, words,
                    [&](const std::vector<WordId>& labels, double log_prob) {
                      sum += std::exp(log_prob);
                      for (size_t t = 0; t < labels.size(); ++t) {
                        sums[t * count + labels[t]] += std::exp(log_prob);
                      }
                      if (log_prob <= best) return;
                      best = log_prob;
                      best_labels = labels;
                    });
    const Tags found = Tag(words);
    for (size_t i = 0; i < sums.size(); ++i) {
      if (sums[i] == 0) {
        ASSERT_EQ(found.log_probs[i], kImpossibleDouble) << i;
      } else {
        ASSERT_NEAR(found.log_probs[i], std::log(sums[i] / sum),
                    GetParam().tolerance)
            << i;
      }
    }
    // Rounded weights may change which of two close sequences is the best.
    if (GetParam().precision != Precision::kFloat) continue;
    ASSERT_EQ(std::vector<WordId>(found.labels.begin(), found.labels.end()),
              best_labels);
  }
}

TEST_P(TaggerTest, EachWordHasADistribution) {
  for (const Words& words : sentences_) {
    const Tags found = Tag(words);
    for (size_t t = 0; t < words.size(); ++t) {
      double sum = 0;
      for (size_t j = 0; j < labels_.size(); ++j) {
        sum += std::exp(double{found.log_probs[t * labels_.size() + j]});
      }
      ASSERT_NEAR(sum, 1, 1e-5);
    }
  }
}

TEST_P(TaggerTest, LabelsFollowTheConstraints) {
  for (const Words& words : sentences_) {
    const std::vector<size_t> found = Tag(words).labels;
    ASSERT_TRUE(Permits(std::vector<WordId>(found.begin(), found.end())));
  }
}

TEST_P(TaggerTest, ABatchEqualsItsSentencesToTheBit) {
  const std::vector<Tags> found = Tag(model(), sentences_);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    const Tags alone = Tag(sentences_[i]);
    ASSERT_EQ(found[i].labels, alone.labels);
    ASSERT_TRUE(SameBits(found[i].log_probs, alone.log_probs)) << i;
  }
}

TEST_P(TaggerTest, LabelsDoNotDependOnWhetherLogProbsAreAskedFor) {
  for (const Words& words : sentences_) {
    std::vector<size_t> labels(words.size());
    const TaggerModel::Sentence sentence = {words, absl::MakeSpan(labels)};
    model().Tag({&sentence, 1});
    ASSERT_EQ(labels, Tag(words).labels);
  }
}

TEST_P(TaggerTest, EmptySentencesAndBatches) {
  EXPECT_TRUE(Tag(Words()).labels.empty());
  EXPECT_TRUE(Tag(model(), {}).empty());
  const std::vector<Words> mixed = {{}, sentences_[0], {}};
  EXPECT_EQ(Tag(model(), mixed)[1].labels, Tag(sentences_[0]).labels);
}

// More words than the model processes at once, in one sentence and in many.
TEST_P(TaggerTest, LongTexts) {
  Words words;
  while (words.size() < 3000) {
    words.insert(words.end(), sentences_[0].begin(), sentences_[0].end());
  }
  const Tags found = Tag(words);
  for (float log_prob : found.log_probs) ASSERT_LE(log_prob, 1e-5f);
  const std::vector<Words> many(700, sentences_[2]);
  const Tags one = Tag(sentences_[2]);
  for (const Tags& tags : Tag(model(), many)) {
    ASSERT_TRUE(SameBits(tags.log_probs, one.log_probs));
  }
}

// Without a reader of characters, all unknown words are alike.
TEST_P(TaggerTest, CharactersTellUnknownWords) {
  const Words a = {"the", "unseena", "cat"}, b = {"the", "unseenb", "cat"};
  const bool reads = GetParam().options.character_units > 0;
  EXPECT_EQ(SameBits(Tag(a).log_probs, Tag(b).log_probs), !reads);
}

// A word counts with at most 64 bytes: those at its ends.
TEST_P(TaggerTest, ALongWordCountsWithItsEnds) {
  const std::string start(32, 'a'), end(32, 'b');
  const std::string longer = absl::StrCat(start, "zzz", end);
  const std::string other = absl::StrCat(start, "yyyyyy", end);
  EXPECT_TRUE(
      SameBits(Tag(Words{longer}).log_probs, Tag(Words{other}).log_probs));
}

TEST_P(TaggerTest, SaveLoadTagGivesTheSameBits) {
  const TemporaryDirectory store;
  NewVersion version;
  version.family = made_.family;
  version.files = made_.Files();
  version.self_test = {"the cat is small .", "", "zebra"};
  ASSERT_EQ(Publish(store.path(), "m", version).value(), 1u);
  const ModelHandle loaded = LoadModel(store.path(), "m", 1).value();
  ASSERT_EQ(loaded->model().kind(), ModelKind::kTagger);
  EXPECT_FALSE(loaded->model().scores_texts());
  EXPECT_EQ(loaded->model().word_by_word(), nullptr);
  const auto expected = Tag(model(), sentences_);
  const auto found = Tag(*loaded->model().tagger(), sentences_);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    ASSERT_TRUE(SameBits(found[i].log_probs, expected[i].log_probs));
  }
}

TEST_P(TaggerTest, EightThreadsOneModel) {
  const std::vector<Tags> expected = Tag(model(), sentences_);
  std::vector<std::vector<Tags>> found(8);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (auto& mine : found) {
    threads.emplace_back([&] { mine = Tag(model(), sentences_); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : found) {
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(SameBits(mine[i].log_probs, expected[i].log_probs));
    }
  }
}

TaggerCase MakeTagger(const std::string& name, Cell cell, size_t layers,
                      Precision precision = Precision::kFloat) {
  TaggerCase c;
  c.name = absl::StrCat(name, "_", layers, "_", PrecisionName(precision));
  c.options.stack.cell = cell;
  c.options.stack.layers = layers;
  c.options.stack.units = 7;
  c.options.stack.bidirectional = true;
  c.options.embedding = 6;
  c.precision = precision;
  return c;
}

void AddCharacters(TaggerNetworkOptions* options) {
  options->character_embedding = 5;
  options->character_units = 4;
}

// For bf16 and int8, the tolerance is larger: the reference has the rounded
// weights, but the model may round their inputs, too (linear.h).
std::vector<TaggerCase> TaggerCases() {
  std::vector<TaggerCase> cases;
  for (size_t layers : {1, 2}) {
    cases.push_back(MakeTagger("lstm", Cell::kLstm, layers));
    cases.push_back(MakeTagger("gru", Cell::kGru, layers));
    cases.push_back(MakeTagger("rnn", Cell::kRnn, layers));
  }
  cases.push_back(MakeTagger("forward", Cell::kLstm, 2));
  cases.back().options.stack.bidirectional = false;
  cases.push_back(MakeTagger("bio", Cell::kLstm, 1));
  cases.back().options.bio = true;
  cases.push_back(MakeTagger("crf", Cell::kGru, 1));
  cases.back().options.crf = true;
  cases.push_back(MakeTagger("crf_bio", Cell::kLstm, 1));
  cases.back().options.crf = cases.back().options.bio = true;
  cases.push_back(MakeTagger("characters", Cell::kLstm, 1));
  AddCharacters(&cases.back().options);
  cases.push_back(MakeTagger("all", Cell::kLstm, 2));
  AddCharacters(&cases.back().options);
  cases.back().options.character_layers = 2;
  cases.back().options.crf = cases.back().options.bio = true;
  cases.push_back(MakeTagger("all", Cell::kLstm, 2, Precision::kBf16));
  AddCharacters(&cases.back().options);
  cases.back().options.crf = cases.back().options.bio = true;
  cases.back().tolerance = 0.05;
  cases.push_back(MakeTagger("all", Cell::kLstm, 2, Precision::kInt8));
  AddCharacters(&cases.back().options);
  cases.back().options.crf = cases.back().options.bio = true;
  cases.back().tolerance = 0.1;
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Models, TaggerTest, testing::ValuesIn(TaggerCases()),
                         [](const auto& info) { return info.param.name; });

struct ClassifierCase {
  std::string name;
  ClassifierNetworkOptions options;
  Precision precision = Precision::kFloat;
  double tolerance = 1e-5;  // of a log-probability

  friend void PrintTo(const ClassifierCase& c, std::ostream* out) {
    *out << c.name;
  }
};

class ClassifierTest : public testing::TestWithParam<ClassifierCase> {
 protected:
  using Ids = std::vector<WordId>;

  const ClassifierModel& model() const { return *made_.model->classifier(); }

  static std::vector<std::vector<float>> Classify(
      const ClassifierModel& model, absl::Span<const Ids> sentences) {
    std::vector<std::vector<float>> log_probs(
        sentences.size(), std::vector<float>(model.labels().size()));
    std::vector<ClassifierModel::Sentence> batch;
    for (size_t i = 0; i < sentences.size(); ++i) {
      batch.push_back({sentences[i], absl::MakeSpan(log_probs[i])});
    }
    model.Classify(batch);
    return log_probs;
  }

  std::vector<float> Classify(const Ids& sentence) const {
    return Classify(model(), {&sentence, 1})[0];
  }

  const std::string text_ = absl::StrCat(DemoText(25, 2), "zebra\nthe\n");
  const std::vector<std::string> labels_ = {"bad", "fair", "good"};
  const LabelingTestModel made_ =
      ClassifierTestModel(VocabularyOf(DemoText(400, 1)), labels_,
                          GetParam().options, GetParam().precision);
  const std::vector<Ids> sentences_ = [this] {
    std::vector<Ids> sentences;
    for (const Words& words : Sentences(text_)) {
      sentences.push_back(FindIds(model().vocabulary(), words));
    }
    return sentences;
  }();
};

TEST_P(ClassifierTest, EqualsNaiveReference) {
  const NaiveLabeler naive =
      NaiveLabeler::Classifier(made_, GetParam().options);
  for (const Ids& ids : sentences_) {
    const std::vector<float> found = Classify(ids);
    for (WordId label = 0; label < labels_.size(); ++label) {
      ASSERT_NEAR(found[label], naive.LogProbability({}, ids, {label}),
                  GetParam().tolerance);
    }
  }
}

TEST_P(ClassifierTest, EachSentenceHasADistribution) {
  for (const std::vector<float>& log_probs : Classify(model(), sentences_)) {
    double sum = 0;
    for (float log_prob : log_probs) sum += std::exp(double{log_prob});
    ASSERT_NEAR(sum, 1, 1e-5);
  }
}

TEST_P(ClassifierTest, ABatchEqualsItsSentencesToTheBit) {
  const std::vector<std::vector<float>> found = Classify(model(), sentences_);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    ASSERT_TRUE(SameBits(found[i], Classify(sentences_[i]))) << i;
  }
}

// An empty sentence has a vector of zeros, so only the bias counts.
TEST_P(ClassifierTest, EmptySentencesAndBatches) {
  EXPECT_TRUE(Classify(model(), {}).empty());
  const std::vector<Ids> mixed = {{}, sentences_[0], {}};
  const std::vector<std::vector<float>> found = Classify(model(), mixed);
  EXPECT_TRUE(SameBits(found[0], found[2]));
  EXPECT_TRUE(SameBits(found[1], Classify(sentences_[0])));
  double sum = 0;
  for (float log_prob : found[0]) sum += std::exp(double{log_prob});
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST_P(ClassifierTest, LongTexts) {
  Ids words;
  while (words.size() < 3000) {
    words.insert(words.end(), sentences_[0].begin(), sentences_[0].end());
  }
  for (float log_prob : Classify(words)) ASSERT_LE(log_prob, 0);
  const std::vector<Ids> many(700, sentences_[2]);
  const std::vector<float> one = Classify(sentences_[2]);
  for (const std::vector<float>& found : Classify(model(), many)) {
    ASSERT_TRUE(SameBits(found, one));
  }
}

TEST_P(ClassifierTest, SaveLoadClassifyGivesTheSameBits) {
  const TemporaryDirectory store;
  NewVersion version;
  version.family = made_.family;
  version.files = made_.Files();
  version.self_test = {"the cat is small .", "", "zebra"};
  ASSERT_EQ(Publish(store.path(), "m", version).value(), 1u);
  const ModelHandle loaded = LoadModel(store.path(), "m", 1).value();
  ASSERT_EQ(loaded->model().kind(), ModelKind::kClassifier);
  EXPECT_FALSE(loaded->model().scores_texts());
  const auto expected = Classify(model(), sentences_);
  const auto found = Classify(*loaded->model().classifier(), sentences_);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    ASSERT_TRUE(SameBits(found[i], expected[i]));
  }
}

TEST_P(ClassifierTest, EightThreadsOneModel) {
  const auto expected = Classify(model(), sentences_);
  std::vector<std::vector<std::vector<float>>> found(8);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (auto& mine : found) {
    threads.emplace_back([&] { mine = Classify(model(), sentences_); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : found) {
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(SameBits(mine[i], expected[i]));
    }
  }
}

ClassifierCase MakeClassifier(Cell cell, absl::string_view cell_name,
                              Pooling pooling, size_t layers,
                              Precision precision = Precision::kFloat) {
  ClassifierCase c;
  c.name = absl::StrCat(cell_name, "_", PoolingName(pooling), "_", layers, "_",
                        PrecisionName(precision));
  c.options.stack.cell = cell;
  c.options.stack.layers = layers;
  c.options.stack.units = 7;
  c.options.stack.bidirectional = true;
  c.options.embedding = 6;
  c.options.pooling = pooling;
  c.precision = precision;
  return c;
}

std::vector<ClassifierCase> ClassifierCases() {
  std::vector<ClassifierCase> cases;
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    cases.push_back(MakeClassifier(Cell::kLstm, "lstm", pooling, 2));
    cases.push_back(MakeClassifier(Cell::kGru, "gru", pooling, 1));
    cases.push_back(MakeClassifier(Cell::kRnn, "rnn", pooling, 1));
    cases.push_back(MakeClassifier(Cell::kLstm, "forward", pooling, 2));
    cases.back().options.stack.bidirectional = false;
  }
  cases.push_back(
      MakeClassifier(Cell::kLstm, "lstm", Pooling::kMax, 2, Precision::kBf16));
  cases.back().tolerance = 0.05;
  cases.push_back(
      MakeClassifier(Cell::kLstm, "lstm", Pooling::kMax, 2, Precision::kInt8));
  cases.back().tolerance = 0.1;
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Models, ClassifierTest,
                         testing::ValuesIn(ClassifierCases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lmserve
