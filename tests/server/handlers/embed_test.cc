// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/embed.h"

#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/sentence_encoder.h"
#include "models/text.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::EmbedRequest;
using lm::v1::EmbedResponse;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kSource[] = "die katze hund ist";

using Vector = std::vector<float>;

Vector ValuesOf(const lm::v1::Embedding& embedding) {
  return {embedding.values().begin(), embedding.values().end()};
}

constexpr char kText[] = "the cat is small\na dog barks\n";

// A store with a model of each family that has sentence vectors.
class EmbedTest : public testing::Test {
 protected:
  EmbedTest() {
    PublishRecurrentModel(files_.path(), "lstm", kText);
    PublishBidirectionalModel(files_.path(), "both", kText);
    PublishTranslationModel(files_.path(), "de-en", kSource, kText);
    PublishTagger(files_.path(), "tagger", kText);
    PublishClassifier(files_.path(), "classifier", kText);
    Open({});
  }

  // Batches have at most five words.
  void Open(const Limits& limits) {
    serving_.reset();
    limits_ = limits;
    store_ = files_.Open();
    serving_.emplace(*store_, limits_, BatcherOptions{.batch_words = 5});
  }

  absl::StatusOr<EmbedResponse> Try(const std::string& request) {
    EmbedResponse response;
    absl::Status status =
        serving_->Answer(HandleEmbed, Parse<EmbedRequest>(request), &response);
    EXPECT_EQ(serving_->budgets().answer_bytes.taken(), 0u);
    if (!status.ok()) return status;
    return response;
  }
  EmbedResponse Embed(const std::string& request) {
    return Try(request).value();
  }

  // What the model itself returns for one sentence.
  Vector Expected(const std::string& model, const std::string& text,
                  Pooling pooling) {
    const ModelHandle handle = store_->Get(model).value();
    const SentenceEncoder& encoder = *handle->model().sentence_encoder();
    std::vector<WordId> words;
    for (absl::string_view word : SplitWords(text)) {
      words.push_back(encoder.sentence_vocabulary().Find(word));
    }
    Vector vector(encoder.dimensions());
    const SentenceEncoder::Sentence sentence = {words, absl::MakeSpan(vector)};
    encoder.Encode({&sentence, 1}, pooling);
    return vector;
  }

  void ExpectError(const std::string& request, absl::StatusCode code,
                   const std::string& message) {
    const absl::Status status = Try(request).status();
    EXPECT_EQ(status.code(), code) << request;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << request;
  }

  const SmallStore files_;
  Limits limits_;
  std::unique_ptr<const ModelStore> store_;
  std::optional<TestServing> serving_;
};

TEST_F(EmbedTest, ReturnsTheVectorsOfTheModel) {
  const std::pair<const char*, Pooling> kPoolings[] = {
      {"", Pooling::kMean},
      {" pooling: POOLING_MEAN", Pooling::kMean},
      {" pooling: POOLING_MAX", Pooling::kMax},
      {" pooling: POOLING_LAST", Pooling::kLast}};
  const std::vector<std::string> texts = {"the cat is small", "", "dog",
                                          "a dog zebra barks the small cat"};
  for (const char* model : {"lstm", "both", "tagger", "classifier"}) {
    for (const auto& [field, pooling] : kPoolings) {
      std::string request = absl::StrCat("model: '", model, "'", field);
      for (const std::string& text : texts) {
        absl::StrAppend(&request, " texts { text: '", text, "' }");
      }
      const EmbedResponse response = Embed(request);
      EXPECT_EQ(response.model().name(), model);
      ASSERT_THAT(response.embeddings(), SizeIs(texts.size()));
      for (size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(ValuesOf(response.embeddings(static_cast<int>(i))),
                  Expected(model, texts[i], pooling))
            << model << field << ": " << texts[i];
      }
      EXPECT_EQ(response.embeddings(0).word_count(), 4u);
      EXPECT_EQ(response.embeddings(0).unknown_count(), 0u);
      EXPECT_EQ(response.embeddings(1).word_count(), 0u);
      EXPECT_EQ(response.embeddings(3).word_count(), 7u);
      EXPECT_EQ(response.embeddings(3).unknown_count(), 1u);
    }
  }
}

TEST_F(EmbedTest, ATranslationModelEmbedsSources) {
  const EmbedResponse response =
      Embed("model: 'de-en' texts { text: 'die katze the' }");
  EXPECT_EQ(response.embeddings(0).unknown_count(), 1u);
  EXPECT_EQ(ValuesOf(response.embeddings(0)),
            Expected("de-en", "die katze the", Pooling::kMean));
}

TEST_F(EmbedTest, TakesAllFormsOfTexts) {
  const ModelHandle handle = store_->Get("lstm").value();
  const WordId cat = handle->model().vocabulary().Find("cat");
  const EmbedResponse response =
      Embed(absl::StrCat("model: 'lstm' texts { text: 'cat cat' } "
                         "texts { words { words: ['cat', 'cat'] } } "
                         "texts { ids { ids: [",
                         cat, ", ", cat, "] } } texts {}"));
  const Vector expected = ValuesOf(response.embeddings(0));
  EXPECT_EQ(ValuesOf(response.embeddings(1)), expected);
  EXPECT_EQ(ValuesOf(response.embeddings(2)), expected);
  EXPECT_EQ(ValuesOf(response.embeddings(3)),
            Expected("lstm", "", Pooling::kMean));
}

TEST_F(EmbedTest, NormalizesOnRequest) {
  const std::string rest = "model: 'both' texts { text: 'the cat' } texts {}";
  const EmbedResponse plain = Embed(rest);
  const EmbedResponse normalized = Embed(rest + " normalize: true");
  for (int i = 0; i < 2; ++i) {
    const Vector vector = ValuesOf(plain.embeddings(i));
    double squares = 0;
    for (float value : vector) squares += double{value} * value;
    double found = 0;
    for (size_t k = 0; k < vector.size(); ++k) {
      const float value = normalized.embeddings(i).values(static_cast<int>(k));
      EXPECT_NEAR(value, squares == 0 ? 0 : vector[k] / std::sqrt(squares),
                  1e-7);
      found += double{value} * value;
    }
    EXPECT_NEAR(found, squares == 0 ? 0 : 1, 1e-6);
  }
}

TEST_F(EmbedTest, OtherModelsHaveNoVectors) {
  ExpectError("model: 'tiny' texts { text: 'the' }",
              absl::StatusCode::kFailedPrecondition,
              "model: 'tiny' has the family ngram: it cannot embed texts; "
              "recurrent, bidirectional and translation models, taggers and "
              "classifiers can");
}

TEST_F(EmbedTest, ChecksTheRequest) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError("model: 'lstm'", kInvalid,
              "texts: expected at least one, found none");
  ExpectError("model: 'lstm' texts {} texts { text: 'a <s>' }", kInvalid,
              "texts[1]: word 1: expected no sentence marker, found <s>");
  ExpectError("model: 'nobody' texts {}", absl::StatusCode::kNotFound,
              "nobody");
  EmbedRequest request = Parse<EmbedRequest>("model: 'lstm' texts {}");
  request.set_pooling(static_cast<lm::v1::Pooling>(99));  // of a newer client
  EmbedResponse response;
  EXPECT_THAT(
      std::string(serving_->Answer(HandleEmbed, request, &response).message()),
      HasSubstr("pooling: expected POOLING_MAX, POOLING_MEAN or POOLING_LAST, "
                "found 99"));
}

TEST_F(EmbedTest, LimitsTheNumbersOfAnAnswer) {
  // An LSTM of 5 units.
  Open({.texts = 3, .embedded_values = 10});
  EXPECT_TRUE(Try("model: 'lstm' texts {} texts {}").ok());
  ExpectError("model: 'lstm' texts {} texts {} texts {}",
              absl::StatusCode::kResourceExhausted,
              "values: texts times dimensions: expected at most 10, found 15");
  ExpectError("model: 'lstm' texts {} texts {} texts {} texts {}",
              absl::StatusCode::kResourceExhausted,
              "texts: expected at most 3, found 4");
}

TEST_F(EmbedTest, ReservesTheMemoryOfTheAnswer) {
  Open({.all_answer_bytes = 1000});
  EXPECT_TRUE(Try("model: 'lstm' texts {}").ok());
  ExpectError("model: 'lstm' texts {} texts {} texts {} texts {} texts {}",
              absl::StatusCode::kResourceExhausted,
              "answer bytes: expected at most 1000, found ");
}

// A call that is cancelled while its texts are read.
class CallCancelledLater final : public Call {
 public:
  bool IsCancelled() const override { return ++checks_ > 3; }

 private:
  mutable std::atomic<int> checks_ = 0;
};

TEST_F(EmbedTest, EndsWhenTheCallIsCancelled) {
  CallCancelledLater call;
  EmbedResponse response;
  EmbedRequest request = Parse<EmbedRequest>("model: 'lstm'");
  for (int i = 0; i < 20; ++i)
    request.add_texts()->set_text("the cat is small");
  const absl::Status status =
      Wait(HandleEmbed(**serving_, call, request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_GT(call.compute_seconds, 0);
}

}  // namespace
}  // namespace lmserve
