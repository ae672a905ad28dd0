// SPDX-License-Identifier: Apache-2.0
//
// Every RPC with a tagger and a classifier: what the server tells of them, and
// that it refuses what they cannot do, with the method that serves them.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/publish.h"
#include "server/handlers/classify.h"
#include "server/handlers/decoder.h"
#include "server/handlers/embed.h"
#include "server/handlers/generation.h"
#include "server/handlers/inspect.h"
#include "server/handlers/model_management.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "server/handlers/tag.h"
#include "server/handlers/vocabulary_listing.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kText[] = "the cat is small\na dog barks\n";

class LabelServerTest : public testing::Test {
 protected:
  LabelServerTest() {
    PublishTagger(files_.path(), "tagger", kText);
    PublishClassifier(files_.path(), "classifier", kText);
    store_ = files_.Open();
    serving_.emplace(*store_, limits_);
  }

  // Returns the answer to a request, in which $0 is the name of the model.
  template <typename Request, typename Response>
  absl::Status Answer(Task<absl::Status> (*handler)(const ServingContext&,
                                                    Call&, const Request&,
                                                    Response*),
                      const std::string& request, const std::string& model) {
    Response response;
    return serving_->Answer(
        handler, Parse<Request>(absl::Substitute(request, model)), &response);
  }

  void ExpectRefused(const absl::Status& status, const std::string& message) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }

  // What an error says of a model.
  static std::string IsAnd(const std::string& model, const std::string& what) {
    return absl::StrCat("'", model, "' is a ", model, ": it cannot ", what,
                        model == "tagger"
                            ? "; it labels the words of sentences: call Tag"
                            : "; it labels texts: call Classify");
  }

  lm::v1::ModelInfo InfoOf(const std::string& model) {
    Call call;
    lm::v1::GetModelRequest request;
    request.set_model(model);
    lm::v1::GetModelResponse response;
    EXPECT_TRUE(HandleGetModel(*store_, call, request, &response).ok());
    return response.model();
  }

  const SmallStore files_;
  const Limits limits_;
  std::unique_ptr<const ModelStore> store_;
  std::optional<TestServing> serving_;
};

TEST_F(LabelServerTest, WhatModelsCanDoIsListed) {
  const lm::v1::ModelInfo tagger = InfoOf("tagger");
  EXPECT_TRUE(tagger.tagger());
  EXPECT_FALSE(tagger.classifier());
  EXPECT_FALSE(tagger.bidirectional());
  const auto labels = store_->Get("tagger").value()->model().tagger()->labels();
  EXPECT_THAT(tagger.labels(), ElementsAreArray(labels));
  EXPECT_GT(tagger.embedding_dimensions(), 0u);
  EXPECT_GT(tagger.vocabulary_size(), 0u);
  EXPECT_EQ(tagger.state_bytes(), 0u);
  const lm::v1::ModelInfo classifier = InfoOf("classifier");
  EXPECT_TRUE(classifier.classifier());
  EXPECT_FALSE(classifier.tagger());
  EXPECT_GT(classifier.labels_size(), 0);
  EXPECT_GT(classifier.embedding_dimensions(), 0u);
  const lm::v1::ModelInfo tiny = InfoOf("tiny");
  EXPECT_FALSE(tiny.tagger());
  EXPECT_FALSE(tiny.classifier());
  EXPECT_THAT(tiny.labels(), IsEmpty());
  EXPECT_EQ(tiny.embedding_dimensions(), 0u);
}

// A list leaves out what is long, and GetModel does not.
TEST_F(LabelServerTest, ManyLabelsAreNotListed) {
  std::vector<std::string> labels;
  for (int i = 0; i < 500; ++i) {
    labels.push_back(absl::StrCat(std::string(100, 'x'), i));
  }
  ClassifierNetworkOptions options;
  options.embedding = 2;
  options.stack.units = 2;
  const LabelingTestModel made = ClassifierTestModel(
      VocabularyOf(kText), labels, options, Precision::kFloat);
  NewVersion version;
  version.family = made.family;
  version.files = made.Files();
  version.self_test = {"the cat"};
  ASSERT_TRUE(Publish(files_.path(), "many", version).ok());
  serving_.reset();
  store_ = files_.Open();
  EXPECT_THAT(InfoOf("many").labels(), ElementsAreArray(labels));
  Call call;
  lm::v1::ListModelsResponse response;
  ASSERT_TRUE(HandleListModels(*store_, call, {}, &response).ok());
  int found = 0;
  for (const lm::v1::ModelInfo& model : response.models()) {
    if (model.name() != "many") continue;
    ++found;
    EXPECT_TRUE(model.is_shortened());
    EXPECT_TRUE(model.classifier());
    EXPECT_THAT(model.labels(), IsEmpty());
  }
  EXPECT_EQ(found, 1);
}

TEST_F(LabelServerTest, NothingScoresTexts) {
  for (const std::string model : {"tagger", "classifier"}) {
    const std::string score =
        absl::StrCat("model: ", IsAnd(model, "score texts"));
    ExpectRefused(
        Answer(HandleScore, "model: '$0' texts { text: 'the' }", model), score);
    for (const char* option :
         {"per_word: true", "alternatives: 2", "ranks: true",
          "include_end: false", "include_begin: false", "ngram_lengths: true",
          "keep_going: true", "sources { text: 'a' }"}) {
      ExpectRefused(
          Answer(HandleScore,
                 absl::StrCat("model: '$0' texts { text: 'the' } ", option),
                 model),
          score);
    }
    ExpectRefused(Answer(HandlePredict, "model: '$0' contexts {}", model),
                  absl::StrCat("model: ", IsAnd(model, "predict")));
    ExpectRefused(Answer(HandleRerank, "models: '$0' candidates {}", model),
                  absl::StrCat("models: ", IsAnd(model, "rerank")));
    ExpectRefused(
        Answer(HandleRerank, "models: ['tiny', '$0'] candidates {}", model),
        absl::StrCat("models: ", IsAnd(model, "rerank")));
    ExpectRefused(Answer(HandleRerank,
                         "reverse_models: '$0' candidates {} source {}", model),
                  absl::StrCat("reverse_models: ", IsAnd(model, "rerank")));
    ExpectRefused(
        Answer(HandleInspect, "model: '$0' text { text: 'the' }", model),
        absl::StrCat("model: '", model, "' has the family ", model,
                     ": it cannot be inspected; "));
  }
}

TEST_F(LabelServerTest, NothingGenerates) {
  for (const std::string model : {"tagger", "classifier"}) {
    Call call;
    for (const char* more :
         {"", " beam_search { size: 2 }", " source { text: 'a' }"}) {
      ExpectRefused(
          Generation::Start(**serving_, call,
                            Parse<lm::v1::GenerateRequest>(
                                absl::StrCat("model: '", model, "'", more)))
              .status(),
          absl::StrCat("model: ", IsAnd(model, "generate")));
    }
    Decoder decoder(**serving_, call);
    lm::v1::DecodeRequest request;
    request.mutable_start()->set_model(model);
    lm::v1::DecodeResponse response;
    ExpectRefused(Wait(decoder.Answer(request, &response)),
                  absl::StrCat("start.model: ", IsAnd(model, "decode")));
  }
}

TEST_F(LabelServerTest, EachLabelsOnlyWhatItWasMadeFor) {
  ExpectRefused(Answer(HandleClassify, "model: '$0' texts {}", "tagger"),
                absl::StrCat("model: ", IsAnd("tagger", "classify texts")));
  ExpectRefused(Answer(HandleTag, "model: '$0' sentences {}", "classifier"),
                absl::StrCat("model: ", IsAnd("classifier", "tag sentences")));
  EXPECT_TRUE(Answer(HandleTag, "model: '$0' sentences {}", "tagger").ok());
  EXPECT_TRUE(
      Answer(HandleClassify, "model: '$0' texts {}", "classifier").ok());
}

TEST_F(LabelServerTest, RerankersOfTheStoreCannotHaveThemAsMembers) {
  PublishReranker(files_.path(), "choice",
                  "members { model: 'tagger' feature: 'tagger' }");
  serving_.reset();
  store_ = files_.Open();
  serving_.emplace(*store_, limits_);
  ExpectRefused(
      Answer(HandleRerank, "reranker: '$0' candidates {}", "choice"),
      absl::StrCat("reranker 'choice': models: ", IsAnd("tagger", "rerank")));
}

TEST_F(LabelServerTest, TheVocabularyIsThatOfTheWords) {
  for (const std::string model : {"tagger", "classifier"}) {
    Call call;
    lm::v1::GetVocabularyRequest request;
    request.set_model(model);
    auto listing = VocabularyListing::Start(**serving_, call, request);
    ASSERT_TRUE(listing.ok()) << listing.status();
    lm::v1::GetVocabularyResponse response;
    ASSERT_TRUE(listing->Next(&response));
    EXPECT_EQ(response.vocabulary_size(), InfoOf(model).vocabulary_size());
    EXPECT_THAT(response.words(), testing::Contains("cat"));
  }
}

}  // namespace
}  // namespace lmserve
