// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MODEL_FACTORY_H_
#define LMSERVE_MODELS_MODEL_FACTORY_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/any_model.h"
#include "models/model_family.h"
#include "models/model_files.h"

namespace lmserve {

// Whether a model uses the memory of the file of this name in place. The memory
// of other files may be freed after CreateModel().
bool IsReadInPlace(absl::string_view file);

// Whether a model has weights of bf16 or int8, or a state with such numbers,
// itself or in a member. REQUIRES: CreateModel() accepts the files.
bool HasReducedWeights(const ModelFiles& files);

// Creates a model from its files. The family selects the class and thereby the
// kind of the AnyModel. The files are not trusted: every size and offset in
// them is checked. Returns NOT_FOUND for an unknown family, and
// INVALID_ARGUMENT, naming the file, for a missing or broken file.
//
// The memory of the files for which IsReadInPlace() is true must outlive the
// model. `depth` is 1, or for a member of another model one more than the depth
// of that model. Thread-safe.
absl::StatusOr<AnyModel> CreateModel(absl::string_view family,
                                     const ModelFiles& files, int depth = 1);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MODEL_FACTORY_H_
