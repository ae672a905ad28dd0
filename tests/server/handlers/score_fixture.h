// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HANDLERS_SCORE_FIXTURE_H_
#define LMSERVE_TESTS_SERVER_HANDLERS_SCORE_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {

inline constexpr char kScoreFixtureText[] = "the cat is small\na dog barks\n";

// Scores texts with models of every kind.
class ScoreFixture : public testing::TestWithParam<const char*> {
 protected:
  ScoreFixture() {
    PublishTinyModel(directory_.path(), "tiny");
    PublishArpa(directory_.path(), "flat", FlatArpa());
    PublishRecurrentModel(directory_.path(), "lstm", kScoreFixtureText);
    PublishBidirectionalModel(directory_.path(), "both", kScoreFixtureText);
    PublishTranslationModel(directory_.path(), "de-en", "katze hund\n",
                            kScoreFixtureText);
    store_ = ModelStore::Open(directory_.path()).value();
  }

  // A request for these texts, with sources if the model translates.
  lm::v1::ScoreRequest Request(const std::string& model,
                               const std::vector<std::string>& texts) const {
    lm::v1::ScoreRequest request;
    request.set_model(model);
    for (const std::string& text : texts) request.add_texts()->set_text(text);
    if (model == "de-en") {
      for (size_t i = 0; i < texts.size(); ++i) {
        request.add_sources()->set_text(i % 2 == 0 ? "katze" : "hund katze");
      }
    }
    return request;
  }

  absl::StatusOr<lm::v1::ScoreResponse> TryScore(
      const lm::v1::ScoreRequest& request) const {
    lm::v1::ScoreResponse response;
    absl::Status status =
        TestServing(*store_, limits_).Answer(HandleScore, request, &response);
    if (!status.ok()) return status;
    return response;
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<ModelStore> store_;
  Limits limits_;
};

// Two n-gram models, a recurrent, a bidirectional and a translation model.
inline const auto kModelsOfEveryKind =
    testing::Values("tiny", "flat", "lstm", "both", "de-en");

inline std::string NameOfModel(
    const testing::TestParamInfo<const char*>& info) {
  return info.param == std::string("de-en") ? "translation" : info.param;
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HANDLERS_SCORE_FIXTURE_H_
