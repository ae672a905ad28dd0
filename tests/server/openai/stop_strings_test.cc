// SPDX-License-Identifier: Apache-2.0
#include "server/openai/stop_strings.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What comes out of a list of words.
struct Outcome {
  std::vector<std::string> words;
  std::string text;
  bool has_stopped = false;
  size_t read = 0;  // words that were added
};

Outcome Feed(std::vector<std::string> stops,
             const std::vector<std::string>& words) {
  StopStrings strings(std::move(stops));
  Outcome outcome;
  std::vector<CompletionToken> tokens;
  for (const std::string& word : words) {
    ++outcome.read;
    outcome.has_stopped = strings.Add({.text = word}, &tokens, &outcome.text);
    if (outcome.has_stopped) break;
  }
  if (!outcome.has_stopped) strings.Finish(&tokens, &outcome.text);
  for (const CompletionToken& token : tokens) {
    outcome.words.push_back(token.text);
  }
  return outcome;
}

TEST(StopStringsTest, EndsBeforeTheFirstStopString) {
  const Outcome whole = Feed({" sat"}, {"the", " cat", " sat", " down"});
  EXPECT_TRUE(whole.has_stopped);
  EXPECT_EQ(whole.read, 3);
  EXPECT_EQ(whole.text, "the cat");
  EXPECT_THAT(whole.words, ElementsAre("the", " cat"));
  const Outcome within = Feed({"at"}, {"the", " cat", " sat"});
  EXPECT_EQ(within.text, "the c");
  EXPECT_THAT(within.words, ElementsAre("the", " cat"));
  const Outcome across = Feed({"e c", "x"}, {"the", " cat", " sat"});
  EXPECT_EQ(across.text, "th");
  EXPECT_THAT(across.words, ElementsAre("the"));
  EXPECT_EQ(Feed({"the"}, {"the"}).text, "");
}

TEST(StopStringsTest, HoldsBackWhatMayBecomeAStopString) {
  StopStrings strings({"b c d"});
  std::vector<CompletionToken> tokens;
  std::string text;
  EXPECT_FALSE(strings.Add({.text = "a"}, &tokens, &text));
  EXPECT_EQ(text, "a") << "cannot begin the string";
  EXPECT_FALSE(strings.Add({.text = " b"}, &tokens, &text));
  EXPECT_FALSE(strings.Add({.text = " c"}, &tokens, &text));
  EXPECT_EQ(text, "a");
  EXPECT_FALSE(strings.Add({.text = " e"}, &tokens, &text));
  EXPECT_EQ(text, "a b c e") << "it was not the string";
  strings.Add({.text = " b"}, &tokens, &text);
  strings.Finish(&tokens, &text);
  EXPECT_EQ(text, "a b c e b");
  EXPECT_EQ(tokens.size(), 5);
}

TEST(StopStringsTest, WithoutStopStringsNothingIsHeldBack) {
  EXPECT_EQ(Feed({}, {"a", " b"}).text, "a b");
  EXPECT_THAT(Feed({}, {}).words, IsEmpty());
}

// The rule, without holding back: the text up to the first place where a stop
// string is complete.
TEST(StopStringsTest, EqualsTheRule) {
  std::mt19937 random(7);
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(draw(0, 3));
    for (std::string& stop : stops) {
      stop.resize(draw(1, 4));
      std::generate(stop.begin(), stop.end(),
                    [&] { return "ab "[draw(0, 2)]; });
    }
    std::vector<std::string> words(draw(0, 8));
    for (std::string& word : words) {
      word = " ";
      for (int i = draw(1, 3); i > 0; --i) word += "ab"[draw(0, 1)];
    }
    std::string expected;
    size_t read = 0;
    bool has_stopped = false;
    for (; read < words.size() && !has_stopped; ++read) {
      expected += words[read];
      size_t end = expected.size();
      for (const std::string& stop : stops) {
        end = std::min(end, expected.find(stop));
      }
      has_stopped = end < expected.size();
      expected.resize(end);
    }
    const Outcome outcome = Feed(stops, words);
    ASSERT_EQ(outcome.text, expected);
    ASSERT_EQ(outcome.has_stopped, has_stopped);
    ASSERT_EQ(outcome.read, read);
    std::string joined;
    for (const std::string& word : outcome.words) joined += word;
    ASSERT_EQ(joined.substr(0, expected.size()), expected);
    if (!has_stopped) {
      ASSERT_EQ(outcome.words, words);
    }
  }
}

}  // namespace
}  // namespace lmserve
