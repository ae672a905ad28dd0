// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_TRANSPORT_CALL_H_
#define LMSERVE_SERVER_TRANSPORT_TRANSPORT_CALL_H_

#include <atomic>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/call/call.h"

namespace lmserve {

// Why the server itself ended a call.
enum class CancelReason { kNone, kStalled, kRevoked };

// The headers by which a client, a proxy and a trace recognize a call. The
// server writes them into the log and returns them to the client.
inline constexpr char kRequestIdHeader[] = "x-request-id";
inline constexpr char kTraceParentHeader[] = "traceparent";
inline constexpr char kTraceStateHeader[] = "tracestate";

// Whether a value of x-request-id is 1 to 128 visible ASCII characters.
bool IsRequestId(absl::string_view id);

// Returns what counts as one client of an address as client() returns it: the
// address or, because a host of IPv6 has at least the addresses of 64 bits,
// those 64 bits.
std::string GroupOfClient(absl::string_view address);

// A call as its transport knows it: what the call limiter, the authenticator,
// the log and the write watchdog need from gRPC or HTTP. Implementations look
// up what they return only when they are asked, because most calls do not need
// all of it.
class TransportCall : public Call {
 public:
  using Call::Call;

  // The address of the client, without its port.
  virtual std::string client() const = 0;

  // GroupOfClient() of the address. Looked up by the first call.
  const std::string& client_group() const final;

  // The value of a header, by its name in lower case, or an empty string if the
  // call has none. If the call has several, any of them. Valid as long as the
  // call.
  virtual absl::string_view Header(absl::string_view name) const = 0;

  // The value of a header, or the values of all headers of this name, with
  // commas between them, as HTTP defines it.
  virtual std::string JoinedHeader(absl::string_view name) const {
    return std::string(Header(name));
  }

  // What a trace says of a call over HTTP.
  struct HttpRequestLine {
    absl::string_view
        method;              // such as "GET"; empty: the call is not over HTTP
    absl::string_view path;  // without the query
    int code;                // of the response to `status`
  };
  virtual HttpRequestLine http_request_line(
      const absl::Status& /*status*/) const {
    return {};
  }

  absl::string_view authorization() const { return Header("authorization"); }

  // The header x-request-id, or an empty string if it is no IsRequestId().
  absl::string_view request_id() const;

  // The header traceparent, or an empty string if ParseTraceParent() rejects
  // it.
  absl::string_view trace_parent() const;

  // Ends the call with CANCELLED. Has no effect on a call that has ended. Any
  // thread may call this while another one uses the call. It may run the end of
  // the call, and so destroy this object, before it returns.
  void Cancel(CancelReason reason) const {
    cancel_reason_ = reason;
    DoCancel();
  }

  // The reason of the last Cancel(). Thread-safe.
  CancelReason cancel_reason() const { return cancel_reason_; }

 private:
  virtual void DoCancel() const = 0;

  mutable std::atomic<CancelReason> cancel_reason_ = CancelReason::kNone;
  mutable std::optional<std::string> client_group_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_TRANSPORT_CALL_H_
