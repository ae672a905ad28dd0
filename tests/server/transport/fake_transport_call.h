// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_TRANSPORT_FAKE_TRANSPORT_CALL_H_
#define LMSERVE_TESTS_SERVER_TRANSPORT_FAKE_TRANSPORT_CALL_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// A call without a transport. Tests set its properties.
class FakeTransportCall final : public TransportCall {
 public:
  explicit FakeTransportCall(std::string client = "somebody",
                             const std::string& authorization = "")
      : client_(std::move(client)) {
    if (!authorization.empty()) headers["authorization"] = authorization;
  }

  std::string client() const override { return client_; }
  absl::string_view Header(absl::string_view name) const override {
    const auto found = headers.find(std::string(name));
    return found == headers.end() ? "" : absl::string_view(found->second);
  }
  bool IsCancelled() const override { return cancellations_ > 0; }

  // How often Cancel() was called. Thread-safe.
  int cancellations() const { return cancellations_; }

  // Called by Cancel(), on its thread.
  std::function<void()> on_cancel;

  // By their names.
  std::map<std::string, std::string> headers;

 private:
  void DoCancel() const override {
    ++cancellations_;
    if (on_cancel) on_cancel();
  }

  const std::string client_;
  mutable std::atomic<int> cancellations_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_TRANSPORT_FAKE_TRANSPORT_CALL_H_
