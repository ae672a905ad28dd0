// SPDX-License-Identifier: Apache-2.0
//
// Compiled instead of neural_families.cc and of all networks if LMSERVE_NEURAL
// is off.

#include "absl/status/status.h"
#include "models/model_family.h"

namespace lmserve {
namespace {

absl::StatusOr<AnyModel> Refuse(const ModelFiles& /*files*/, int /*depth*/) {
  return absl::UnimplementedError(
      "this build of lmserve has no neural networks (LMSERVE_NEURAL is OFF)");
}

constexpr ModelFamily kNeuralFamilies[] = {
    {kRecurrentFamily, Refuse}, {kBidirectionalFamily, Refuse},
    {kWindowFamily, Refuse},    {kTranslationFamily, Refuse},
    {kTaggerFamily, Refuse},    {kClassifierFamily, Refuse},
};

}  // namespace

absl::Span<const ModelFamily> NeuralFamilies() { return kNeuralFamilies; }

}  // namespace lmserve
