// SPDX-License-Identifier: Apache-2.0
#include "models/model_factory.h"

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class ModelFactoryTest : public testing::Test {
 protected:
  std::string Error(absl::string_view family) const {
    return CreateModel(family, files_).status().ToString();
  }

  const BuiltNgramModel tiny_ = BuildFromArpa(TinyArpa());
  ModelFiles files_ = {
      {"vocabulary.txt", tiny_.model->vocabulary().text()},
      {"ngram.bin", tiny_.bytes},
      {"notes.txt", "a file that no model reads"},
  };
};

TEST_F(ModelFactoryTest, MakesTheModelOfTheFiles) {
  const absl::StatusOr<AnyModel> model = CreateModel("ngram", files_);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->vocabulary().size(), 10u);
  EXPECT_EQ(model->vocabulary().text(), tiny_.model->vocabulary().text());
}

TEST_F(ModelFactoryTest, ReturnsTheKindOfModel) {
  AnyModel left = CreateModel("ngram", files_).value();
  EXPECT_EQ(left.kind(), ModelKind::kLeftToRight);
  EXPECT_TRUE(left.predicts_end());
  EXPECT_NE(left.left_to_right(), nullptr);
  EXPECT_EQ(left.bidirectional(), nullptr);
  const LanguageModel* model = left.left_to_right();
  EXPECT_EQ(std::move(left).TakeLeftToRight().get(), model);

  RecurrentNetworkOptions options;
  options.embedding = 3;
  options.stack.units = 2;
  const BidirectionalTestModel made = MakeBidirectionalTestModel(
      std::string(files_.at("vocabulary.txt")), options, Precision::kFloat);
  const AnyModel both = CreateModel("bidirectional", made.Files()).value();
  EXPECT_EQ(both.kind(), ModelKind::kBidirectional);
  EXPECT_FALSE(both.predicts_end());
  EXPECT_EQ(both.left_to_right(), nullptr);
  EXPECT_NE(both.bidirectional(), nullptr);
  EXPECT_EQ(both.vocabulary().size(), 10u);
}

TEST_F(ModelFactoryTest, OtherFamiliesAreNotFound) {
  for (absl::string_view family : {"", "Ngram", "neural"}) {
    EXPECT_THAT(Error(family),
                HasSubstr("NOT_FOUND: family: expected ngram or "));
  }
}

TEST_F(ModelFactoryTest, MissingFileIsNamed) {
  for (const char* name : {"vocabulary.txt", "ngram.bin"}) {
    const absl::string_view bytes = files_.at(name);
    files_.erase(name);
    EXPECT_EQ(Error("ngram"), "INVALID_ARGUMENT: the file " +
                                  std::string(name) + " is missing");
    files_[name] = bytes;
  }
}

TEST_F(ModelFactoryTest, BrokenFileIsNamed) {
  files_["ngram.bin"].remove_suffix(1);
  EXPECT_THAT(Error("ngram"), HasSubstr("INVALID_ARGUMENT: ngram.bin at byte"));
  files_["vocabulary.txt"].remove_suffix(1);
  EXPECT_THAT(Error("ngram"),
              HasSubstr("INVALID_ARGUMENT: vocabulary line 10: "));
}

// Each file is valid, but they belong to two different models.
TEST_F(ModelFactoryTest, FilesThatDoNotFit) {
  files_["vocabulary.txt"] = "<unk>\n<s>\n</s>\n";
  EXPECT_THAT(Error("ngram"), HasSubstr("words: expected 3, found 10"));
}

}  // namespace
}  // namespace lmserve
