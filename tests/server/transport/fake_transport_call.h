// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_TRANSPORT_FAKE_TRANSPORT_CALL_H_
#define LMSERVE_TESTS_SERVER_TRANSPORT_FAKE_TRANSPORT_CALL_H_

#include <atomic>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// A call without a transport. Tests set its properties.
class FakeTransportCall final : public TransportCall {
 public:
  explicit FakeTransportCall(std::string client = "somebody",
                             std::string authorization = "")
      : client_(std::move(client)), authorization_(std::move(authorization)) {}

  std::string client() const override { return client_; }
  absl::string_view authorization() const override { return authorization_; }
  bool IsCancelled() const override { return cancellations_ > 0; }
  void Cancel() const override {
    ++cancellations_;
    if (on_cancel) on_cancel();
  }

  // How often Cancel() was called. Thread-safe.
  int cancellations() const { return cancellations_; }

  // Called by Cancel(), on its thread.
  std::function<void()> on_cancel;

 private:
  const std::string client_;
  const std::string authorization_;
  mutable std::atomic<int> cancellations_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_TRANSPORT_FAKE_TRANSPORT_CALL_H_
