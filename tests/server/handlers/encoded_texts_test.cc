// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/encoded_texts.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/small_store.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::Text;
using testing::ElementsAre;
using testing::IsEmpty;

// 0 <unk>, 1 <s>, 2 </s>, 3 the, 4 cat.
Vocabulary SmallVocabulary() {
  return Vocabulary::Create({"<unk>", "<s>", "</s>", "the", "cat"}).value();
}

class EncodedTextsTest : public testing::Test {
 protected:
  absl::Status Add(const std::string& text,
                   const EncodedTexts::Options& options = {}) {
    return encoder_.Add(Parse<Text>(text), "texts", encoder_.size(), options);
  }

  const Vocabulary vocabulary_ = SmallVocabulary();
  const Limits limits_ = {.words_per_text = 3, .words = 7};
  EncodedTexts encoder_{vocabulary_, limits_};
};

TEST_F(EncodedTextsTest, TheThreeFormsAreEqual) {
  for (const char* form :
       {"text: ' the\\tzebra  cat\\n'",
        "words { words: ['the', 'zebra', 'cat'] }", "ids { ids: [3, 0, 4] }"}) {
    EncodedTexts encoder(vocabulary_, limits_);
    ASSERT_TRUE(encoder.Add(Parse<Text>(form), "texts", 0, {}).ok());
    EXPECT_THAT(encoder.words(0), ElementsAre(3, 0, 4)) << form;
  }
}

TEST_F(EncodedTextsTest, AllWordsHasOneTextAfterTheOther) {
  ASSERT_TRUE(Add("text: 'cat'", {.add_end = true}).ok());
  ASSERT_TRUE(Add("", {.may_be_empty = true}).ok());
  ASSERT_TRUE(Add("text: 'the cat'").ok());
  EXPECT_EQ(encoder_.size(), 3);
  EXPECT_THAT(encoder_.words(0), ElementsAre(4, 2));
  EXPECT_THAT(encoder_.words(1), IsEmpty());
  EXPECT_THAT(encoder_.words(2), ElementsAre(3, 4));
  EXPECT_THAT(encoder_.all_words(), ElementsAre(4, 2, 3, 4));
}

TEST_F(EncodedTextsTest, SelectsTexts) {
  ASSERT_TRUE(Add("text: 'cat'").ok());
  ASSERT_TRUE(Add("text: 'the cat'").ok());
  ASSERT_TRUE(Add("", {.may_be_empty = true}).ok());
  const size_t indexes[] = {2, 1};
  const EncodedTexts some = encoder_.Select(indexes);
  EXPECT_EQ(some.size(), 2);
  EXPECT_THAT(some.words(0), IsEmpty());
  EXPECT_THAT(some.words(1), ElementsAre(3, 4));
  EXPECT_THAT(some.all_words(), ElementsAre(3, 4));
}

TEST_F(EncodedTextsTest, AnEmptyTextMayHaveAnEnd) {
  ASSERT_TRUE(Add("", {.may_be_empty = true, .add_end = true}).ok());
  EXPECT_THAT(encoder_.words(0), ElementsAre(2));
}

TEST_F(EncodedTextsTest, UnknownMayBeGivenAsAWord) {
  ASSERT_TRUE(Add("text: '<unk>'").ok());
  EXPECT_THAT(encoder_.words(0), ElementsAre(0));
}

// Other Unicode spaces are part of a word, here of one unknown word.
TEST_F(EncodedTextsTest, OnlyAsciiSpacesSplit) {
  ASSERT_TRUE(Add("text: 'the\\302\\240cat'").ok());
  EXPECT_THAT(encoder_.words(0), ElementsAre(0));
}

TEST_F(EncodedTextsTest, AFieldThatIsNotRepeatedHasNoIndex) {
  EXPECT_EQ(TextOf(encoder_.Add(Text(), "prompt", -1, {})),
            "INVALID_ARGUMENT: prompt: expected a word, found none");
}

TEST_F(EncodedTextsTest, TheLimitOfATextCountsOnlyItsOwnWords) {
  ASSERT_TRUE(Add("text: 'the cat the'", {.add_end = true}).ok());
  ASSERT_TRUE(Add("text: 'the cat the'").ok());
  EXPECT_EQ(encoder_.all_words().size(), 7);
}

TEST_F(EncodedTextsTest, TheLimitOfARequestCountsEnds) {
  ASSERT_TRUE(Add("text: 'the cat the'", {.add_end = true}).ok());
  EXPECT_EQ(TextOf(Add("text: 'the cat the'", {.add_end = true})),
            "RESOURCE_EXHAUSTED: words in the request: expected at most 7, "
            "found 8");
}

struct RefusedCase {
  const char* text;
  const char* message;
};

TEST_F(EncodedTextsTest, Refused) {
  const RefusedCase cases[] = {
      {"", "texts[0]: expected a word, found none"},
      {"text: ''", "texts[0]: expected a word, found none"},
      {"text: ' \\t\\r\\n'", "texts[0]: expected a word, found none"},
      {"words {}", "texts[0]: expected a word, found none"},
      {"ids {}", "texts[0]: expected a word, found none"},
      {"text: 'a b c d'",
       "texts[0]: expected at most 3 words in a text, found 4"},
      {"words { words: ['a', 'b', 'c', 'd'] }",
       "texts[0]: expected at most 3 words in a text, found 4"},
      {"ids { ids: [3, 3, 3, 3] }",
       "texts[0]: expected at most 3 words in a text, found 4"},
      {"words { words: ['the', ''] }",
       "texts[0]: word 1: expected a word without white space"},
      {"words { words: ['the cat'] }",
       "texts[0]: word 0: expected a word without white space"},
      {"words { words: ['the', 'cat '] }",
       "texts[0]: word 1: expected a word without white space"},
      {"ids { ids: [3, 5] }",
       "texts[0]: id 1: expected a word id below 5, found 5"},
      {"ids { ids: [4294967295] }",
       "texts[0]: id 0: expected a word id below 5, found 4294967295"},
      {"text: 'the <s>'",
       "texts[0]: word 1: expected no sentence marker, found <s>"},
      {"text: 'the cat </s>'",
       "texts[0]: word 2: expected no sentence marker, found </s>"},
      {"words { words: ['<s>'] }",
       "texts[0]: word 0: expected no sentence marker, found <s>"},
      {"ids { ids: [3, 2] }",
       "texts[0]: word 1: expected no sentence marker, found </s>"},
  };
  for (const RefusedCase& refused : cases) {
    EXPECT_EQ(TextOf(Add(refused.text)),
              absl::StrCat("INVALID_ARGUMENT: ", refused.message))
        << refused.text;
  }
}

}  // namespace
}  // namespace lmserve
