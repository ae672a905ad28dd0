// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HANDLERS_RERANK_FIXTURE_H_
#define LMSERVE_TESTS_SERVER_HANDLERS_RERANK_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"
#include "server/handlers/rerank.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"

namespace lmserve {

// Two candidates without features of their own.
inline constexpr char kTwo[] =
    "candidates { text { text: 'a dog' } } "
    "candidates { text { text: 'the cat' } } ";

// Answers rerank requests, as text protos, by the models of a SmallStore.
class RerankTest : public testing::Test {
 protected:
  RerankTest() { serving_.emplace(*store_, limits_); }

  absl::StatusOr<lm::v1::RerankResponse> Try(const std::string& request) {
    lm::v1::RerankResponse response;
    const absl::Status status = serving_->Answer(
        HandleRerank, Parse<lm::v1::RerankRequest>(request), &response);
    if (!status.ok()) return status;
    return response;
  }

  lm::v1::RerankResponse Rerank(const std::string& request) {
    return Try(request).value();
  }

  // The indexes of the candidates, the best first.
  static std::vector<int> Order(const lm::v1::RerankResponse& response) {
    std::vector<int> order;
    for (const lm::v1::RankedCandidate& candidate : response.candidates()) {
      order.push_back(candidate.index());
    }
    return order;
  }

  const SmallStore files_;
  std::unique_ptr<const ModelStore> store_ = files_.Open();
  Limits limits_;
  std::optional<TestServing> serving_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HANDLERS_RERANK_FIXTURE_H_
