// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_SELF_TEST_H_
#define LMSERVE_MODEL_STORE_SELF_TEST_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "lm/v1/manifest.pb.h"
#include "models/any_model.h"
#include "models/model_files.h"

namespace lmserve {

// The most that a self-test may ask of a server. Words are those of texts and
// of sources.
inline constexpr int kMaxSelfTestCases = 100;
inline constexpr int kMaxSelfTestWordsPerText = 1'000;
inline constexpr int kMaxSelfTestWords = 10'000;

// Returns a self-test: texts with the log-probabilities that the model gives
// their words and, unless it is bidirectional, </s>. Of a tagger, these are the
// log-probabilities of the labels that it gives the words; of a classifier,
// those of all labels. Loading a version ends with its self-test, and a model
// that computes other numbers is not served.
// For a translation model, texts[i] is a translation of sources[i], or of an
// empty text if there are fewer sources.
lm::v1::SelfTest MakeSelfTest(const AnyModel& model,
                              absl::Span<const std::string> texts,
                              absl::Span<const std::string> sources = {});

// The tolerance for models that every processor computes alike, but for the
// order of sums.
inline constexpr float kSelfTestTolerance = 1e-4f;

// Returns the tolerance for the model of these files: 0.01 if it has bf16 or
// int8 weights, whose products processors with other instructions round
// differently. REQUIRES: CreateModel() accepts the files.
float SelfTestTolerance(const ModelFiles& files);

// Scores the texts of a self-test again. DATA_LOSS, naming the text and the
// word, if a number differs by more than the tolerance, or if the self-test has
// no texts or more than the limits allow. Calls `check` before each text, and
// ends with its error if it fails.
absl::Status RunSelfTest(
    const AnyModel& model, const lm::v1::SelfTest& self_test,
    float tolerance = kSelfTestTolerance,
    absl::FunctionRef<absl::Status()> check = [] { return absl::OkStatus(); });

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_SELF_TEST_H_
