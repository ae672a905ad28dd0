#include "models/neural/translation_weights.h"

#include "absl/strings/str_cat.h"

namespace lmserve {

std::string BridgeTensor(absl::string_view what, absl::string_view state,
                         size_t layer) {
  return absl::StrCat("bridge.", what, "_", state, "_l", layer);
}

}  // namespace lmserve
