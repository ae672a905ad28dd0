// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_SPAN_H_
#define LMSERVE_SERVER_TELEMETRY_SPAN_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/telemetry/trace_context.h"

namespace lmserve {

// Something that has happened, as a part of a trace. A plain value. All strings
// are valid UTF-8.
struct Span {
  using Time = std::chrono::system_clock::time_point;
  using Value = std::variant<std::string, int64_t>;

  TraceId trace_id;
  uint64_t span_id;        // not 0
  uint64_t parent_id = 0;  // 0: it is the root of the trace
  bool has_remote_parent = false;
  bool is_server = false;        // answers a client; otherwise, work inside
  std::string trace_state = {};  // as the client has sent it
  std::string name;
  Time start = {};
  Time end = {};
  std::vector<std::pair<std::string, Value>> attributes = {};
  bool is_error = false;
  std::string error = {};  // what has failed
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_SPAN_H_
