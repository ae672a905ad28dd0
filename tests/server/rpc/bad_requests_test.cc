// SPDX-License-Identifier: Apache-2.0
//
// Tables of the requests that each RPC must refuse: the error that the client
// gets, and that there is no other effect.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/server.h"
#include "tests/server/live_server.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = grpc::INVALID_ARGUMENT;
constexpr auto kTooMuch = grpc::RESOURCE_EXHAUSTED;
constexpr auto kNotFound = grpc::NOT_FOUND;

// A request in text form, and the error that it must get. '~' stands for a byte
// that is never valid in UTF-8.
struct BadRequest {
  std::string request;
  grpc::StatusCode code;
  std::string message;  // a part of it
};

std::vector<BadRequest> operator+(std::vector<BadRequest> a,
                                  const std::vector<BadRequest>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Returns the bad names of models, each in the field `field` of a request that
// has `rest` besides and is otherwise valid.
std::vector<BadRequest> BadModels(const std::string& field,
                                  const std::string& rest) {
  const auto bad = [&](const std::string& model, grpc::StatusCode code,
                       const std::string& message) {
    return BadRequest{absl::StrCat(field, ": '", model, "' ", rest), code,
                      message};
  };
  return {
      bad("nobody", kNotFound,
          "model 'nobody' is not served; served: endless, flat, "),
      bad("tiny@7", kNotFound,
          "model 'tiny' has no served version or alias '7'; served: 1, 2, "
          "stable"),
      bad("tiny@latest", kNotFound,
          "served version or alias 'latest'; served: "),
      bad("", kInvalid, "model: expected 1 to 64 characters"),
      bad("../tiny", kInvalid, "found '../tiny'"),
      bad(".tiny", kInvalid, "not beginning with a dot, found '.tiny'"),
      bad("tiny/1", kInvalid, "found 'tiny/1'"),
      bad(std::string(65, 'x'), kInvalid, "model: expected 1 to 64"),
      bad("tiny@0", kInvalid,
          "expected a version from 1 to 2^64 - 1, found '0'"),
      bad("tiny@99999999999999999999", kInvalid,
          "expected a version from 1 to 2^64 - 1, found "
          "'99999999999999999999'"),
      bad("tiny@", kInvalid, "alias: expected 1 to 64 characters"),
      bad("tiny@1@2", kInvalid, "found '1@2'"),
  };
}

class BadRequestsTest : public testing::Test {
 protected:
  // Sends the requests of a table. After each one the server must give the same
  // answer to a good request, bit by bit.
  template <typename Request>
  void Check(const std::string& method, const std::string& good,
             const std::vector<BadRequest>& table) {
    const std::string good_bytes = Parse<Request>(good).SerializeAsString();
    const RawAnswer expected = CallRaw(channel_, method, good_bytes);
    ASSERT_TRUE(expected.status.ok()) << expected.status.error_message();
    std::vector<std::pair<std::string, BadRequest>> requests;
    for (const BadRequest& bad : table) {
      std::string bytes = Parse<Request>(bad.request).SerializeAsString();
      std::replace(bytes.begin(), bytes.end(), '~', '\xff');
      requests.push_back({bytes, bad});
    }
    for (const std::string& broken :
         {std::string("\x0a\x05ti"), std::string("\xff"),
          std::string("\x0a\xff\xff\xff\xff\x0f"),
          good_bytes.substr(0, good_bytes.size() - 1)}) {
      requests.push_back({broken,
                          {"truncated", kInvalid,
                           absl::StrCat("the bytes are not a valid ",
                                        Request::descriptor()->full_name())}});
    }
    for (const auto& [bytes, bad] : requests) {
      const RawAnswer answer = CallRaw(channel_, method, bytes);
      EXPECT_EQ(answer.status.error_code(), bad.code) << bad.request;
      EXPECT_THAT(answer.status.error_message(), HasSubstr(bad.message))
          << bad.request;
      EXPECT_TRUE(answer.messages.empty()) << bad.request;
      EXPECT_EQ(CallRaw(channel_, method, good_bytes).messages,
                expected.messages)
          << "after " << bad.request;
    }
  }

  static constexpr Limits kLimits = {.words_per_text = 5,
                                     .words = 12,
                                     .texts = 4,
                                     .models = 2,
                                     .features = 2,
                                     .predictions = 20,
                                     .generated_words = 20,
                                     .stop_words = 2,
                                     .inspected_values = 200,
                                     .embedded_values = 12};

  LiveServer live_{kLimits};
  std::shared_ptr<grpc::Channel> channel_ = live_.channel();
};

const std::vector<BadRequest> kBadScores = {
    {"model: 'tiny'", kInvalid, "texts: expected a text, found none"},
    {"model: 'tiny' texts { text: 'a a a a a a' }", kInvalid,
     "texts[0]: expected at most 5 words in a text, found 6"},
    {"model: 'tiny' texts { ids { ids: [3, 3, 3, 3, 3, 3] } }", kInvalid,
     "texts[0]: expected at most 5 words in a text, found 6"},
    {"model: 'tiny' texts { text: 'a' } texts { text: 'a' } "
     "texts { text: 'a' } texts { text: 'a' } texts { text: 'a' }",
     kTooMuch, "texts: expected at most 4, found 5"},
    {"model: 'tiny' texts { text: 'a a a a a' } texts { text: 'a a a a a' } "
     "texts { text: 'a a' }",
     kTooMuch, "words in the request: expected at most 12, found 15"},
    {"model: 'tiny' texts { words { words: ['a', 'b c'] } }", kInvalid,
     "texts[0]: word 1: expected a word without white space"},
    {"model: 'tiny' texts { ids { ids: [3, 10] } }", kInvalid,
     "texts[0]: id 1: expected a word id below 10, found 10"},
    {"model: 'tiny' texts { text: 'a <s>' }", kInvalid,
     "texts[0]: word 1: expected no sentence marker, found <s>"},
    {"model: 'tiny' texts { words { words: ['</s>'] } }", kInvalid,
     "texts[0]: word 0: expected no sentence marker, found </s>"},
    {"model: 'tiny' texts { ids { ids: [4, 1] } }", kInvalid,
     "texts[0]: word 1: expected no sentence marker, found <s>"},
    {"model: 'tin~' texts { text: 'a' }", kInvalid,
     "model: invalid UTF-8 at byte 3"},
    {"model: 'tiny' texts { text: 'a' } texts { text: 'a ~' }", kInvalid,
     "texts[1].text: invalid UTF-8 at byte 2"},
    {"model: 'tiny' texts { words { words: ['a', '~'] } }", kInvalid,
     "texts[0].words.words[1]: invalid UTF-8 at byte 0"},
};

constexpr char kGoodScore[] =
    "model: 'tiny' per_word: true texts { text: 'the cat zebra' }";

TEST_F(BadRequestsTest, Score) {
  Check<lm::v1::ScoreRequest>(
      "/lm.v1.LanguageModelService/Score", kGoodScore,
      BadModels("model", "texts { text: 'a' }") + kBadScores);
}

TEST_F(BadRequestsTest, ScoreStream) {
  Check<lm::v1::ScoreRequest>(
      "/lm.v1.LanguageModelService/ScoreStream", kGoodScore,
      BadModels("model", "texts { text: 'a' }") + kBadScores);
}

TEST_F(BadRequestsTest, Predict) {
  const std::vector<BadRequest> table = {
      {"model: 'tiny'", kInvalid, "contexts: expected a context, found none"},
      {"model: 'tiny' contexts {} contexts {} contexts {} k: 4294967295",
       kTooMuch, "k times contexts: expected at most 20, found 30"},
      {"model: 'tiny' contexts {} contexts {} contexts {} k: 7", kTooMuch,
       "k times contexts: expected at most 20, found 21"},
      {"model: 'tiny' contexts {} contexts {} contexts {}", kTooMuch,
       "k times contexts: expected at most 20, found 30"},
      {"model: 'tiny' contexts {} contexts {} contexts {} contexts {} "
       "contexts {} k: 1",
       kTooMuch, "contexts: expected at most 4, found 5"},
      {"model: 'tiny' contexts {} contexts {} contexts {} "
       "words: ['a', 'a', 'a', 'a', 'a', 'a', 'a']",
       kTooMuch, "words times contexts: expected at most 20, found 21"},
      {"model: 'tiny' contexts {} words: ['a', 'the cat']", kInvalid,
       "words[1]: expected a word without white space"},
      {"model: 'tiny' contexts {} words: ''", kInvalid,
       "words[0]: expected a word"},
      {"model: 'tiny' contexts {} words: '<s>'", kInvalid,
       "words[0]: expected a word other than <s>"},
      {"model: 'tiny' contexts {} contexts { text: 'a a a a a a' }  k: 1",
       kInvalid, "contexts[1]: expected at most 5 words in a text, found 6"},
      {"model: 'tiny' contexts { text: 'a a a a a' } k: 1 "
       "contexts { text: 'a a a a a' } contexts { text: 'a a a' }",
       kTooMuch, "words in the request: expected at most 12, found 13"},
      {"model: 'tiny' contexts { text: '<s>' }", kInvalid,
       "contexts[0]: word 0: expected no sentence marker, found <s>"},
      {"model: 'tiny' contexts { ids { ids: 10 } }", kInvalid,
       "contexts[0]: id 0: expected a word id below 10, found 10"},
      {"model: '~' contexts {}", kInvalid, "model: invalid UTF-8 at byte 0"},
      {"model: 'tiny' contexts { text: '~' }", kInvalid,
       "contexts[0].text: invalid UTF-8 at byte 0"},
      {"model: 'tiny' contexts { words { words: 'a~' } }", kInvalid,
       "contexts[0].words.words[0]: invalid UTF-8 at byte 1"},
      {"model: 'tiny' contexts {} words: '~'", kInvalid,
       "words[0]: invalid UTF-8 at byte 0"},
  };
  Check<lm::v1::PredictRequest>("/lm.v1.LanguageModelService/Predict",
                                "model: 'tiny' contexts { text: 'the' }",
                                BadModels("model", "contexts {}") + table);
}

TEST_F(BadRequestsTest, Rerank) {
  const std::string a = "models: 'tiny' candidates { text { text: 'a' } } ";
  const auto own = [](const std::string& name, const std::string& value) {
    return absl::StrCat("models: 'tiny' candidates { features { key: '", name,
                        "' value: ", value, " } }");
  };
  const auto weight = [&](const std::string& name, const std::string& value) {
    return absl::StrCat(a, "weights { key: '", name, "' value: ", value, " }");
  };
  const std::vector<BadRequest> table = {
      {"candidates {}", kInvalid, "models: expected a model, found none"},
      {"models: 'tiny'", kInvalid,
       "candidates: expected a candidate, found none"},
      {a + "models: 'flat' models: 'mute'", kTooMuch,
       "models: expected at most 2, found 3"},
      {a + "models: 'tiny'", kInvalid,
       "models: expected each model once, found 'tiny' twice"},
      {a + "candidates {} candidates {} candidates {} candidates {}", kTooMuch,
       "candidates: expected at most 4, found 5"},
      {"models: 'tiny' candidates { features { key: 'a' value: 1 } "
       "features { key: 'b' value: 1 } features { key: 'c' value: 1 } }",
       kTooMuch, "candidates[0].features: expected at most 2, found 3"},
      {own("tm", "1") + "candidates {}", kInvalid,
       "candidates[1].features: expected 1 features, as for candidates[0], "
       "found 0"},
      {own("tm", "1") + "candidates { features { key: 'am' value: 1 } }",
       kInvalid, "candidates[1].features"},
      {own("tm", "nan"), kInvalid,
       "candidates[0].features[tm]: expected a finite number, found nan"},
      {own("tm", "-inf"), kInvalid,
       "candidates[0].features[tm]: expected a finite number, found -inf"},
      {own("tiny", "1"), kInvalid,
       "expected no feature with the name of a model's feature, found 'tiny'"},
      {weight("tiny", "nan"), kInvalid,
       "weights[tiny]: expected a finite number, found nan"},
      {weight("tiny", "inf"), kInvalid,
       "weights[tiny]: expected a finite number, found inf"},
      {weight("lm", "1"), kInvalid,
       "weights[lm]: expected one of the features"},
      {a + "normalization: 7", kInvalid,
       "normalization: expected 0 to 3, found 7"},
      {a + "alpha: -1", kInvalid, "alpha: expected a finite number"},
      {a + "alpha: nan", kInvalid, "alpha: expected a finite number"},
      {a + "candidates { text { text: 'a </s>' } }", kInvalid,
       "candidates[1]: word 1: expected no sentence marker, found </s>"},
      {a + "candidates { text { text: 'a a a a a a' } }", kInvalid,
       "candidates[1]: expected at most 5 words in a text, found 6"},
      {a + "candidates { text { text: 'a a a a a' } } "
           "candidates { text { text: 'a a a a a' } }",
       kTooMuch, "words in the request: expected at most 12, found 14"},
      {a + "candidates { text { ids { ids: 10 } } }", kInvalid,
       "candidates[1]: id 0: expected a word id below 10, found 10"},
      {a + "models: '~'", kInvalid, "models[1]: invalid UTF-8 at byte 0"},
      {a + "candidates { text { text: '~' } }", kInvalid,
       "candidates[1].text.text: invalid UTF-8 at byte 0"},
      {a + "candidates { text { words { words: '~' } } }", kInvalid,
       "candidates[1].text.words.words[0]: invalid UTF-8 at byte 0"},
      {own("t~", "1"), kInvalid,
       "candidates[0].features[0].key: invalid UTF-8 at byte 1"},
      {weight("~", "1"), kInvalid, "weights[0].key: invalid UTF-8 at byte 0"},
  };
  Check<lm::v1::RerankRequest>(
      "/lm.v1.LanguageModelService/Rerank",
      "models: 'tiny' candidates { text { text: 'a dog' } } "
      "candidates { text { text: 'the cat' } }",
      BadModels("models", "candidates {}") + table);
}

TEST_F(BadRequestsTest, Generate) {
  std::vector<BadRequest> table = {
      {"max_words: 21", kTooMuch, "max_words: expected at most 20, found 21"},
      // The default is above this server's limit.
      {"max_words: 0", kTooMuch, "max_words: expected at most 20, found 100"},
      {"max_words: 1 top_k: 21", kTooMuch,
       "top_k: expected at most 20, found 21"},
      {"stop_words: ['a', 'b', 'c']", kTooMuch,
       "stop_words: expected at most 2, found 3"},
      {"stop_words: ['a', 'b c']", kInvalid, "stop_words[1]: expected a word"},
      {"stop_words: ''", kInvalid, "stop_words[0]: expected a word"},
      {"temperature: -0.5", kInvalid,
       "temperature: expected a number of at least 0, found -0.5"},
      {"temperature: nan", kInvalid, "temperature: expected"},
      {"temperature: inf", kInvalid, "temperature: expected"},
      {"top_p: 0", kInvalid, "top_p: expected a number in (0, 1], found 0"},
      {"top_p: 1.5", kInvalid, "top_p: expected a number in (0, 1], found 1.5"},
      {"top_p: nan", kInvalid, "top_p: expected"},
      {"repetition_penalty: 0", kInvalid,
       "repetition_penalty: expected a positive number, found 0"},
      {"repetition_penalty: inf", kInvalid, "repetition_penalty: expected"},
      {"repetition_penalty: nan", kInvalid, "repetition_penalty: expected"},
      {"prompt { text: 'a a a a a a' }", kInvalid,
       "prompt: expected at most 5 words in a text, found 6"},
      {"prompt { text: '<s> a' }", kInvalid,
       "prompt: word 0: expected no sentence marker, found <s>"},
      {"prompt { ids { ids: 10 } }", kInvalid,
       "prompt: id 0: expected a word id below 10, found 10"},
      {"prompt { text: 'a~' }", kInvalid,
       "prompt.text: invalid UTF-8 at byte 1"},
      {"prompt { words { words: '~' } }", kInvalid,
       "prompt.words.words[0]: invalid UTF-8 at byte 0"},
      {"stop_words: '~'", kInvalid, "stop_words[0]: invalid UTF-8 at byte 0"},
  };
  for (BadRequest& bad : table) {
    const bool has_max = absl::string_view(bad.request).substr(0, 3) == "max";
    bad.request = absl::StrCat("model: 'tiny' ", has_max ? "" : "max_words: 9 ",
                               bad.request);
  }
  table.push_back({"model: '~'", kInvalid, "model: invalid UTF-8 at byte 0"});
  Check<lm::v1::GenerateRequest>(
      "/lm.v1.LanguageModelService/Generate",
      "model: 'tiny' seed: 3 max_words: 9 stop_words: 'zebra'",
      BadModels("model", "max_words: 9") + table);
}

// Only neural networks can be inspected, so the store has one more model.
TEST_F(BadRequestsTest, Inspect) {
  const SmallStore files;
  PublishRecurrentModel(files.path(), "lstm", "the cat is small");
  ServerOptions options;
  options.listen = "localhost:0";
  options.limits = kLimits;
  const auto server = Server::Start(options, files.Open()).value();
  channel_ = Connect(server->address());
  const std::vector<BadRequest> table = {
      {"model: 'tiny' text { text: 'the' }", grpc::FAILED_PRECONDITION,
       "model: 'tiny' has the family ngram: it cannot be inspected"},
      {"model: 'lstm' text { text: 'a a a a a a' }", kInvalid,
       "text: expected at most 5 words in a text, found 6"},
      {"model: 'lstm' text { text: 'the <s>' }", kInvalid,
       "text: word 1: expected no sentence marker, found <s>"},
      {"model: 'lstm' text { text: 'a~' }", kInvalid, "invalid UTF-8 at byte"},
      {"model: 'lstm' text { text: 'the' } source { text: 'die' }", kInvalid,
       "source"},
      {"model: 'lstm' text { text: 'the' } layers: 9", kInvalid,
       "layers[0]: expected a number below"},
      {"model: 'lstm' text { text: 'the' } layers: 0 layers: 0", kInvalid,
       "at most once; found 0 again"},
      {"model: 'lstm' text { text: 'the' } units: 4000000000", kInvalid,
       "units[0]: expected a number below"},
      {"model: 'lstm' text { text: 'the' } units: 0 most_variable: 1", kInvalid,
       "most_variable: expected 0, because the request has units, found 1"},
      {"model: 'lstm' text { text: 'the' } "
       "quantities: QUANTITY_UNSPECIFIED",
       kInvalid, "quantities[0]: expected one of the model's"},
      {"model: 'lstm' text { text: 'the' } quantities: QUANTITY_UPDATE_GATE",
       kInvalid, "quantities[0]: expected one of the model's"},
      {"model: 'lstm' text { text: 'the cat is small the' }", kTooMuch,
       "values: words times units times quantities, and attention: expected at "
       "most 200, found"},
  };
  Check<lm::v1::InspectRequest>(
      "/lm.v1.LanguageModelService/Inspect",
      "model: 'lstm' text { text: 'the' } units: 0",
      BadModels("model", "text { text: 'the' }") + table);
}

// The store has one model of each kind that labels, and one with vectors.
class BadLabelRequestsTest : public BadRequestsTest {
 protected:
  BadLabelRequestsTest() {
    PublishTagger(files_.path(), "pos", "the cat is small");
    PublishClassifier(files_.path(), "kind", "the cat is small");
    PublishRecurrentModel(files_.path(), "lstm", "the cat is small");
    ServerOptions options;
    options.listen = "localhost:0";
    options.limits = kLimits;
    server_ = Server::Start(options, files_.Open()).value();
    channel_ = Connect(server_->address());
  }

  // Errors of the texts in a field of a request, which `begin` begins.
  static std::vector<BadRequest> BadTexts(const std::string& begin,
                                          const std::string& field) {
    const auto with = [&](const std::vector<std::string>& texts) {
      std::string request = begin;
      for (const std::string& text : texts) {
        absl::StrAppend(&request, " ", field, " { ", text, " }");
      }
      return request;
    };
    return {
        {begin, kInvalid,
         absl::StrCat(field, ": expected at least one, found none")},
        {with({"text: 'a a a a a a'"}), kInvalid,
         absl::StrCat(field,
                      "[0]: expected at most 5 words in a text, found "
                      "6")},
        {with({"", "text: 'the <s>'"}), kInvalid,
         absl::StrCat(field, "[1]: word 1: expected no sentence marker")},
        {with({"words { words: 'a b' }"}), kInvalid,
         absl::StrCat(field, "[0]: word 0: expected a word without white")},
        {with({"ids { ids: 4000000000 }"}), kInvalid,
         absl::StrCat(field, "[0]: id 0: expected a word id below")},
        {with({"text: 'a~'"}), kInvalid, "invalid UTF-8 at byte"},
        {with({"text: 'a a a a a'", "text: 'a a a a a'", "text: 'a a a'"}),
         kTooMuch, "words in the request: expected at most 12, found 13"},
        {with({"", "", "", "", ""}), kTooMuch,
         absl::StrCat(field, ": expected at most 4, found 5")},
    };
  }

  const SmallStore files_;
  std::unique_ptr<Server> server_;
};

TEST_F(BadLabelRequestsTest, Embed) {
  Check<lm::v1::EmbedRequest>(
      "/lm.v1.LanguageModelService/Embed",
      "model: 'lstm' texts { text: 'the cat' }",
      BadModels("model", "texts {}") + BadTexts("model: 'lstm'", "texts") +
          std::vector<BadRequest>{
              {"model: 'tiny' texts {}", grpc::FAILED_PRECONDITION,
               "model: 'tiny' has the family ngram: it cannot embed texts"},
              {"model: 'lstm' texts {} texts {} texts {}", kTooMuch,
               "values: texts times dimensions: expected at most 12, found "
               "15"}});
}

TEST_F(BadLabelRequestsTest, Tag) {
  Check<lm::v1::TagRequest>(
      "/lm.v1.LanguageModelService/Tag",
      "model: 'pos' sentences { text: 'the cat' } alternatives: 2",
      BadModels("model", "sentences {}") +
          BadTexts("model: 'pos'", "sentences") +
          std::vector<BadRequest>{
              {"model: 'tiny' sentences {}", grpc::FAILED_PRECONDITION,
               "model: 'tiny' is a left-to-right model: it cannot tag"},
              {"model: 'kind' sentences {}", grpc::FAILED_PRECONDITION,
               "model: 'kind' is a classifier: it cannot tag sentences; it "
               "labels texts: call Classify"},
              {"model: 'pos' alternatives: 3 sentences { text: 'a a a a' } "
               "sentences { text: 'a a a' }",
               kTooMuch,
               "alternatives times words: expected at most 20, found 21"}});
}

TEST_F(BadLabelRequestsTest, Classify) {
  Check<lm::v1::ClassifyRequest>(
      "/lm.v1.LanguageModelService/Classify",
      "model: 'kind' texts { text: 'the cat' } best: 1",
      BadModels("model", "texts {}") + BadTexts("model: 'kind'", "texts") +
          std::vector<BadRequest>{
              {"model: 'tiny' texts {}", grpc::FAILED_PRECONDITION,
               "model: 'tiny' is a left-to-right model: it cannot classify"},
              {"model: 'pos' texts {}", grpc::FAILED_PRECONDITION,
               "model: 'pos' is a tagger: it cannot classify texts; it labels "
               "the words of sentences: call Tag"}});
}

TEST_F(BadRequestsTest, GetModel) {
  Check<lm::v1::GetModelRequest>(
      "/lm.v1.ModelService/GetModel", "model: 'tiny'",
      BadModels("model", "") +
          std::vector<BadRequest>{
              {"model: 'a~'", kInvalid, "model: invalid UTF-8 at byte 1"}});
}

TEST_F(BadRequestsTest, ListModels) {
  const RawAnswer answer =
      CallRaw(live_.channel(), "/lm.v1.ModelService/ListModels", "\x0a\x05ti");
  EXPECT_EQ(answer.status.error_code(), kInvalid);
  EXPECT_EQ(answer.status.error_message(),
            "the bytes are not a valid lm.v1.ListModelsRequest");
}

}  // namespace
}  // namespace lmserve
