// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_EXCHANGE_H_
#define LMSERVE_SERVER_TRANSPORT_EXCHANGE_H_

#include <google/protobuf/arena.h>

#include "server/admission/budget.h"
#include "server/transport/request_reader.h"

namespace lmserve {

// A request and its response, in one arena. The request's memory counts against
// a budget.
template <typename Request, typename Response>
class Exchange {
 public:
  explicit Exchange(Budget& request_bytes)
      : reader_(request_bytes), arena_(Options(block_, sizeof(block_))) {
    request_ = google::protobuf::Arena::CreateMessage<Request>(&arena_);
    response_ = google::protobuf::Arena::CreateMessage<Response>(&arena_);
  }

  // With these a transport reads the request.
  RequestReader& reader() { return reader_; }
  Request* mutable_request() { return request_; }

  const Request& request() const { return *request_; }
  Response* response() { return response_; }

 private:
  static google::protobuf::ArenaOptions Options(char* block, size_t size) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block;
    options.initial_block_size = size;
    return options;
  }

  // Enough for the request and the response of a short text.
  static constexpr size_t kBlock = 640;

  RequestReader reader_;
  alignas(8) char block_[kBlock];
  google::protobuf::Arena arena_;
  Request* request_;
  Response* response_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_EXCHANGE_H_
