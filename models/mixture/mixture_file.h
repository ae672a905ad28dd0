// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MIXTURE_MIXTURE_FILE_H_
#define LMSERVE_MODELS_MIXTURE_MIXTURE_FILE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/model_files.h"

namespace lmserve {

// The files of a mixture are mixture.json, vocabulary.txt, and the files of
// each member i under the names i.FILE. See model_store/FORMAT.md. All
// functions here are thread-safe.

inline constexpr absl::string_view kMixtureFile = "mixture.json";

// The entry of one member in mixture.json.
struct MixtureEntry {
  std::string family;
  double weight = 0;
  std::string name;  // origin, for people to read: "en@3"
};

// Returns the contents of mixture.json.
std::string MakeMixtureFile(absl::Span<const MixtureEntry> members);

// Parses the contents of mixture.json, which are not trusted. Returns
// INVALID_ARGUMENT, naming the member and the key, unless there are 1 to 64
// members, each with a family, a weight and a name.
absl::StatusOr<std::vector<MixtureEntry>> ParseMixtureFile(
    absl::string_view json);

// Creates a mixture from its files; errors and ownership are those of
// CreateModel(). A member may be a mixture itself; `depth` is that of the
// mixture (see member_files.h).
absl::StatusOr<std::unique_ptr<LanguageModel>> CreateMixture(
    const ModelFiles& files, int depth);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MIXTURE_FILE_H_
