// SPDX-License-Identifier: Apache-2.0
#include "model_store/self_test.h"

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/find_words.h"
#include "models/model_factory.h"
#include "models/text.h"

namespace lmserve {
namespace {

// `state` is the state after <s>.
std::vector<float> Score(const LanguageModel& model,
                         absl::Span<const std::byte> state,
                         std::vector<WordId> words) {
  words.push_back(model.vocabulary().end_sentence());
  std::vector<float> log_probs(words.size());
  const LanguageModel::Query query = {state.data(), words, nullptr,
                                      absl::MakeSpan(log_probs)};
  model.Score({&query, 1});
  return log_probs;
}

std::vector<float> Score(const BidirectionalModel& model,
                         const std::vector<WordId>& words) {
  std::vector<float> log_probs(words.size());
  const BidirectionalModel::Sentence sentence = {words,
                                                 absl::MakeSpan(log_probs)};
  model.Score({&sentence, 1});
  return log_probs;
}

// Returns ln P of the label that each word gets.
std::vector<float> Score(const TaggerModel& model, absl::string_view text) {
  const std::vector<absl::string_view> words = SplitWords(text);
  const size_t count = model.labels().size();
  std::vector<size_t> labels(words.size());
  std::vector<float> all(words.size() * count);
  const TaggerModel::Sentence sentence = {words, absl::MakeSpan(labels),
                                          absl::MakeSpan(all)};
  model.Tag({&sentence, 1});
  std::vector<float> log_probs;
  for (size_t t = 0; t < words.size(); ++t) {
    log_probs.push_back(all[t * count + labels[t]]);
  }
  return log_probs;
}

// Returns ln P of each label.
std::vector<float> Score(const ClassifierModel& model,
                         const std::vector<WordId>& words) {
  std::vector<float> log_probs(model.labels().size());
  const ClassifierModel::Sentence sentence = {words, absl::MakeSpan(log_probs)};
  model.Classify({&sentence, 1});
  return log_probs;
}

std::vector<float> Score(const AnyModel& model, absl::string_view source,
                         absl::string_view text) {
  if (model.kind() == ModelKind::kTagger) return Score(*model.tagger(), text);
  std::vector<WordId> words = FindWords(model.vocabulary(), text);
  if (model.kind() == ModelKind::kBidirectional) {
    return Score(*model.bidirectional(), words);
  }
  if (model.kind() == ModelKind::kClassifier) {
    return Score(*model.classifier(), words);
  }
  const LanguageModel& reader = *model.word_by_word();
  std::vector<std::byte> state(reader.state_size());
  std::unique_ptr<const TranslationModel::Source> read;
  if (const TranslationModel* translation = model.translation()) {
    read =
        translation->Read(FindWords(translation->source_vocabulary(), source));
    read->Start(state.data());
  } else {
    reader.Start(state.data());
  }
  return Score(reader, state, std::move(words));
}

int CountWords(absl::string_view text) {
  int words = 0;
  ForEachWord(text, [&](absl::string_view) { ++words; });
  return words;
}

absl::Status TooMany(absl::string_view what, int limit, int found) {
  return absl::DataLossError(absl::StrCat("self-test: expected at most ", limit,
                                          " ", what, ", found ", found));
}

absl::Status CheckSize(const lm::v1::SelfTest& self_test) {
  if (self_test.cases().empty()) {
    return absl::DataLossError("self-test: expected a text, found none");
  }
  if (self_test.cases_size() > kMaxSelfTestCases) {
    return TooMany("texts", kMaxSelfTestCases, self_test.cases_size());
  }
  int words = 0;
  for (const lm::v1::SelfTestCase& test : self_test.cases()) {
    for (const std::string* text : {&test.text(), &test.source()}) {
      const int count = CountWords(*text);
      if (count > kMaxSelfTestWordsPerText) {
        return TooMany("words in a text", kMaxSelfTestWordsPerText, count);
      }
      words += count;
    }
  }
  if (words <= kMaxSelfTestWords) return absl::OkStatus();
  return TooMany("words", kMaxSelfTestWords, words);
}

// Equal infinities are equal; NaN is equal to nothing.
bool IsClose(float a, float b, float tolerance) {
  return a == b || std::abs(a - b) <= tolerance;
}

}  // namespace

lm::v1::SelfTest MakeSelfTest(const AnyModel& model,
                              absl::Span<const std::string> texts,
                              absl::Span<const std::string> sources) {
  lm::v1::SelfTest self_test;
  for (size_t i = 0; i < texts.size(); ++i) {
    lm::v1::SelfTestCase& test = *self_test.add_cases();
    test.set_text(texts[i]);
    if (i < sources.size()) test.set_source(sources[i]);
    for (float log_prob : Score(model, test.source(), test.text())) {
      test.add_log_probs(log_prob);
    }
  }
  return self_test;
}

float SelfTestTolerance(const ModelFiles& files) {
  return HasReducedWeights(files) ? 1e-2f : kSelfTestTolerance;
}

absl::Status RunSelfTest(const AnyModel& model,
                         const lm::v1::SelfTest& self_test, float tolerance,
                         absl::FunctionRef<absl::Status()> check) {
  absl::Status status = CheckSize(self_test);
  if (!status.ok()) return status;
  for (int i = 0; i < self_test.cases_size(); ++i) {
    if (status = check(); !status.ok()) return status;
    const lm::v1::SelfTestCase& test = self_test.cases(i);
    const std::vector<float> found = Score(model, test.source(), test.text());
    if (found.size() != static_cast<size_t>(test.log_probs_size())) {
      return absl::DataLossError(absl::StrCat("self-test ", i, ": expected ",
                                              test.log_probs_size(),
                                              " words, found ", found.size()));
    }
    for (size_t t = 0; t < found.size(); ++t) {
      if (IsClose(found[t], test.log_probs(t), tolerance)) continue;
      return absl::DataLossError(absl::StrCat(
          "self-test ", i, ", word ", t, ": log-probability: expected ",
          test.log_probs(t), ", found ", found[t]));
    }
  }
  return absl::OkStatus();
}

}  // namespace lmserve
