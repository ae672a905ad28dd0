// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_CONTEXT_H_
#define LMSERVE_SERVER_HTTP_HTTP_CONTEXT_H_

#include <cstddef>
#include <cstdint>

#include "server/call/task.h"
#include "server/http/http_policy.h"
#include "server/http/http_stream.h"
#include "server/http/json_format.h"
#include "server/http/work_pool.h"
#include "server/transport/call_interceptor.h"

namespace lmserve {

// What every answer over HTTP needs. Owns nothing. Thread-safe.
struct HttpContext {
  const CallInterceptor& interceptor;
  const HttpPolicy& policy;
  const JsonFormat& json;
  WorkPool& pool;
  uint64_t message_bytes;  // the longest request
};

// Continues on a thread that may convert this many bytes of JSON: the one of
// the connection, or one of the pool if it takes longer than others should
// wait. Returns true.
inline Task<bool> EnterThreadFor(const HttpContext& context, HttpStream& stream,
                                 size_t bytes) {
  constexpr size_t kShort = 16 << 10;
  if (bytes > kShort) {
    co_await context.pool.Enter();
  } else {
    co_await stream.Enter();
  }
  co_return true;
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_CONTEXT_H_
