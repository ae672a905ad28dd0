// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_REQUEST_READER_H_
#define LMSERVE_SERVER_RPC_REQUEST_READER_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "server/admission/budget.h"

namespace lmserve {

// Parses one request within the budget of request bytes. Every RPC reads its
// requests with it. For one thread at a time; the budget must outlive it.
class RequestReader {
 public:
  explicit RequestReader(Budget& request_bytes) : reservation_(request_bytes) {}

  // Reserves the memory that the request needs and parses it. The reservation
  // lasts as long as the reader. Returns RESOURCE_EXHAUSTED, before it
  // allocates anything, if the budget has not enough left;
  // INVALID_ARGUMENT if the bytes are not a request of this type; and CANCELLED
  // if there is no message, because the client abandoned the call before its
  // message was complete.
  absl::Status Read(const grpc::ByteBuffer& bytes,
                    google::protobuf::Message* request);

  // Reduces the reservation to the bytes themselves, which gRPC holds until the
  // call ends. To be called when the parsed request no longer exists.
  void OnRequestFreed(const grpc::ByteBuffer& bytes);

 private:
  Budget::Reservation reservation_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_REQUEST_READER_H_
