// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_REQUEST_READER_H_
#define LMSERVE_SERVER_TRANSPORT_REQUEST_READER_H_

#include <google/protobuf/message.h>

#include <cstdint>

#include "absl/status/status.h"
#include "server/admission/budget.h"
#include "server/transport/wire_format.h"

namespace lmserve {

// Parses one request within the budget of request bytes. Every RPC reads its
// requests with it. For one thread at a time; the budget must outlive it.
class RequestReader {
 public:
  explicit RequestReader(Budget& request_bytes) : reservation_(request_bytes) {}

  // Reserves this many bytes, instead of what is reserved so far, for a request
  // that is not in the wire format yet. Returns RESOURCE_EXHAUSTED if the
  // budget has not enough left.
  absl::Status Reserve(uint64_t bytes) {
    return reservation_.Resize("request bytes", bytes);
  }

  // Reserves the memory that the request needs and parses it. The reservation
  // lasts as long as the reader. Returns RESOURCE_EXHAUSTED, before it
  // allocates anything, if the budget has not enough left, and INVALID_ARGUMENT
  // if the bytes are not a request of this type.
  absl::Status Read(Pieces bytes, google::protobuf::Message* request);

 private:
  Budget::Reservation reservation_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_REQUEST_READER_H_
