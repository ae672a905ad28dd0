// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/torch_vocabulary.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/torch_writer.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Form = TorchVocabularyForm;

// Returns the words, or the error.
std::vector<std::string> Parse(absl::string_view bytes,
                               Form form = Form::kAny) {
  const auto words = ParseTorchVocabulary(bytes, form);
  if (words.ok()) return *words;
  return {std::string(words.status().message())};
}

TEST(TorchVocabularyTest, Lines) {
  EXPECT_THAT(Parse("a\nb\r\nc"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Parse("\xEF\xBB\xBF"
                    "a\nb\n"),
              ElementsAre("a", "b"));
  // The first words may look like JSON.
  EXPECT_THAT(Parse("[\n]\n{\n"), ElementsAre("[", "]", "{"));
  EXPECT_THAT(Parse("[\"a\"]", Form::kLines), ElementsAre("[\"a\"]"));
}

TEST(TorchVocabularyTest, Json) {
  EXPECT_THAT(Parse("[\"a\", \"\\u00e9\"]"), ElementsAre("a", "\xC3\xA9"));
  EXPECT_THAT(Parse("{\"b\": 1, \"a\": 0}\n"), ElementsAre("a", "b"));
  EXPECT_THAT(Parse("{\"b\": 1, \"a\": 3}")[0],
              HasSubstr("word 'a': expected an id below 2"));
  EXPECT_THAT(Parse("{\"b\": 1.5}")[0],
              HasSubstr("word 'b': expected an id, found number"));
  EXPECT_THAT(Parse("[1]")[0],
              HasSubstr("word 0: expected a string, found number"));
  EXPECT_THAT(Parse("a", Form::kJson)[0], HasSubstr("expected JSON"));
  EXPECT_THAT(Parse("7", Form::kJson)[0], HasSubstr("found number"));
}

TEST(TorchVocabularyTest, Fairseq) {
  EXPECT_THAT(Parse("the 99\na b 7 #fairseq:overwrite\n", Form::kFairseq),
              ElementsAre("<s>", "<pad>", "</s>", "<unk>", "the", "a b"));
  EXPECT_EQ(Parse("the 99\ncat\n", Form::kFairseq)[0],
            "line 2: expected a word and its count, found 'cat'");
}

TEST(TorchVocabularyTest, Torch) {
  PickleWriter pickle;
  pickle.Raw("](").String("a").String("b").Raw("e");
  const std::string bytes = MakeZip({{"m/data.pkl", pickle.Finish()}});
  EXPECT_THAT(Parse(bytes), ElementsAre("a", "b"));
  EXPECT_THAT(Parse("a", Form::kTorch)[0], HasSubstr("zip: "));
}

}  // namespace
}  // namespace lmserve
