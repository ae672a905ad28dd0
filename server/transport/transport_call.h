// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_TRANSPORT_CALL_H_
#define LMSERVE_SERVER_TRANSPORT_TRANSPORT_CALL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/call/call.h"

namespace lmserve {

// A call as its transport knows it: what the call limiter, the authenticator,
// the log and the write watchdog need from gRPC or HTTP. Implementations look
// up what they return only when they are asked, because most calls do not need
// all of it.
class TransportCall : public Call {
 public:
  using Call::Call;

  // The address of the client, without its port.
  virtual std::string client() const = 0;

  // The value of the header `authorization`, or an empty string if the call
  // has none. Valid as long as the call.
  virtual absl::string_view authorization() const = 0;

  // Ends the call with CANCELLED. Has no effect on a call that has ended. Any
  // thread may call this while another one uses the call. It may run the end of
  // the call, and so destroy this object, before it returns.
  virtual void Cancel() const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_TRANSPORT_CALL_H_
