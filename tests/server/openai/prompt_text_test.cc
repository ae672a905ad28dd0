// SPDX-License-Identifier: Apache-2.0
#include "server/openai/prompt_text.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Vocabulary& Words() {
  static const auto* const kWords = new Vocabulary(
      Vocabulary::Create({"<unk>", "<s>", "</s>", "the", "cat"}).value());
  return *kWords;
}

PromptText Create(CompletionPrompt prompt) {
  return PromptText::Create(Words(), std::move(prompt)).value();
}

std::vector<std::string> Texts(const PromptText& prompt) {
  std::vector<std::string> texts;
  for (const CompletionToken& token : prompt.Tokens()) {
    texts.push_back(token.text);
  }
  return texts;
}

TEST(PromptTextTest, TokensOfATextAreItsBytes) {
  const PromptText prompt = Create("  the\tcat \n sat ");
  EXPECT_THAT(Texts(prompt), ElementsAre("  the", "\tcat", " \n sat"));
  EXPECT_EQ(prompt.trailing_space(), " ");
  EXPECT_EQ(prompt.text(), "  the\tcat \n sat ");
  EXPECT_EQ(prompt.size(), 3);
  EXPECT_EQ(prompt.words().text(), prompt.text());
}

TEST(PromptTextTest, OffsetsCountCodePoints) {
  const std::vector<CompletionToken> tokens = Create("dé 字x y").Tokens();
  ASSERT_EQ(tokens.size(), 3);
  EXPECT_EQ(tokens[0].offset, 0);
  EXPECT_EQ(tokens[1].offset, 2);
  EXPECT_EQ(tokens[2].offset, 5);
  EXPECT_EQ(CodePoints("dé 字x y"), 7);
}

TEST(PromptTextTest, IdsAreWordsWithASpaceBetween) {
  const PromptText prompt = Create(std::vector<uint32_t>{3, 4, 0});
  EXPECT_EQ(prompt.text(), "the cat <unk>");
  EXPECT_THAT(Texts(prompt), ElementsAre("the", " cat", " <unk>"));
  EXPECT_THAT(prompt.words().ids().ids(), ElementsAre(3, 4, 0));
}

TEST(PromptTextTest, AMarkAtTheBeginningIsATokenOutsideTheText) {
  for (const uint32_t mark : {1, 2}) {
    const PromptText prompt = Create(std::vector<uint32_t>{mark, 4});
    EXPECT_EQ(prompt.text(), "cat");
    EXPECT_THAT(Texts(prompt), ElementsAre(Words().word(mark), "cat"));
    EXPECT_FALSE(prompt.Tokens()[0].is_text);
    EXPECT_EQ(prompt.Tokens()[1].offset, 0);
    EXPECT_EQ(prompt.size(), 2);
    EXPECT_THAT(prompt.words().ids().ids(), ElementsAre(4));
  }
}

TEST(PromptTextTest, EmptyPromptsHaveNoTokens) {
  EXPECT_THAT(Texts(Create("")), IsEmpty());
  EXPECT_THAT(Texts(Create(" \n")), IsEmpty());
  EXPECT_EQ(Create(" \n").trailing_space(), " \n");
  EXPECT_THAT(Texts(Create(std::vector<uint32_t>())), IsEmpty());
}

TEST(PromptTextTest, RefusesIdsOutsideTheVocabulary) {
  const absl::Status status =
      PromptText::Create(Words(), std::vector<uint32_t>{3, 5}).status();
  EXPECT_EQ(status.message(),
            "prompt: word 1: expected a word id below 5, found 5");
}

}  // namespace
}  // namespace lmserve
