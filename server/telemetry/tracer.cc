// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/tracer.h"

#include <cmath>
#include <random>
#include <utility>

#include "models/printable_text.h"

namespace lmserve {
namespace {

constexpr size_t kMaxTextBytes = 256;

uint64_t RandomId() {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device()()} << 32) |
                                      std::random_device()()};
  for (;;) {
    const uint64_t id = random();
    if (id != 0) return id;
  }
}

// Whether a new trace is recorded. Other samplers of OpenTelemetry decide by
// the same bits (TraceIdRatioBased).
bool IsSampled(const TraceId& id, double ratio) {
  return static_cast<double>(id.low >> 1) < std::ldexp(ratio, 63);
}

void AddAttribute(absl::string_view key, absl::string_view value, Span* span) {
  if (value.empty()) return;
  span->attributes.emplace_back(key, Printable(value, kMaxTextBytes));
}

void AddAttribute(absl::string_view key, uint64_t value, Span* span) {
  span->attributes.emplace_back(key, static_cast<int64_t>(value));
}

void AddModel(absl::string_view name, uint64_t version, Span* span) {
  AddAttribute("lmserve.model", name, span);
  if (version != 0) AddAttribute("lmserve.version", version, span);
}

void SetError(const absl::Status& status, Span* span) {
  span->is_error = true;
  span->error = Printable(status.message(), kMaxTextBytes);
}

// Whether an error is the server's. Errors of clients are not errors of the
// span, by the semantic conventions of OpenTelemetry for servers.
bool IsServerError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

absl::string_view PartName(CallTrace::Kind kind) {
  switch (kind) {
    case CallTrace::Kind::kQueue:
      return "queue";
    case CallTrace::Kind::kCompute:
      return "compute";
    case CallTrace::Kind::kLoad:
      return "load";
  }
  return "";
}

}  // namespace

TracedCall::TracedCall(const TraceId& trace_id, uint64_t parent_id)
    : span_{.trace_id = trace_id,
            .span_id = RandomId(),
            .parent_id = parent_id,
            .has_remote_parent = parent_id != 0,
            .is_server = true,
            .name = "",
            .start = std::chrono::system_clock::now()} {}

void TracedCall::SetTraceState(absl::string_view text) {
  if (IsTraceState(text)) span_.trace_state = std::string(text);
}

Span::Time TracedCall::WallTime(CallTrace::Clock::time_point time) const {
  return span_.start +
         std::chrono::duration_cast<Span::Time::duration>(time - start_);
}

Span TracedCall::MakePart(const CallTrace::Part& part) const {
  Span span = {.trace_id = span_.trace_id,
               .span_id = RandomId(),
               .parent_id = span_.span_id,
               .trace_state = span_.trace_state,
               .name = std::string(PartName(part.kind)),
               .start = WallTime(part.start),
               .end = WallTime(part.end)};
  AddModel(part.model, part.version, &span);
  if (part.kind != CallTrace::Kind::kCompute) return span;
  AddAttribute("lmserve.words", part.words, &span);
  if (part.batch_calls == 0) return span;
  AddAttribute("lmserve.batch.calls", part.batch_calls, &span);
  AddAttribute("lmserve.batch.words", part.batch_words, &span);
  return span;
}

std::vector<Span> TracedCall::Finish(const End& end) {
  span_.end = WallTime(CallTrace::Clock::now());
  span_.name = std::string(end.name);
  if (end.http_method.empty()) {
    AddAttribute("rpc.system.name", "grpc", &span_);
    AddAttribute("rpc.method", end.name, &span_);
    AddAttribute("rpc.response.status_code",
                 absl::StatusCodeToString(end.status.code()), &span_);
  } else {
    AddAttribute("http.request.method", end.http_method, &span_);
    AddAttribute("url.path", end.http_path, &span_);
    AddAttribute("http.response.status_code",
                 static_cast<uint64_t>(end.http_code), &span_);
  }
  AddModel(end.model, end.version, &span_);
  if (parts_.words() > 0) AddAttribute("lmserve.words", parts_.words(), &span_);
  AddAttribute("lmserve.request_id", end.request_id, &span_);
  if (parts_.left_out() > 0) {
    AddAttribute("lmserve.parts_left_out", parts_.left_out(), &span_);
  }
  if (IsServerError(end.status)) SetError(end.status, &span_);
  std::vector<Span> spans = {span_};
  for (const CallTrace::Part& part : parts_.parts()) {
    spans.push_back(MakePart(part));
  }
  return spans;
}

Tracer::Tracer(double ratio, std::unique_ptr<SpanExporter> exporter)
    : ratio_(ratio), exporter_(std::move(exporter)) {}

std::unique_ptr<TracedCall> Tracer::Begin(
    absl::string_view trace_parent) const {
  if (const auto parent = ParseTraceParent(trace_parent); parent.has_value()) {
    if (!parent->is_sampled) return nullptr;
    return std::make_unique<TracedCall>(parent->trace_id, parent->span_id);
  }
  const TraceId id = {.high = RandomId(), .low = RandomId()};
  if (!IsSampled(id, ratio_)) return nullptr;
  return std::make_unique<TracedCall>(id, /*parent_id=*/0);
}

void Tracer::OnLoaded(absl::string_view name, uint64_t version,
                      Span::Time start,
                      const absl::StatusOr<ModelHandle>& loaded) const {
  Span span = {.trace_id = {.high = RandomId(), .low = RandomId()},
               .span_id = RandomId(),
               .name = "load",
               .start = start,
               .end = std::max(start, std::chrono::system_clock::now())};
  AddModel(name, version, &span);
  if (loaded.ok()) {
    AddAttribute("lmserve.family", (*loaded)->manifest().family(), &span);
    AddAttribute("lmserve.file_bytes", (*loaded)->file_bytes(), &span);
  } else {
    SetError(loaded.status(), &span);
  }
  exporter_->Add({std::move(span)});
}

}  // namespace lmserve
