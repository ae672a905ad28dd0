// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/candidate_risk.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reranking/bayes_risk.h"
#include "tests/server/handlers/rerank_fixture.h"

namespace lmserve {
namespace {

using lm::v1::RankedCandidate;
using lm::v1::RerankRequest;
using lm::v1::RerankResponse;
using testing::ElementsAre;

using CandidateRiskTest = RerankTest;

TEST_F(CandidateRiskTest, ByTheMinimumBayesRisk) {
  const RerankResponse response = Rerank(
      "models: 'flat' weights { key: 'flat.words' value: 0 } "
      "minimum_bayes_risk { utility: UTILITY_CHRF } "
      "candidates { text { text: 'cat' } } "
      "candidates { text { words { words: 'the' words: 'twin' } } } "
      "candidates { text { text: 'the twins' } } ");
  // All are equally probable. Two are similar; the longer one contains more of
  // the other.
  EXPECT_THAT(Order(response), ElementsAre(2, 1, 0));
  const std::vector<double> expected = ExpectedUtilities(
      {"cat", "the twin", "the twins"}, {0, 0, 0}, 1, Utility::kChrf);
  for (const RankedCandidate& candidate : response.candidates()) {
    EXPECT_EQ(candidate.score(), 0);
    EXPECT_THAT(candidate.expected_utility(),
                IsNear(expected[candidate.index()]));
  }
}

// Comparing this many candidates takes several batches.
TEST_F(CandidateRiskTest, UtilitiesOfManyCandidates) {
  std::vector<std::string> texts;
  std::string request = "models: 'tiny' minimum_bayes_risk {} ";
  for (int i = 0; i < 200; ++i) {
    std::string& text = texts.emplace_back();
    for (int j = 0; j < 25; ++j) absl::StrAppend(&text, i * j, " ");
    absl::StrAppend(&request, "candidates { text { text: '", text, "' } } ");
  }
  const RerankResponse response =
      Rerank(absl::StrCat(request, "weights { key: 'tiny' value: 0 }"));
  const std::vector<double> expected = ExpectedUtilities(
      texts, std::vector<double>(texts.size()), 1, Utility::kBleu);
  ASSERT_EQ(response.candidates_size(), 200);
  for (const RankedCandidate& candidate : response.candidates()) {
    EXPECT_EQ(candidate.expected_utility(), expected[candidate.index()]);
  }
}

TEST_F(CandidateRiskTest, TheMemoryComesFromTheBudgetOfStates) {
  limits_.all_state_bytes = 1000;
  serving_.emplace(*store_, limits_);
  const absl::Status status =
      Try(absl::StrCat("models: 'tiny' ", kTwo, "minimum_bayes_risk {} "))
          .status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("minimum_bayes_risk: bytes in memory: "));
  EXPECT_EQ(serving_->budgets().state_bytes.taken(), 0u);
}

// Ids are compared as the words of the first model.
TEST_F(CandidateRiskTest, IdsAreComparedAsWords) {
  const std::string flat = "models: 'flat' minimum_bayes_risk {} ";
  const RerankResponse words =
      Rerank(flat +
             "candidates { text { text: 'the cat' } } "
             "candidates { text { text: 'the twin' } }");
  const RerankResponse ids =
      Rerank(flat +
             "candidates { text { ids { ids: 3 ids: 4 } } } "
             "candidates { text { text: 'the twin' } }");
  EXPECT_GT(words.candidates(0).expected_utility(), 0);
  EXPECT_EQ(ids.candidates(0).expected_utility(),
            words.candidates(0).expected_utility());
}

TEST_F(CandidateRiskTest, TheComparisonsHaveALimit) {
  limits_.bytes_compared = uint64_t{2} * 12;
  const std::string request =
      absl::StrCat("models: 'tiny' ", kTwo, "minimum_bayes_risk {} ");
  EXPECT_TRUE(Try(request).ok());  // "a dog" and "the cat"
  limits_.bytes_compared = 23;
  const absl::Status status = Try(request).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(
      status.message(),
      "minimum_bayes_risk: candidates times their bytes: expected at most "
      "23, found 24");
}

TEST_F(CandidateRiskTest, TheBytesHaveALimit) {
  limits_.bytes_compared = uint64_t{1} << 40;
  RerankRequest request =
      Parse<RerankRequest>("models: 'tiny' minimum_bayes_risk {}");
  request.add_candidates()->mutable_text()->set_text(std::string(300'000, 'x'));
  RerankResponse response;
  const absl::Status status =
      serving_->Answer(HandleRerank, request, &response);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace lmserve
