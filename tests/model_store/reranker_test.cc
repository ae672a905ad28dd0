// SPDX-License-Identifier: Apache-2.0
#include "model_store/reranker.h"

#include <google/protobuf/util/message_differencer.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/manifest.h"
#include "model_store/publish.h"
#include "model_store/served_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using google::protobuf::util::MessageDifferencer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr char kReranker[] = R"({
 "members": [{"model": "en@3", "feature": "en"},
             {"model": "back", "feature": "b", "reverse": true},
             {"model": "de-en@stable", "feature": "de-en"}],
 "weights": {"en": 0.25, "b": -1e300, "tm[0]": 1},
 "normalization": "POWER", "alpha": 0.5,
 "minimum_bayes_risk": {"utility": "CHRF", "scale": 2}})";

TEST(RerankerTest, ReadsEveryField) {
  const absl::StatusOr<lm::v1::Reranker> reranker = ParseReranker(kReranker);
  ASSERT_TRUE(reranker.ok()) << reranker.status();
  ASSERT_EQ(reranker->members_size(), 3);
  EXPECT_EQ(reranker->members(1).model(), "back");
  EXPECT_EQ(reranker->members(1).feature(), "b");
  EXPECT_TRUE(reranker->members(1).reverse());
  EXPECT_EQ(reranker->weights().at("b"), -1e300);
  EXPECT_EQ(reranker->normalization(), lm::v1::NORMALIZATION_POWER);
  EXPECT_EQ(reranker->alpha(), 0.5);
  EXPECT_EQ(reranker->minimum_bayes_risk().utility(),
            lm::v1::MinimumBayesRisk::UTILITY_CHRF);
}

// Files have the names of the format. Those of the API are accepted, too.
TEST(RerankerTest, NamesOfEnums) {
  const lm::v1::Reranker expected = *ParseReranker(kReranker);
  const std::string api_names =
      absl::StrReplaceAll(kReranker, {{"\"POWER\"", "\"NORMALIZATION_POWER\""},
                                      {"\"CHRF\"", "\"UTILITY_CHRF\""}});
  const std::string numbers =
      absl::StrReplaceAll(kReranker, {{"\"POWER\"", "2"}, {"\"CHRF\"", "1"}});
  const std::string camel_case = absl::StrReplaceAll(
      kReranker, {{"minimum_bayes_risk", "minimumBayesRisk"}});
  for (const std::string& json : {api_names, numbers, camel_case}) {
    const absl::StatusOr<lm::v1::Reranker> reranker = ParseReranker(json);
    ASSERT_TRUE(reranker.ok()) << reranker.status();
    EXPECT_TRUE(MessageDifferencer::Equals(*reranker, expected)) << json;
  }
}

// So that servers of version 0.1 read what is written now.
TEST(RerankerTest, WritesTheNamesOfTheFormat) {
  for (const auto& [normalization, utility] :
       {std::pair("SUM", "BLEU"), {"MEAN", "BLEU"}, {"POWER", "CHRF"}}) {
    const absl::StatusOr<lm::v1::Reranker> reranker =
        ParseReranker(absl::StrReplaceAll(
            kReranker, {{"\"POWER\"", absl::StrCat("\"", normalization, "\"")},
                        {"\"CHRF\"", absl::StrCat("\"", utility, "\"")}}));
    ASSERT_TRUE(reranker.ok()) << reranker.status();
    const std::string json = RerankerJson(*reranker);
    EXPECT_THAT(json, HasSubstr(absl::StrCat("\"normalization\": \"",
                                             normalization, "\"")));
    EXPECT_THAT(json,
                HasSubstr(absl::StrCat("\"utility\": \"", utility, "\"")));
    EXPECT_TRUE(MessageDifferencer::Equals(*ParseReranker(json), *reranker));
  }
}

// A name of the format in another place is no enum.
TEST(RerankerTest, TextsThatLookLikeEnumsStay) {
  lm::v1::Reranker reranker = *ParseReranker(kReranker);
  const std::string name = "\"normalization\": \"NORMALIZATION_";
  reranker.mutable_members(0)->set_feature(name);
  (*reranker.mutable_weights())[name] = 1;
  const absl::StatusOr<lm::v1::Reranker> again =
      ParseReranker(RerankerJson(reranker));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->members(0).feature(), name);
  EXPECT_EQ(again->weights().at(name), 1);
}

TEST(RerankerTest, FixedMembersAreThoseWithTheirVersion) {
  EXPECT_THAT(FixedMembers(*ParseReranker(kReranker)),
              ElementsAre(Pair("en", 3)));
}

TEST(RerankerTest, WithoutWeightsTheMembersCount) {
  lm::v1::Reranker reranker = *ParseReranker(kReranker);
  EXPECT_THAT(
      FeatureWeights(reranker),
      ElementsAre(Pair("b", -1e300), Pair("en", 0.25), Pair("tm[0]", 1)));
  reranker.clear_weights();
  EXPECT_THAT(FeatureWeights(reranker),
              ElementsAre(Pair("b", 1), Pair("de-en", 1), Pair("en", 1)));
}

TEST(RerankerTest, Refused) {
  const struct {
    const char *from, *to, *message;
  } cases[] = {
      {kReranker, "{}", "members: expected a member, found none"},
      {"\"en@3\"", "\"a/b\"", "members[0].model: "},
      {"\"en@3\"", "\"\"", "members[0].model: "},
      {"\"feature\": \"b\"", "\"feature\": \"en\"",
       "members[1].feature: expected a unique, non-empty name, found 'en'"},
      {", \"feature\": \"b\"", "",
       "members[1].feature: expected a unique, non-empty name, found ''"},
      {"0.25", "\"NaN\"", "weights[en]: expected a finite number, found nan"},
      {"\"POWER\"", "7", "normalization: expected 0 to 3, found 7"},
      {"\"POWER\"", "\"MEDIAN\"", "cannot parse the JSON"},
      {"\"alpha\": 0.5", "\"alpha\": -1",
       "alpha: expected a finite number of at least 0, found -1"},
      {"\"CHRF\"", "9", "minimum_bayes_risk.utility: expected 0 to 2, found 9"},
      {"\"scale\": 2", "\"scale\": \"Infinity\"",
       "minimum_bayes_risk.scale: expected a finite number of at least 0"},
      {"\"members\"", "\"member\"", "cannot parse the JSON"},
  };
  for (const auto& refused : cases) {
    const absl::Status status =
        ParseReranker(
            absl::StrReplaceAll(kReranker, {{refused.from, refused.to}}))
            .status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << refused.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr("reranker.json: "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(refused.message));
  }
}

TEST(RerankerTest, FeatureNamesOfMembersAreDistinct) {
  const char* derived = R"({"members": [
      {"model": "a", "feature": "a"}, {"model": "b", "feature": "a.end"}]})";
  EXPECT_THAT(
      std::string(ParseReranker(derived).status().message()),
      HasSubstr("members[1].feature: expected a unique, non-empty name"));
}

TEST(RerankerTest, TooLarge) {
  lm::v1::Reranker reranker;
  for (int i = 0; i < 65; ++i) {
    lm::v1::RerankerMember& member = *reranker.add_members();
    member.set_model("en");
    member.set_feature(absl::StrCat("en", i));
  }
  EXPECT_THAT(std::string(ParseReranker(ToJson(reranker)).status().message()),
              HasSubstr("members: expected at most 64, found 65"));
  EXPECT_THAT(
      std::string(
          ParseReranker(std::string((1 << 16) + 1, ' ')).status().message()),
      HasSubstr("size: expected at most 65536, found 65537"));
}

class StoredRerankerTest : public testing::Test {
 protected:
  absl::StatusOr<uint64_t> TryPublish(const std::string& json) const {
    NewVersion version;
    version.family = std::string(kRerankerFamily);
    version.properties = {{"tuned_by", "hand"}};
    version.files = {{std::string(kRerankerFile), json}};
    return Publish(store_.path(), "mt", version);
  }

  const TemporaryDirectory store_;
};

TEST_F(StoredRerankerTest, IsPublishedAndLoaded) {
  ASSERT_EQ(TryPublish(kReranker).value(), 1u);
  const ModelHandle handle = LoadModel(store_.path(), "mt", 1).value();
  ASSERT_TRUE(handle->is_reranker());
  EXPECT_EQ(handle->reranker().members_size(), 3);
  EXPECT_EQ(handle->manifest().properties().at("tuned_by"), "hand");
  EXPECT_EQ(handle->files().size(), 1u);
}

TEST_F(StoredRerankerTest, WhatCannotBeReadIsNotPublished) {
  EXPECT_TRUE(absl::IsDataLoss(TryPublish("{}").status()));
  NewVersion version;
  version.family = std::string(kRerankerFamily);
  EXPECT_THAT(
      std::string(Publish(store_.path(), "mt", version).status().message()),
      HasSubstr("reranker.json"));
}

// Get() never returns a reranker, and GetReranker() never returns a model.
TEST_F(StoredRerankerTest, IsNoModel) {
  ASSERT_TRUE(TryPublish(kReranker).ok());
  PublishTinyModel(store_.path(), "en");
  ServedModels served;
  for (const char* name : {"mt", "en"}) {
    served.models[name].versions[1] = LoadModel(store_.path(), name, 1).value();
    served.models[name].default_version = 1;
  }
  EXPECT_THAT(served.Get("mt").status().ToString(),
              HasSubstr("FAILED_PRECONDITION: 'mt' is a reranker: expected a "
                        "model"));
  EXPECT_THAT(served.GetReranker("en@1").status().ToString(),
              HasSubstr("FAILED_PRECONDITION: 'en@1' is a model: expected a "
                        "reranker"));
  EXPECT_EQ(served.GetReranker("mt@1").value()->name(), "mt");
  EXPECT_EQ(served.Get("en").value()->name(), "en");
}

}  // namespace
}  // namespace lmserve
