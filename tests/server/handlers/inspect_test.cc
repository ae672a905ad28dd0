// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/inspect.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/inspection.h"
#include "models/text.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::InspectedLayer;
using lm::v1::InspectRequest;
using lm::v1::InspectResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kText[] = "the cat dog is";
constexpr char kSource[] = "die katze hund ist";

// Stores have LSTMs of two layers of 5 units, and an encoder and a decoder of
// one layer of 5 units.
class InspectTest : public testing::Test {
 protected:
  InspectTest() {
    PublishRecurrentModel(files_.path(), "lstm", kText);
    PublishBidirectionalModel(files_.path(), "both", kText);
    PublishTranslationModel(files_.path(), "de-en", kSource, kText);
    PublishTranslationModel(files_.path(), "plain", kSource, kText,
                            /*attention=*/false);
    Open({});
  }

  void Open(const Limits& limits) {
    serving_.reset();
    limits_ = limits;
    store_ = files_.Open();
    // Texts are read in parts of three words.
    serving_.emplace(*store_, limits_, BatcherOptions{.batch_words = 3});
  }

  absl::StatusOr<InspectResponse> Try(const std::string& request) {
    InspectResponse response;
    absl::Status status = serving_->Answer(
        HandleInspect, Parse<InspectRequest>(request), &response);
    EXPECT_EQ(serving_->budgets().answer_bytes.taken(), 0u);
    if (!status.ok()) return status;
    return response;
  }
  InspectResponse Inspect(const std::string& request) {
    return Try(request).value();
  }

  void ExpectError(const std::string& request, absl::StatusCode code,
                   const std::string& message) {
    const absl::Status status = Try(request).status();
    EXPECT_EQ(status.code(), code) << request;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << request;
  }
  void ExpectInvalid(const std::string& request, const std::string& message) {
    ExpectError(request, absl::StatusCode::kInvalidArgument, message);
  }

  // Checks a layer of a response against what the model itself reports.
  void ExpectValues(const std::string& name, const std::string& source,
                    const std::string& text, const InspectedLayer& found) {
    const ModelHandle handle = store_->Get(name).value();
    const AnyModel& model = handle->model();
    const InspectableModel& inspectable = *model.inspectable();
    const InspectableModel::Layer layer = inspectable.layers()[found.layer()];
    std::vector<WordId> source_ids, ids;
    for (absl::string_view word : SplitWords(text)) {
      ids.push_back(model.vocabulary().Find(word));
    }
    for (absl::string_view word : SplitWords(source)) {
      source_ids.push_back(model.translation()->source_vocabulary().Find(word));
    }
    std::vector<Quantity> quantities;
    for (int quantity : found.quantities()) {
      quantities.push_back(static_cast<Quantity>(quantity - 1));
    }
    InspectionRecorder expected(inspectable, {ids, source_ids},
                                {{found.layer(),
                                  {found.units().begin(), found.units().end()},
                                  quantities}},
                                false);
    const auto reading = inspectable.Read({ids, source_ids}, 1000);
    while (reading->next_words() > 0) reading->ReadPart(&expected);
    EXPECT_EQ(std::vector<float>(found.values().begin(), found.values().end()),
              expected.values(0));
    EXPECT_EQ(found.unit_count(), layer.units);
    EXPECT_EQ(found.depth(), layer.depth);
    EXPECT_EQ(found.is_backward(), layer.is_backward);
    EXPECT_EQ(found.reads_source(), layer.reads_source);
    EXPECT_EQ(found.reverses_words(), layer.reverses_words);
  }

  const SmallStore files_;
  Limits limits_;
  std::unique_ptr<const ModelStore> store_;
  std::optional<TestServing> serving_;
};

TEST_F(InspectTest, ReturnsEverythingByDefault) {
  const InspectResponse response =
      Inspect("model: 'lstm' text { text: 'the zebra is cat' }");
  EXPECT_EQ(response.model().name(), "lstm");
  EXPECT_EQ(response.model().version(), 1u);
  EXPECT_THAT(response.words(),
              ElementsAre("<s>", "the", "<unk>", "is", "cat"));
  EXPECT_THAT(response.source_words(), IsEmpty());
  EXPECT_THAT(response.attention(), IsEmpty());
  ASSERT_THAT(response.layers(), SizeIs(2));
  for (uint32_t i = 0; i < 2; ++i) {
    const InspectedLayer& layer = response.layers(i);
    EXPECT_EQ(layer.layer(), i);
    EXPECT_THAT(layer.units(), ElementsAre(0, 1, 2, 3, 4));
    EXPECT_THAT(
        layer.quantities(),
        ElementsAre(lm::v1::QUANTITY_INPUT_GATE, lm::v1::QUANTITY_FORGET_GATE,
                    lm::v1::QUANTITY_OUTPUT_GATE, lm::v1::QUANTITY_NEW_MEMORY,
                    lm::v1::QUANTITY_FINAL_MEMORY, lm::v1::QUANTITY_HIDDEN));
    EXPECT_THAT(layer.values(), SizeIs(6 * 5 * 5));
    ExpectValues("lstm", "", "the zebra is cat", layer);
  }
}

TEST_F(InspectTest, ReturnsWhatIsSelectedInTheOrderOfTheRequest) {
  const InspectResponse response = Inspect(
      "model: 'lstm' text { text: 'the cat' } layers: [1, 0] units: [4, 2] "
      "quantities: [QUANTITY_HIDDEN, QUANTITY_FORGET_GATE]");
  ASSERT_THAT(response.layers(), SizeIs(2));
  EXPECT_EQ(response.layers(0).layer(), 1u);
  EXPECT_EQ(response.layers(1).layer(), 0u);
  for (const InspectedLayer& layer : response.layers()) {
    EXPECT_THAT(layer.units(), ElementsAre(4, 2));
    EXPECT_THAT(layer.quantities(), ElementsAre(lm::v1::QUANTITY_HIDDEN,
                                                lm::v1::QUANTITY_FORGET_GATE));
    EXPECT_THAT(layer.values(), SizeIs(2 * 3 * 2));
    ExpectValues("lstm", "", "the cat", layer);
  }
}

TEST_F(InspectTest, FindsTheUnitsThatVaryMost) {
  const std::string rest =
      "model: 'lstm' text { text: 'the cat is dog' } "
      "quantities: QUANTITY_HIDDEN";
  const InspectResponse all = Inspect(rest);
  const InspectResponse most = Inspect(absl::StrCat(rest, " most_variable: 2"));
  for (int i = 0; i < 2; ++i) {
    std::vector<std::pair<double, uint32_t>> variances;
    for (uint32_t unit = 0; unit < 5; ++unit) {
      double sum = 0, squares = 0;
      for (int t = 0; t < 5; ++t) {
        const double h = all.layers(i).values(t * 5 + unit);
        sum += h;
        squares += h * h;
      }
      variances.emplace_back(squares - sum * sum / 5, unit);
    }
    std::sort(variances.rbegin(), variances.rend());
    EXPECT_THAT(most.layers(i).units(),
                ElementsAre(variances[0].second, variances[1].second));
    ExpectValues("lstm", "", "the cat is dog", most.layers(i));
  }
  // A layer has no more units than it has.
  EXPECT_THAT(
      Inspect(absl::StrCat(rest, " most_variable: 1000")).layers(0).units(),
      SizeIs(5));
}

TEST_F(InspectTest, BothDirectionsOfABidirectionalModel) {
  const InspectResponse response =
      Inspect("model: 'both' text { text: 'the cat' }");
  EXPECT_THAT(response.words(), ElementsAre("<s>", "the", "cat", "</s>"));
  ASSERT_THAT(response.layers(), SizeIs(4));
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(response.layers(i).depth(), i / 2);
    EXPECT_EQ(response.layers(i).is_backward(), i % 2 == 1);
    ExpectValues("both", "", "the cat", response.layers(i));
  }
}

TEST_F(InspectTest, EncoderDecoderAndAttention) {
  const InspectResponse response = Inspect(
      "model: 'de-en' source { text: 'die katze ist' } "
      "text { text: 'the cat' } attention: true");
  EXPECT_THAT(response.words(), ElementsAre("<s>", "the", "cat"));
  EXPECT_THAT(response.source_words(),
              ElementsAre("die", "katze", "ist", "</s>"));
  ASSERT_THAT(response.layers(), SizeIs(3));  // two directions of the encoder
  for (const InspectedLayer& layer : response.layers()) {
    EXPECT_EQ(layer.reads_source(), layer.layer() < 2);
    ExpectValues("de-en", "die katze ist", "the cat", layer);
  }
  ASSERT_THAT(response.attention(), SizeIs(3 * 4));
  for (int t = 0; t < 3; ++t) {
    const auto row = response.attention().begin() + t * 4;
    EXPECT_NEAR(std::accumulate(row, row + 4, 0.0), 1, 1e-6);
  }
}

TEST_F(InspectTest, AttentionIsReturnedOnlyOnRequestAndIfThereIsAny) {
  const std::string rest =
      " source { text: 'die katze' } text { text: 'the cat' }";
  EXPECT_THAT(Inspect("model: 'de-en'" + rest).attention(), IsEmpty());
  EXPECT_THAT(Inspect("model: 'plain' attention: true" + rest).attention(),
              IsEmpty());
  EXPECT_THAT(Inspect("model: 'lstm' attention: true").attention(), IsEmpty());
}

TEST_F(InspectTest, AnEmptyTextIsItsBegin) {
  const InspectResponse response = Inspect("model: 'lstm'");
  EXPECT_THAT(response.words(), ElementsAre("<s>"));
  EXPECT_THAT(response.layers(0).values(), SizeIs(6 * 1 * 5));
}

TEST_F(InspectTest, ModelsWithoutRecurrentLayersCannotBeInspected) {
  ExpectError("model: 'tiny' text { text: 'the' }",
              absl::StatusCode::kFailedPrecondition,
              "model: 'tiny' has the family ngram: it cannot be inspected; "
              "recurrent, bidirectional and translation models can");
}

TEST_F(InspectTest, ChecksTheRequest) {
  const std::string lstm = "model: 'lstm' text { text: 'the' } ";
  ExpectInvalid(lstm + "layers: [1, 2]",
                "layers[1]: expected a number below 2, that of the layers, at "
                "most once; found 2");
  ExpectInvalid(lstm + "layers: [1, 1]", "layers[1]: expected a number below");
  ExpectInvalid(lstm + "layers: [1, 1]", "at most once; found 1 again");
  ExpectInvalid(lstm + "units: 5",
                "units[0]: expected a number below 5, that of the units of "
                "layer 0, at most once; found 5");
  ExpectInvalid(lstm + "units: [0, 4, 0]", "units[2]: expected a number below");
  ExpectInvalid(lstm + "units: 1 most_variable: 2",
                "most_variable: expected 0, because the request has units");
  ExpectInvalid(lstm + "quantities: [QUANTITY_HIDDEN, QUANTITY_RESET_GATE]",
                "quantities[1]: expected one of the model's, "
                "QUANTITY_INPUT_GATE, QUANTITY_FORGET_GATE, ");
  ExpectInvalid(lstm + "quantities: QUANTITY_RESET_GATE",
                "at most once; found QUANTITY_RESET_GATE");
  ExpectInvalid(lstm + "quantities: QUANTITY_UNSPECIFIED",
                "found QUANTITY_UNSPECIFIED");
  ExpectInvalid(lstm + "quantities: [QUANTITY_HIDDEN, QUANTITY_HIDDEN]",
                "quantities[1]: expected one");
  ExpectInvalid("model: 'lstm' text { text: 'a <s>' }", "text: word 1: ");
  ExpectInvalid("model: 'lstm' source { text: 'die' }", "source: expected no");
  ExpectInvalid("model: 'de-en' text { text: 'the' }",
                "source: expected a source");
  ExpectError("model: 'nobody'", absl::StatusCode::kNotFound, "nobody");

  InspectRequest unknown;  // of a newer client
  unknown.set_model("lstm");
  unknown.add_quantities(static_cast<lm::v1::Quantity>(99));
  InspectResponse response;
  EXPECT_THAT(
      std::string(
          serving_->Answer(HandleInspect, unknown, &response).message()),
      HasSubstr("at most once; found 99"));
}

TEST_F(InspectTest, LimitsTheNumbersOfAnAnswer) {
  // Two layers of 5 words, 2 units and 3 quantities.
  Open({.inspected_values = 60});
  const std::string lstm =
      "model: 'lstm' units: [0, 1] quantities: [QUANTITY_HIDDEN, "
      "QUANTITY_INPUT_GATE, QUANTITY_FORGET_GATE] ";
  EXPECT_TRUE(Try(lstm + "text { text: 'a b c d' }").ok());
  ExpectError(lstm + "text { text: 'a b c d e' }",
              absl::StatusCode::kResourceExhausted,
              "values: words times units times quantities, and attention: "
              "expected at most 60, found 72");
  // Attention of 3 words to 5 words.
  const std::string translation =
      "model: 'de-en' source { text: 'die katze hund ist' } layers: 2 "
      "units: 0 quantities: QUANTITY_HIDDEN attention: true ";
  Open({.inspected_values = 18});
  EXPECT_TRUE(Try(translation + "text { text: 'a b' }").ok());
  Open({.inspected_values = 17});
  ExpectError(translation + "text { text: 'a b' }",
              absl::StatusCode::kResourceExhausted, "at most 17, found 18");
}

TEST_F(InspectTest, IsNotOfferedIfTheLimitIsZero) {
  Open({.inspected_values = 0});
  ExpectError("model: 'lstm'", absl::StatusCode::kUnimplemented,
              "this server does not answer Inspect");
}

TEST_F(InspectTest, ReservesTheMemoryOfTheAnswer) {
  Open({.all_answer_bytes = 10'000});
  EXPECT_TRUE(Try("model: 'lstm' text { text: 'a b c' }").ok());
  std::string text = "a";
  for (int i = 0; i < 30; ++i) text += " a";
  ExpectError(absl::StrCat("model: 'lstm' text { text: '", text, "' }"),
              absl::StatusCode::kResourceExhausted,
              "answer bytes: expected at most 10000, found ");
}

// A call that is cancelled while its text is read.
class CallCancelledLater final : public Call {
 public:
  bool IsCancelled() const override { return ++checks_ > 3; }

 private:
  mutable std::atomic<int> checks_ = 0;
};

TEST_F(InspectTest, EndsWhenTheCallIsCancelled) {
  for (const char* extra : {"", "most_variable: 2"}) {
    CallCancelledLater call;
    InspectResponse response;
    const auto request = Parse<InspectRequest>(absl::StrCat(
        "model: 'lstm' text { text: 'a b c d e f g h i j k l m n o' }", extra));
    const absl::Status status =
        Wait(HandleInspect(**serving_, call, request, &response));
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_THAT(response.layers(), IsEmpty());
  }
}

}  // namespace
}  // namespace lmserve
