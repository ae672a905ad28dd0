// SPDX-License-Identifier: Apache-2.0
#include "server/admission/budget.h"

#include "absl/strings/str_cat.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// After this time other calls may have ended.
constexpr absl::Duration kRetryDelay = absl::Seconds(1);

}  // namespace

absl::Status Budget::Reservation::Resize(absl::string_view field,
                                         uint64_t amount) {
  absl::Status status = CheckLimit(field, amount, budget_.limit_);
  if (!status.ok()) return status;
  uint64_t taken = budget_.taken_;
  uint64_t others;
  do {
    others = taken - amount_;
    if (amount > amount_ && others + amount > budget_.limit_) {
      return ResourceExhausted(
          absl::StrCat(field, ": ", amount, " requested, ", others, " of ",
                       budget_.limit_, " used by other calls"),
          kRetryDelay);
    }
  } while (!budget_.taken_.compare_exchange_weak(taken, others + amount));
  amount_ = amount;
  return absl::OkStatus();
}

}  // namespace lmserve
