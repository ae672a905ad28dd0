// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/read_ngrams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>

#include "models/language_model.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using ::testing::HasSubstr;

constexpr char kArpa[] =
    "\\data\\\nngram 1=4\n\n\\1-grams:\n-1\t<unk>\n-1.5\t<s>\n-0.5\t</s>\n"
    "-99\tnever\n\n\\end\\\n";

class ReadNgramsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_.File(name), std::ios::binary) << bytes;
    return directory_.File(name);
  }

  TemporaryDirectory directory_;
};

TEST_F(ReadNgramsTest, KeepsTheValueOfTheBeginMarker) {
  const auto model = ReadNgrams(Write("a.bin", kArpa));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_DOUBLE_EQ(model->begin_log10, -1.5);
  const WordId begin = model->vocabulary.begin_sentence();
  EXPECT_EQ(model->table.levels[0].log_probs[begin], kImpossible);
}

TEST_F(ReadNgramsTest, LiteralFilesHaveNoZero) {
  const std::string path = Write("a.arpa", kArpa);
  const auto model = ReadNgrams(path);
  ASSERT_TRUE(model.ok()) << model.status();
  const WordId never = model->vocabulary.Find("never");
  EXPECT_EQ(model->table.levels[0].log_probs[never], kImpossible);
  const auto literal = ReadNgrams(path, /*literal=*/true);
  ASSERT_TRUE(literal.ok()) << literal.status();
  EXPECT_FLOAT_EQ(literal->table.levels[0].log_probs[never], -99 * kLn10);
}

TEST_F(ReadNgramsTest, ReadsTriesWhateverTheirName) {
  const std::string path =
      std::string(LMSERVE_KENLM_FILES) + "/tiny.array.trie";
  const auto model = ReadNgrams(path);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_GT(model->table.order(), 1);
  const auto literal = ReadNgrams(path, /*literal=*/true);
  ASSERT_TRUE(literal.ok()) << literal.status();
  EXPECT_EQ(literal->begin_log10, model->begin_log10);
  EXPECT_LT(model->begin_log10, 0);
}

TEST_F(ReadNgramsTest, NamesWhatIsWrong) {
  EXPECT_EQ(ReadNgrams("/no/such/file").status().code(),
            absl::StatusCode::kNotFound);
  const absl::Status status =
      ReadNgrams(Write("b.arpa", "mmap lm http://kheafield.com/code")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("b.arpa"));
}

}  // namespace
}  // namespace lmserve
