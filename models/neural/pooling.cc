// SPDX-License-Identifier: Apache-2.0
#include "models/neural/pooling.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/printable_text.h"

namespace lmserve {

absl::string_view PoolingName(Pooling pooling) {
  switch (pooling) {
    case Pooling::kMax:
      return "max";
    case Pooling::kMean:
      return "mean";
    case Pooling::kLast:
      break;
  }
  return "last";
}

absl::StatusOr<Pooling> ParsePooling(absl::string_view name) {
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    if (name == PoolingName(pooling)) return pooling;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "pooling: expected max, mean or last, found '", Printable(name), "'"));
}

}  // namespace lmserve
