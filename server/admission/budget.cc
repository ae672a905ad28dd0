#include "server/admission/budget.h"

#include "absl/strings/str_cat.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// When what others have may be free again.
constexpr absl::Duration kWait = absl::Seconds(1);

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
          absl::StrCat(field, ": ", amount, ", other calls have ", others,
                       ", the limit of all is ", budget_.limit_),
          kWait);
    }
  } while (!budget_.taken_.compare_exchange_weak(taken, others + amount));
  amount_ = amount;
  return absl::OkStatus();
}

}  // namespace lmserve
