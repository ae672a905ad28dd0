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

// A mixture as files: mixture.json, the vocabulary, and the files of member i
// under the names i.FILE. model_store/FORMAT.md has the details.

inline constexpr absl::string_view kMixtureFile = "mixture.json";

// What mixture.json says of a member.
struct MixtureEntry {
  std::string family;
  double weight = 0;
  std::string name;  // where it came from, for people: "en@3"
};

// The bytes of mixture.json.
std::string MakeMixtureFile(absl::Span<const MixtureEntry> members);

// Reads them, trusting nothing. INVALID_ARGUMENT, naming the member and the
// key, where they are not 1 to 64 members with a family and a weight each.
absl::StatusOr<std::vector<MixtureEntry>> ParseMixtureFile(
    absl::string_view json);

// The name of a member's file among the files of the mixture: "0.ngram.bin".
std::string MemberFileName(size_t member, absl::string_view file);

// Makes a mixture; for the rest as CreateModel(). A member may be a mixture,
// too, but not more than four may stand one in the other.
absl::StatusOr<std::unique_ptr<LanguageModel>> CreateMixture(
    const ModelFiles& files);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MIXTURE_FILE_H_
