// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/vocabulary_listing.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using lm::v1::GetVocabularyRequest;
using lm::v1::GetVocabularyResponse;

// Returns all messages about the vocabulary of a model.
std::vector<GetVocabularyResponse> List(const ModelStore& store,
                                        const std::string& model) {
  const Limits limits;
  const TestServing serving(store, limits);
  Call call;
  GetVocabularyRequest request;
  request.set_model(model);
  VocabularyListing listing =
      VocabularyListing::Start(*serving, call, request).value();
  std::vector<GetVocabularyResponse> messages(1);
  while (listing.Next(&messages.back())) messages.emplace_back();
  messages.pop_back();
  return messages;
}

TEST(VocabularyListingTest, HasTheWordsInTheOrderOfTheirIds) {
  const SmallStore files;
  const auto store = files.Open();
  const std::vector<GetVocabularyResponse> messages = List(*store, "flat");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].model().name(), "flat");
  EXPECT_EQ(messages[0].model().version(), 1u);
  EXPECT_NE(messages[0].vocabulary_key(), 0u);
  EXPECT_EQ(messages[0].vocabulary_size(), 7u);
  EXPECT_THAT(messages[0].words(),
              testing::ElementsAre("<unk>", "<s>", "</s>", "the", "cat", "twin",
                                   "never"));
}

TEST(VocabularyListingTest, ALongVocabularyHasSeveralMessages) {
  constexpr int kWords = 20'000;
  std::string arpa = absl::StrCat("\\data\\\nngram 1=", kWords + 3,
                                  "\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n"
                                  "-1\t</s>\n");
  for (int i = 0; i < kWords; ++i) {
    absl::StrAppend(&arpa, "-5\tword", i, "\n");
  }
  absl::StrAppend(&arpa, "\n\\end\\\n");
  const SmallStore files;
  PublishArpa(files.path(), "long", arpa);
  const auto store = files.Open();
  GetVocabularyResponse all;
  const std::vector<GetVocabularyResponse> messages = List(*store, "long");
  EXPECT_GT(messages.size(), 2u);
  for (const GetVocabularyResponse& message : messages) {
    EXPECT_LT(message.ByteSizeLong(), 100'000u);
    EXPECT_EQ(message.has_model(), &message == &messages[0]);
    all.MergeFrom(message);
  }
  const ModelHandle handle = store->Get("long").value();
  const Vocabulary& vocabulary = handle->model().vocabulary();
  ASSERT_EQ(all.words_size(), static_cast<int>(vocabulary.size()));
  EXPECT_EQ(all.vocabulary_size(), vocabulary.size());
  for (WordId id = 0; id < vocabulary.size(); ++id) {
    EXPECT_EQ(all.words(static_cast<int>(id)), vocabulary.word(id));
  }
}

}  // namespace
}  // namespace lmserve
