// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_CHANNEL_H_
#define LMSERVE_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>

#include "client/client.h"

namespace lmserve {

// Creates a channel to the servers of the options, with their credentials,
// limits of messages and load balancing. It connects when it is first used.
std::shared_ptr<grpc::Channel> CreateChannel(const ClientOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_CHANNEL_H_
