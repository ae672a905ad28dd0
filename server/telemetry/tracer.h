// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_TRACER_H_
#define LMSERVE_SERVER_TELEMETRY_TRACER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_version.h"
#include "server/call/call_trace.h"
#include "server/telemetry/span.h"
#include "server/telemetry/span_exporter.h"

namespace lmserve {

// A call that is traced, from its beginning to its end. For one thread at a
// time.
class TracedCall {
 public:
  // `parent_id` is that of the client's span, or 0.
  TracedCall(const TraceId& trace_id, uint64_t parent_id);

  const TraceId& trace_id() const { return span_.trace_id; }
  uint64_t span_id() const { return span_.span_id; }

  // Sets the header tracestate of the client. Ignores one of another form.
  void SetTraceState(absl::string_view text);

  // Where the parts of the call are written down.
  CallTrace* parts() { return &parts_; }

  // What is known at the end of a call.
  struct End {
    absl::string_view
        name;  // of the span, such as "lm.v1.ModelService/GetModel"
    absl::string_view model;       // printable; empty: not known
    uint64_t version;              // 0: not known
    absl::string_view request_id;  // visible ASCII; empty: none
    const absl::Status& status;
    // Over HTTP; an empty method: over gRPC.
    absl::string_view http_method;
    absl::string_view http_path;
    int http_code;
  };

  // Returns the span of the call, which ends now, and after it those of its
  // parts. To be called once.
  std::vector<Span> Finish(const End& end);

 private:
  // Converts by the time of the beginning, so that a change of the wall clock
  // moves no part out of its call.
  Span::Time WallTime(CallTrace::Clock::time_point time) const;
  Span MakePart(const CallTrace::Part& part) const;

  const CallTrace::Clock::time_point start_ = CallTrace::Clock::now();
  Span span_;
  CallTrace parts_;
};

// Decides which calls are traced and hands their spans to an exporter.
// Thread-safe, except for Stop().
class Tracer {
 public:
  // Of the calls whose client does not say whether it traces them, a share of
  // `ratio`, from 0 to 1, is traced.
  Tracer(double ratio, std::unique_ptr<SpanExporter> exporter);

  // Begins the trace of a call with a header traceparent, or an empty string.
  // With a valid one, the call is a part of the client's trace, and is traced
  // if the client's flag says so; otherwise it has a new trace, and is traced
  // if its random id says so. Returns null if the call is not traced.
  std::unique_ptr<TracedCall> Begin(absl::string_view trace_parent) const;

  // Exports the spans of a call that ends now.
  void End(TracedCall& call, const TracedCall::End& end) const {
    exporter_->Add(call.Finish(end));
  }

  // Exports a span, with a trace of its own, of the loading of a version, which
  // ends now.
  void OnLoaded(absl::string_view name, uint64_t version, Span::Time start,
                const absl::StatusOr<ModelHandle>& loaded) const;

  SpanExporter::Counts counts() const { return exporter_->counts(); }

  // As SpanExporter::Stop().
  void Stop(std::chrono::milliseconds patience) { exporter_->Stop(patience); }

 private:
  const double ratio_;
  const std::unique_ptr<SpanExporter> exporter_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_TRACER_H_
