// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_CALL_STARTER_H_
#define LMSERVE_CLIENT_CALL_STARTER_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <string>

#include "client/client.h"
#include "client/retry.h"

namespace lmserve {

// Starts calls with the deadline, the token, the priority and the metadata that
// the options of the client and of the call say. Does not own the options of
// the client and the channel, which must outlive it. Immutable.
class CallStarter {
 public:
  CallStarter(const ClientOptions& options, grpc::Channel* channel);

  // The options of a call. `limit` is its time limit if `call` has none; 0 is
  // no limit.
  struct Prepared {
    const CallOptions& call;
    Retry::Clock::time_point deadline;
  };
  static Prepared Prepare(const CallOptions& call,
                          std::chrono::milliseconds limit);

  // Sets up the context of one attempt.
  void Begin(const Prepared& prepared, grpc::ClientContext* context) const;

  // The attempts of a call until its deadline. A stream without one is tried to
  // be opened for the time that unary calls have.
  Retry Attempts(Retry::Clock::time_point deadline) const;

 private:
  const ClientOptions& options_;
  const std::string authorization_;
  grpc::Channel* const channel_;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_CALL_STARTER_H_
