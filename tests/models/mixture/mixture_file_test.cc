// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_file.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/test_model.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

TEST(MixtureFileTest, WhatWasWrittenIsRead) {
  const std::vector<MixtureEntry> written = {{"ngram", 1.0 / 3, "en@3"},
                                             {"window", 2e-300, "n\"\n\xe4"}};
  const std::vector<MixtureEntry> read =
      ParseMixtureFile(MakeMixtureFile(written)).value();
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].family, "ngram");
  EXPECT_EQ(read[0].weight, 1.0 / 3);
  EXPECT_EQ(read[0].name, "en@3");
  EXPECT_EQ(read[1].weight, 2e-300);
  EXPECT_EQ(read[1].name, "n\"\n\xef\xbf\xbd");  // "\xe4" is not valid UTF-8
}

std::string Member(const std::string& fields) {
  const auto status =
      ParseMixtureFile("{\"members\":[" + fields + "]}").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(MixtureFileTest, WrongMembersAreNamed) {
  const std::string good = R"({"family":"ngram","weight":0.5,"name":""})";
  EXPECT_EQ(Member(good + R"(,{"weight":1,"name":""})"),
            "mixture.json: member 1: family: expected a string, found none");
  EXPECT_EQ(Member(R"({"family":7,"weight":1,"name":""})"),
            "mixture.json: member 0: family: expected a string, found 7");
  EXPECT_EQ(
      Member(R"({"family":"ngram","weight":"1","name":""})"),
      "mixture.json: member 0: weight: expected a number, found \\\"1\\\"");
  EXPECT_EQ(Member(R"({"family":"ngram","weight":1,"name":{}})"),
            "mixture.json: member 0: name: expected a string, found object");
  EXPECT_EQ(Member(good + "," + R"({"family":"a","weight":1,"name":"","x":1})"),
            "mixture.json: member 1: expected only the keys family, weight and "
            "name");
  EXPECT_EQ(Member("[]"),
            "mixture.json: member 0: expected an object, found array");
}

TEST(MixtureFileTest, OtherFilesAreRefused) {
  const auto error = [](const std::string& json) {
    return ParseMixtureFile(json).status().ToString();
  };
  const std::string name = "INVALID_ARGUMENT: mixture.json: ";
  for (const char* json :
       {"", "{", "{\"members\":[{]}", "{\"members\":[1e999]}", "\xff"}) {
    EXPECT_EQ(error(json), name + "not valid JSON") << json;
  }
  for (const char* json : {"null", "[]", "{}", "{\"Members\":[]}",
                           "{\"members\":[],\"more\":1}"}) {
    EXPECT_EQ(error(json),
              name + "expected an object with only the key members");
  }
  EXPECT_EQ(error("{\"members\":{}}"),
            name + "members: expected a list of 1 to 64, found object");
  EXPECT_EQ(error("{\"members\":[]}"),
            name + "members: expected a list of 1 to 64, found 0");
  EXPECT_EQ(error(MakeMixtureFile(std::vector<MixtureEntry>(65))),
            name + "members: expected a list of 1 to 64, found 65");
  EXPECT_EQ(error(std::string(65537, ' ')),
            name + "size: expected at most 65536, found 65537");
}

// Neither parsing nor formatting an error may recurse for each level.
TEST(MixtureFileTest, DeepJson) {
  const std::string lists = std::string(30'000, '[') + std::string(30'000, ']');
  EXPECT_FALSE(ParseMixtureFile(lists).ok());
  EXPECT_EQ(Member(lists),
            "mixture.json: member 0: expected an object, found array");
  EXPECT_EQ(Member("{\"family\":" + lists + "}"),
            "mixture.json: member 0: family: expected a string, found array");
  std::string objects;
  for (int i = 0; i < 9'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(Member(objects + "0" + std::string(9'000, '}')),
            "mixture.json: member 0: family: expected a string, found none");
}

TestModel Tiny() { return NgramTestModel(BuildFromArpa(TinyArpa())); }

TestModel Pair() {
  std::vector<TestModel> members;
  members.push_back(Tiny());
  members.push_back(Tiny());
  return MixtureTestModel(std::move(members), {0.25, 0.75});
}

std::string Error(const TestModel& model) {
  return CreateModel("mixture", model.Files()).status().ToString();
}

TEST(CreateMixtureTest, FilesHaveTheNamesOfTheFormat) {
  std::vector<std::string> names;
  const TestModel pair = Pair();
  for (const auto& [name, bytes] : pair.files) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAre("0.ngram.bin", "1.ngram.bin",
                                          "mixture.json", "vocabulary.txt"));
  EXPECT_EQ(Error(pair), "OK");
}

TEST(CreateMixtureTest, MissingFilesAreNamed) {
  for (const std::string name : {"mixture.json", "vocabulary.txt"}) {
    TestModel pair = Pair();
    pair.files.erase(name);
    EXPECT_EQ(Error(pair),
              "INVALID_ARGUMENT: the file " + name + " is missing");
  }
  TestModel pair = Pair();
  pair.files.erase("1.ngram.bin");
  EXPECT_EQ(Error(pair),
            "INVALID_ARGUMENT: mixture.json: member 1 (m@1): the file "
            "ngram.bin is missing");
}

TEST(CreateMixtureTest, BrokenMembersAreNamed) {
  TestModel pair = Pair();
  pair.files["0.ngram.bin"].pop_back();
  EXPECT_THAT(Error(pair), HasSubstr("INVALID_ARGUMENT: mixture.json: member 0 "
                                     "(m@0): ngram.bin at byte"));
  pair = Pair();
  pair.files["mixture.json"] = MakeMixtureFile(
      std::vector<MixtureEntry>{{"ngram", 0.5, "a"}, {"neural", 0.5, "b\n"}});
  EXPECT_THAT(Error(pair),
              HasSubstr("INVALID_ARGUMENT: mixture.json: member 1 (b\\n): "
                        "family: expected ngram or "));
  pair.files["mixture.json"] = MakeMixtureFile(
      std::vector<MixtureEntry>{{"ngram", 0.5, "a"}, {"ngram", 0.25, "b"}});
  EXPECT_EQ(Error(pair),
            "INVALID_ARGUMENT: mixture.json: weights: expected a sum of 1, "
            "found 0.75");
}

// A bidirectional model has no P(w | h) to mix.
TEST(CreateMixtureTest, RefusesABidirectionalMember) {
  TestModel pair = Pair();
  RecurrentNetworkOptions options;
  options.embedding = 3;
  options.stack.units = 2;
  const BidirectionalTestModel both = MakeBidirectionalTestModel(
      pair.files["vocabulary.txt"], options, Precision::kFloat);
  pair.files["1.weights.safetensors"] = both.files.at("weights.safetensors");
  pair.files["mixture.json"] = MakeMixtureFile(std::vector<MixtureEntry>{
      {"ngram", 0.5, "a"}, {"bidirectional", 0.5, "b"}});
  EXPECT_EQ(Error(pair),
            "INVALID_ARGUMENT: mixture.json: member 1 (b): expected a "
            "left-to-right model, found a bidirectional model");
}

// All members share the vocabulary of the mixture.
TEST(CreateMixtureTest, AMembersOwnVocabularyIsNotRead) {
  TestModel pair = Pair();
  pair.files["1.vocabulary.txt"] = "not a vocabulary";
  EXPECT_EQ(Error(pair), "OK");
}

TEST(CreateMixtureTest, MixturesInMixtures) {
  TestModel model = Tiny();
  for (int depth = 1; depth <= 5; ++depth) {
    std::vector<TestModel> members;
    members.push_back(std::move(model));
    model = MixtureTestModel(std::move(members), {1});
    if (depth < 5) {
      EXPECT_EQ(Error(model), "OK") << depth;
    } else {
      EXPECT_THAT(Error(model),
                  HasSubstr("expected at most 4 levels of nested mixtures"));
    }
  }
}

}  // namespace
}  // namespace lmserve
