// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_file.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/test_model.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

CacheOptions Both() {
  CacheOptions options;
  options.history = 50;
  options.keys = Precision::kBf16;
  options.caches = {
      {.kind = CacheKind::kContinuous, .weight = 1.0 / 3, .theta = 0.3},
      {.kind = CacheKind::kNgram, .weight = 0.125, .order = 2, .decay = 0.9}};
  return options;
}

CacheOptions Unigram(double weight = 0.25) {
  CacheOptions options;
  options.history = 3;
  options.caches = {{.kind = CacheKind::kNgram, .weight = weight}};
  return options;
}

TEST(CacheFileTest, WhatWasWrittenIsRead) {
  const std::string json = MakeCacheFile({"recurrent", "n\"\xe4@3", Both()});
  const CacheFile read = ParseCacheFile(json).value();
  EXPECT_EQ(read.family, "recurrent");
  EXPECT_EQ(read.name, "n\"\xef\xbf\xbd@3");  // "\xe4" is not valid UTF-8
  EXPECT_EQ(read.options.history, 50u);
  EXPECT_EQ(read.options.keys, Precision::kBf16);
  ASSERT_EQ(read.options.caches.size(), 2u);
  EXPECT_EQ(read.options.caches[0].kind, CacheKind::kContinuous);
  EXPECT_EQ(read.options.caches[0].weight, 1.0 / 3);
  EXPECT_EQ(read.options.caches[0].theta, 0.3);
  EXPECT_EQ(read.options.caches[1].kind, CacheKind::kNgram);
  EXPECT_EQ(read.options.caches[1].order, 2);
  EXPECT_EQ(read.options.caches[1].decay, 0.9);
}

// Returns the error of a valid file with one text replaced.
std::string Error(const std::string& from, const std::string& to) {
  const std::string json =
      R"({"member": {"family": "ngram", "name": "en@3"}, "history": 9,)"
      R"( "keys": "float", "caches": [)"
      R"({"kind": "continuous", "weight": 0.25, "theta": 0.5},)"
      R"( {"kind": "ngram", "weight": 0.5, "order": 1, "decay": 1}]})";
  EXPECT_TRUE(ParseCacheFile(json).ok());
  EXPECT_THAT(json, HasSubstr(from));
  const auto status =
      ParseCacheFile(absl::StrReplaceAll(json, {{from, to}})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << to;
  return std::string(status.message());
}

TEST(CacheFileTest, WrongValuesAreNamed) {
  EXPECT_EQ(Error("\"ngram\", \"name\"", "7, \"name\""),
            "cache.json: member: family: expected a string, found 7");
  EXPECT_EQ(Error("\"en@3\"", "\"en\", \"x\": 1"),
            "cache.json: member: expected only the keys family and name");
  EXPECT_EQ(Error("\"history\": 9", "\"history\": 0"),
            "cache.json: history: expected 1 to 65536, found 0");
  EXPECT_EQ(Error("\"history\": 9", "\"history\": 1.5"),
            "cache.json: history: expected an integer up to 65536, found 1.5");
  EXPECT_EQ(
      Error("\"history\": 9", "\"history\": 65537"),
      "cache.json: history: expected an integer up to 65536, found 65537");
  EXPECT_EQ(Error("\"history\": 9", "\"history\": -1"),
            "cache.json: history: expected an integer up to 65536, found -1");
  EXPECT_EQ(Error("\"float\"", "\"int8\""),
            "cache.json: keys: expected float or bf16, found \\\"int8\\\"");
  EXPECT_EQ(Error("\"keys\": \"float\", ", ""),
            "cache.json: expected only the keys member, history, keys and "
            "caches");
  EXPECT_EQ(Error("\"continuous\"", "\"other\""),
            "cache.json: cache 0: kind: expected continuous or ngram, found "
            "\\\"other\\\"");
  EXPECT_EQ(Error("\"theta\": 0.5", "\"theta\": -1"),
            "cache.json: cache 0: theta: expected 0 to 1e+06, found -1");
  EXPECT_EQ(Error("\"theta\"", "\"theta2\""),
            "cache.json: cache 0: theta: expected a number, found none");
  EXPECT_EQ(Error("\"theta\": 0.5", "\"theta\": 0.5, \"decay\": 1"),
            "cache.json: cache 0: expected only the keys kind, weight and "
            "theta");
  EXPECT_EQ(Error("\"order\": 1", "\"order\": 9"),
            "cache.json: cache 1: order: expected an integer up to 8, found 9");
  EXPECT_EQ(Error("\"order\": 1", "\"order\": 0"),
            "cache.json: cache 1: order: expected 1 to 8, found 0");
  EXPECT_EQ(Error("\"decay\": 1", "\"decay\": 0"),
            "cache.json: cache 1: decay: expected above 0 and at most 1, found "
            "0");
  EXPECT_EQ(Error("\"weight\": 0.5", "\"weight\": 0.8"),
            "cache.json: weights: expected a sum of at most 1, found 1.05");
  EXPECT_EQ(Error("\"weight\": 0.5", "\"weight\": -0.5"),
            "cache.json: cache 1: weight: expected at least 0, found -0.5");
  EXPECT_EQ(Error("\"weight\": 0.5", "\"weight\": \"a\""),
            "cache.json: cache 1: weight: expected a number, found \\\"a\\\"");
}

TEST(CacheFileTest, OtherFilesAreRefused) {
  const auto error = [](const std::string& json) {
    return ParseCacheFile(json).status().ToString();
  };
  const std::string name = "INVALID_ARGUMENT: cache.json: ";
  for (const char* json : {"", "{", "{\"caches\":[1e999]}", "\xff"}) {
    EXPECT_EQ(error(json), name + "not valid JSON") << json;
  }
  EXPECT_EQ(error("[]"), name + "expected an object, found array");
  EXPECT_EQ(error("{}"), name + "member: expected an object, found none");
  EXPECT_EQ(error(std::string(65537, ' ')),
            name + "size: expected at most 65536, found 65537");
  const std::string deep = std::string(30'000, '[') + std::string(30'000, ']');
  EXPECT_EQ(error("{\"member\":" + deep + "}"),
            name + "member: expected an object, found array");
  CacheFile many = {"ngram", "", Unigram(0)};
  many.options.caches.resize(65, many.options.caches[0]);
  EXPECT_EQ(error(MakeCacheFile(many)),
            name + "caches: expected a list of 1 to 64, found 65");
  many.options.caches.clear();
  EXPECT_EQ(error(MakeCacheFile(many)),
            name + "caches: expected 1 to 64, found 0");
}

TestModel Tiny() { return NgramTestModel(BuildFromArpa(TinyArpa())); }

std::string Error(const TestModel& model) {
  return CreateModel(model.family, model.Files()).status().ToString();
}

TEST(CreateCacheTest, FilesHaveTheNamesOfTheFormat) {
  const TestModel model = CacheTestModel(Tiny(), Unigram());
  std::vector<std::string> names;
  for (const auto& [name, bytes] : model.files) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAre("0.ngram.bin", "cache.json",
                                          "vocabulary.txt"));
  EXPECT_EQ(Error(model), "OK");
}

TEST(CreateCacheTest, MissingFilesAreNamed) {
  TestModel model = CacheTestModel(Tiny(), Unigram());
  model.files.erase("cache.json");
  EXPECT_EQ(Error(model), "INVALID_ARGUMENT: the file cache.json is missing");
  model = CacheTestModel(Tiny(), Unigram());
  model.files.erase("0.ngram.bin");
  EXPECT_EQ(Error(model),
            "INVALID_ARGUMENT: cache.json: member (m@0): the file ngram.bin is "
            "missing");
}

// Only recurrent models have the hidden states that a continuous cache needs.
TEST(CreateCacheTest, AContinuousCacheNeedsHiddenStates) {
  TestModel model = CacheTestModel(Tiny(), Unigram());
  model.files["cache.json"] = MakeCacheFile({"ngram", "m@0", Both()});
  EXPECT_EQ(Error(model),
            "INVALID_ARGUMENT: cache.json: a continuous cache needs a "
            "recurrent model, found a model without hidden states");
}

TEST(CreateCacheTest, TheStateHasALimit) {
  RecurrentNetworkOptions options;
  options.embedding = 2;
  options.stack.units = 300;
  CacheOptions cache = Both();
  cache.keys = Precision::kFloat;
  cache.history = 100;
  TestModel model = CacheTestModel(
      RecurrentTestModel(VocabularyOf("a b"), options, Precision::kFloat),
      cache);
  EXPECT_EQ(Error(model), "OK");
  cache.history = 60'000;
  model.files["cache.json"] = MakeCacheFile({"recurrent", "m@0", cache});
  EXPECT_THAT(Error(model),
              HasSubstr("cache.json: history: expected a state of at most "
                        "67108864 bytes, found "));
}

TEST(CreateCacheTest, CachesAndMixturesInEachOther) {
  TestModel model = Tiny();
  for (int depth = 1; depth <= 5; ++depth) {
    if (depth % 2 == 0) {
      std::vector<TestModel> members;
      members.push_back(std::move(model));
      model = MixtureTestModel(std::move(members), {1});
    } else {
      model = CacheTestModel(std::move(model), Unigram());
    }
    if (depth < 5) {
      EXPECT_EQ(Error(model), "OK") << depth;
    } else {
      EXPECT_THAT(Error(model), HasSubstr("expected at most 4 levels of nested "
                                          "mixtures and caches"));
    }
  }
}

TEST(CreateCacheTest, KeysOfBf16AreReduced) {
  RecurrentNetworkOptions options;
  options.embedding = 2;
  options.stack.units = 3;
  CacheOptions cache = Both();
  for (Precision precision : {Precision::kFloat, Precision::kBf16}) {
    cache.keys = precision;
    const TestModel model = CacheTestModel(
        RecurrentTestModel(VocabularyOf("a b"), options, Precision::kFloat),
        cache);
    EXPECT_EQ(HasReducedWeights(model.Files()), precision == Precision::kBf16);
  }
}

}  // namespace
}  // namespace lmserve
