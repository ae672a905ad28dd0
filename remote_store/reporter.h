// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_REPORTER_H_
#define LMSERVE_REMOTE_STORE_REPORTER_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model_store/status_context.h"

namespace lmserve {

// Where work on a store tells what it does. Work on several versions goes on
// after a problem with one of them, so there can be several problems.
struct Reporter {
  // Something was changed, such as "pulled en@3".
  std::function<void(absl::string_view)> done;
  // Something could not be done; the message names model and version.
  std::function<void(const absl::Status&)> problem;
};

// Reports the problems of one operation and keeps the first of them.
class Problems {
 public:
  // The reporter must live longer.
  explicit Problems(const Reporter* reporter) : reporter_(*reporter) {}

  // `what` is where the problem is, such as "en@3".
  void Add(absl::string_view what, const absl::Status& status) {
    const absl::Status problem = WithContext(what, status);
    first_.Update(problem);
    reporter_.problem(problem);
  }

  // OK if there was none.
  const absl::Status& first() const { return first_; }

 private:
  const Reporter& reporter_;
  absl::Status first_;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_REPORTER_H_
