// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_TRACE_CONTEXT_H_
#define LMSERVE_SERVER_TELEMETRY_TRACE_CONTEXT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// The 16 bytes that identify a trace, as big-endian numbers. A valid one is not
// all zeros.
struct TraceId {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const TraceId& other) const = default;
};

// What a caller says of its trace in the header traceparent.
struct TraceParent {
  TraceId trace_id;
  uint64_t span_id;  // the caller's, as a big-endian number; not 0
  bool is_sampled;   // the caller records its own part of the trace
};

// Parses a value of traceparent by W3C Trace Context
// (https://www.w3.org/TR/trace-context/): of version 00 exactly, of a later
// version the parts of version 00 and anything visible after another hyphen.
// Returns nullopt, and the receiver begins a new trace, if it has another form,
// the version ff, an id of zeros, or more than 128 bytes.
std::optional<TraceParent> ParseTraceParent(absl::string_view text);

// Whether a value of tracestate has the form of W3C Trace Context, with at most
// 32 members and at most 512 bytes. One of another form must not be used.
bool IsTraceState(absl::string_view text);

// Returns the ids in 32 and 16 lower-case hexadecimal digits.
std::string ToHex(const TraceId& id);
std::string ToHex(uint64_t span_id);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_TRACE_CONTEXT_H_
