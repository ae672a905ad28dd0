#include "models/model_factory.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
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
      {"notes.txt", "no business of a model's"},
  };
};

TEST_F(ModelFactoryTest, MakesTheModelOfTheFiles) {
  const absl::StatusOr<AnyModel> model = CreateModel("ngram", files_);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->vocabulary().size(), 10u);
  EXPECT_EQ(model->vocabulary().text(), tiny_.model->vocabulary().text());
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

// Each is fine, but they are of two models.
TEST_F(ModelFactoryTest, FilesThatDoNotFit) {
  files_["vocabulary.txt"] = "<unk>\n<s>\n</s>\n";
  EXPECT_THAT(Error("ngram"), HasSubstr("words: expected 3, found 10"));
}

}  // namespace
}  // namespace lmserve
