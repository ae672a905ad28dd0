// SPDX-License-Identifier: Apache-2.0
//
// Every RPC with translation models.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "server/handlers/generation.h"
#include "server/handlers/model_management.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::GenerateRequest;
using lm::v1::GenerateResponse;
using lm::v1::PredictRequest;
using lm::v1::PredictResponse;
using lm::v1::RerankRequest;
using lm::v1::RerankResponse;
using lm::v1::ScoreRequest;
using lm::v1::ScoreResponse;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class TranslationServerTest : public testing::Test {
 protected:
  TranslationServerTest() {
    PublishTranslationModel(files_.path(), "de-en", "die katze hund ist",
                            "the cat dog is");
    PublishTranslationModel(files_.path(), "en-de", "the cat dog is",
                            "die katze hund ist");
    PublishTranslationModel(files_.path(), "plain", "die katze", "the cat",
                            /*attention=*/false);
    store_ = files_.Open();
    serving_.emplace(*store_, limits_);
  }

  absl::StatusOr<ScoreResponse> TryScore(const std::string& request) {
    ScoreResponse response;
    absl::Status status =
        serving_->Answer(HandleScore, Parse<ScoreRequest>(request), &response);
    if (!status.ok()) return status;
    return response;
  }

  absl::StatusOr<RerankResponse> TryRerank(const std::string& request) {
    RerankResponse response;
    absl::Status status = serving_->Answer(
        HandleRerank, Parse<RerankRequest>(request), &response);
    if (!status.ok()) return status;
    return response;
  }

  // Returns ln P of a text given a source.
  double LogProb(const std::string& model, const std::string& source,
                 const std::string& text) {
    return TryScore(absl::StrCat("model: '", model, "' texts { text: '", text,
                                 "' } sources { text: '", source, "' }"))
        .value()
        .scores(0)
        .log_prob();
  }

  absl::StatusOr<GenerateResponse> TryGenerate(const std::string& request) {
    auto generation =
        Generation::Start(**serving_, call_, Parse<GenerateRequest>(request));
    if (!generation.ok()) return generation.status();
    GenerateResponse response;
    const absl::StatusOr<bool> more = Wait((*generation)->Next(&response));
    if (!more.ok()) return more.status();
    return response;
  }

  const SmallStore files_;
  std::unique_ptr<ModelStore> store_;
  const Limits limits_ = {};
  std::optional<TestServing> serving_;
  Call call_;
};

// Returns the text of an expected error.
std::string Message(const absl::Status& status) { return status.ToString(); }

TEST_F(TranslationServerTest, ScoreEqualsThatOfTheDecoder) {
  const ModelHandle handle = store_->Get("de-en").value();
  const TranslationModel& model = *handle->model().translation();
  const WordId source[] = {model.source_vocabulary().Find("katze"),
                           model.source_vocabulary().Find("hund")};
  const Vocabulary& vocabulary = model.decoder().vocabulary();
  const WordId text[] = {vocabulary.Find("cat"), vocabulary.Find("unheard"),
                         vocabulary.end_sentence()};
  const auto read = model.Read(source);
  std::vector<std::byte> state(model.decoder().state_size());
  read->Start(state.data());
  std::vector<float> log_probs(3);
  const LanguageModel::Query query = {state.data(), text, nullptr,
                                      absl::MakeSpan(log_probs)};
  model.decoder().Score({&query, 1});
  const ScoreResponse response =
      TryScore(
          "model: 'de-en' per_word: true texts { text: 'cat unheard' } "
          "sources { text: 'katze hund' }")
          .value();
  EXPECT_THAT(response.scores(0).words().log_probs(),
              ElementsAre(log_probs[0], log_probs[1], log_probs[2]));
  EXPECT_THAT(response.scores(0).words().unknown(),
              ElementsAre(false, true, false));
}

TEST_F(TranslationServerTest, OneSourceForAllOrOneEach) {
  const ScoreResponse each =
      TryScore(
          "model: 'de-en' texts { text: 'cat' } texts { text: 'the dog' } "
          "sources { text: 'katze' } sources { text: 'der hund' }")
          .value();
  EXPECT_EQ(each.scores(0).log_prob(), LogProb("de-en", "katze", "cat"));
  EXPECT_EQ(each.scores(1).log_prob(), LogProb("de-en", "der hund", "the dog"));
  const ScoreResponse all =
      TryScore(
          "model: 'de-en' texts { text: 'cat' } texts { text: 'the dog' } "
          "sources { text: 'katze' }")
          .value();
  EXPECT_EQ(all.scores(0).log_prob(), LogProb("de-en", "katze", "cat"));
  EXPECT_EQ(all.scores(1).log_prob(), LogProb("de-en", "katze", "the dog"));
  EXPECT_NE(all.scores(1).log_prob(), each.scores(1).log_prob());
}

// More sources than fit into a batch are read in several batches.
TEST_F(TranslationServerTest, EachOfManySourcesIsReadAsIfAlone) {
  ScoreRequest request;
  request.set_model("de-en");
  std::vector<double> expected;
  for (int i = 0; i < 1500; ++i) {
    const std::string source = i % 3 == 0 ? "katze" : "die hund ist";
    const std::string text = i % 2 == 0 ? "the cat" : "dog is the cat";
    request.add_texts()->set_text(text);
    request.add_sources()->set_text(source);
    if (expected.size() < 6) expected.push_back(LogProb("de-en", source, text));
  }
  ScoreResponse response;
  ASSERT_TRUE(serving_->Answer(HandleScore, request, &response).ok());
  for (int i = 0; i < 1500; ++i) {
    ASSERT_EQ(response.scores(i).log_prob(), expected[i % 6]) << i;
  }
}

TEST_F(TranslationServerTest, RerankInBothDirections) {
  const RerankResponse response =
      TryRerank(
          "models: ['de-en', 'tiny'] reverse_models: 'en-de' "
          "source { text: 'die katze' } "
          "candidates { text { text: 'the cat' } } "
          "candidates { text { text: '' } }")
          .value();
  EXPECT_THAT(
      response.feature_names(),
      ElementsAre("de-en", "de-en.unknown", "de-en.words", "de-en.end", "tiny",
                  "tiny.unknown", "tiny.words", "tiny.end", "en-de"));
  EXPECT_EQ(response.models_size(), 3);
  for (const lm::v1::RankedCandidate& candidate : response.candidates()) {
    if (candidate.index() != 0) continue;
    EXPECT_EQ(candidate.features(0), LogProb("de-en", "die katze", "the cat"));
    EXPECT_EQ(candidate.features(8), LogProb("en-de", "the cat", "die katze"));
  }
}

TEST_F(TranslationServerTest, BeamSearchScoresEqualThoseOfScore) {
  const GenerateResponse response =
      TryGenerate(
          "model: 'de-en' source { text: 'die katze ist' } max_words: 8 "
          "beam_search { size: 5 best: 5 length_alpha: 1 }")
          .value();
  EXPECT_EQ(response.model().name(), "de-en");
  ASSERT_EQ(response.hypotheses().hypotheses_size(), 5);
  double last = std::numeric_limits<double>::infinity();
  for (const lm::v1::Hypothesis& hypothesis :
       response.hypotheses().hypotheses()) {
    if (!hypothesis.ended() || hypothesis.words().empty()) continue;
    std::string text;
    for (const std::string& word : hypothesis.words()) {
      absl::StrAppend(&text, word, " ");
    }
    EXPECT_NEAR(hypothesis.log_prob(), LogProb("de-en", "die katze ist", text),
                1e-5);
    EXPECT_NEAR(hypothesis.score(),
                hypothesis.log_prob() / hypothesis.log_probs_size(), 1e-9);
    EXPECT_LE(hypothesis.score(), last);
    last = hypothesis.score();
  }
}

// With alpha = 0, a score is ln P plus beta times the coverage.
TEST_F(TranslationServerTest, CoverageComesFromTheAttention) {
  const ModelHandle handle = store_->Get("de-en").value();
  const TranslationModel& model = *handle->model().translation();
  const WordId source[] = {model.source_vocabulary().Find("die"),
                           model.source_vocabulary().Find("katze")};
  const auto read = model.Read(source);
  // The attention of the prompt counts, too.
  for (const std::string prompt : {"", "the dog"}) {
    const GenerateResponse response =
        TryGenerate(absl::StrCat("model: 'de-en' source { text: 'die katze' } "
                                 "prompt { text: '",
                                 prompt,
                                 "' } max_words: 4 "
                                 "beam_search { size: 5 best: 5 "
                                 "coverage_beta: 0.5 }"))
            .value();
    for (const lm::v1::Hypothesis& hypothesis :
         response.hypotheses().hypotheses()) {
      std::vector<WordId> words;
      for (absl::string_view word : SplitWords(prompt)) {
        words.push_back(model.decoder().vocabulary().Find(word));
      }
      words.insert(words.end(), hypothesis.ids().begin(),
                   hypothesis.ids().end());
      // The last word of a text that was cut off has no attention yet.
      if (!hypothesis.ended()) words.pop_back();
      std::vector<std::byte> state(model.decoder().state_size());
      read->Start(state.data());
      double looked_at[3] = {};
      for (size_t t = 0; t <= words.size(); ++t) {
        float weights[3];
        const TranslationModel::AttentionQuery look = {state.data(),
                                                       absl::MakeSpan(weights)};
        model.Attend({&look, 1});
        for (size_t j = 0; j < 3; ++j) looked_at[j] += weights[j];
        if (t == words.size()) break;
        const LanguageModel::Query query = {
            state.data(), {&words[t], 1}, state.data(), {}};
        model.decoder().Score({&query, 1});
      }
      double coverage = 0;
      for (double look : looked_at) coverage += std::log(std::min(1.0, look));
      EXPECT_NEAR(hypothesis.score(), hypothesis.log_prob() + 0.5 * coverage,
                  1e-4);
    }
  }
}

TEST_F(TranslationServerTest, CoverageNeedsAttention) {
  constexpr char kSearch[] = " beam_search { size: 2 coverage_beta: 0.2 }";
  for (const std::string model :
       {"model: 'tiny'", "model: 'plain' source { text: 'katze' }"}) {
    EXPECT_THAT(Message(TryGenerate(absl::StrCat(model, kSearch)).status()),
                AllOf(HasSubstr("coverage_beta: expected 0, because "),
                      HasSubstr("has no attention")));
  }
  EXPECT_THAT(
      Message(TryGenerate(absl::StrCat("model: 'tiny'", kSearch)).status()),
      HasSubstr("INVALID_ARGUMENT: beam_search.coverage_beta: expected 0, "
                "because 'tiny' has no attention"));
}

TEST_F(TranslationServerTest, ABeamOfOneIsTheBestWordEachTime) {
  const GenerateResponse beam =
      TryGenerate(
          "model: 'de-en' source { text: 'hund' } max_words: 5 "
          "beam_search { size: 1 }")
          .value();
  const GenerateResponse drawn =
      TryGenerate(
          "model: 'de-en' source { text: 'hund' } max_words: 5 temperature: 0")
          .value();
  if (beam.hypotheses().hypotheses(0).words().empty()) {
    EXPECT_EQ(drawn.end().reason(),
              lm::v1::GenerationEnd::REASON_END_OF_SENTENCE);
  } else {
    EXPECT_EQ(drawn.word().word(), beam.hypotheses().hypotheses(0).words(0));
  }
}

TEST_F(TranslationServerTest, ABeamSearchNeedsNoTranslationModel) {
  const GenerateResponse response =
      TryGenerate("model: 'tiny' beam_search { size: 3 best: 2 }").value();
  EXPECT_EQ(response.hypotheses().hypotheses_size(), 2);
}

TEST_F(TranslationServerTest, ErrorsNameTheFieldOfASource) {
  EXPECT_THAT(Message(TryScore("model: 'de-en' texts { text: 'a' }").status()),
              HasSubstr("INVALID_ARGUMENT: sources: expected a source for the "
                        "translation model 'de-en', found none"));
  EXPECT_THAT(Message(TryScore("model: 'tiny' texts { text: 'a' } "
                               "sources { text: 'b' }")
                          .status()),
              HasSubstr("sources: expected no source, because 'tiny' is not a "
                        "translation model"));
  EXPECT_THAT(
      Message(TryScore("model: 'de-en' texts { text: 'a' } "
                       "texts { text: 'a' } texts { text: 'a' } "
                       "sources { text: 'b' } sources { text: 'b' }")
                  .status()),
      HasSubstr("sources: expected one, or one for each of 3 texts, found 2"));
  EXPECT_THAT(
      Message(
          TryScore("model: 'de-en' texts { text: 'a' } sources {}").status()),
      HasSubstr("sources: expected a word, found none"));
  EXPECT_THAT(Message(TryGenerate("model: 'de-en'").status()),
              HasSubstr("source: expected a source for the translation model "
                        "'de-en'"));
  EXPECT_THAT(
      Message(TryGenerate("model: 'tiny' source { text: 'a' }").status()),
      HasSubstr("source: expected no source, because 'tiny' is not a "
                "translation model"));
  constexpr char kCandidate[] = "candidates { text { text: 'the' } } ";
  EXPECT_THAT(
      Message(TryRerank(absl::StrCat("models: 'de-en' ", kCandidate)).status()),
      HasSubstr("source: expected a source for the translation model 'de-en'"));
  EXPECT_THAT(
      Message(TryRerank(absl::StrCat("models: 'tiny' source { text: 'a' } ",
                                     kCandidate))
                  .status()),
      HasSubstr("source: expected no source without a translation model"));
  EXPECT_THAT(
      Message(TryRerank(absl::StrCat("models: 'tiny' reverse_models: 'en-de' ",
                                     kCandidate))
                  .status()),
      HasSubstr("source: expected a source for the translation model 'en-de'"));
  EXPECT_THAT(Message(TryRerank(absl::StrCat("reverse_models: 'tiny' "
                                             "source { text: 'a' } ",
                                             kCandidate))
                          .status()),
              HasSubstr("reverse_models: expected translation models, found "
                        "'tiny', which does not translate"));
}

TEST_F(TranslationServerTest, ABeamSearchHasLimitsAndNoSampling) {
  constexpr char kBegin[] = "model: 'tiny' ";
  EXPECT_THAT(
      Message(TryGenerate(absl::StrCat(kBegin, "beam_search {}")).status()),
      HasSubstr("beam_search.size: expected a number of at least 1"));
  EXPECT_THAT(
      Message(TryGenerate(absl::StrCat(kBegin, "beam_search { size: 101 }"))
                  .status()),
      HasSubstr("RESOURCE_EXHAUSTED: beam_search.size: expected at most 100, "
                "found 101"));
  EXPECT_THAT(
      Message(
          TryGenerate(absl::StrCat(kBegin, "beam_search { size: 2 best: 3 }"))
              .status()),
      HasSubstr("beam_search.best: expected at most"));
  EXPECT_THAT(
      Message(TryGenerate(absl::StrCat(
                              kBegin, "beam_search { size: 2 } temperature: 1"))
                  .status()),
      HasSubstr("temperature: expected no value beside beam_search"));
  EXPECT_THAT(
      Message(TryGenerate(absl::StrCat(kBegin,
                                       "beam_search { size: 2 "
                                       "length_alpha: -1 }"))
                  .status()),
      HasSubstr("beam_search.length_alpha: expected a number of at least 0"));
  for (const std::string beta : {"-0.1", "inf", "nan"}) {
    EXPECT_THAT(Message(TryGenerate(absl::StrCat(kBegin,
                                                 "beam_search { size: 2 "
                                                 "coverage_beta: ",
                                                 beta, " }"))
                            .status()),
                HasSubstr("beam_search.coverage_beta: expected a number of at "
                          "least 0, found "));
  }
}

TEST_F(TranslationServerTest, ItDoesNotPredict) {
  PredictResponse response;
  EXPECT_THAT(
      Message(serving_->Answer(
          HandlePredict, Parse<PredictRequest>("model: 'de-en' contexts {}"),
          &response)),
      HasSubstr("model: 'de-en' is a translation model: it cannot predict"));
}

TEST_F(TranslationServerTest, ModelInfoHasTheKind) {
  Call call;
  lm::v1::GetModelResponse response;
  lm::v1::GetModelRequest request;
  request.set_model("de-en");
  ASSERT_TRUE(HandleGetModel(*store_, call, request, &response).ok());
  EXPECT_TRUE(response.model().translation());
  EXPECT_GT(response.model().state_bytes(), 0);
}

}  // namespace
}  // namespace lmserve
