// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/otlp_sender.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model_store/mutex.h"
#include "model_store/stored_file.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"

namespace lmserve {
namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;

// The bits of Span.flags: the flag "sampled" of W3C Trace Context, and where
// the parent is.
constexpr uint32_t kSampled = 0x1;
constexpr uint32_t kKnowsWhetherRemote = 0x100;
constexpr uint32_t kIsRemote = 0x200;

std::string BigEndian(uint64_t number) {
  std::string bytes(8, '\0');
  for (size_t i = 8; i-- > 0; number >>= 8) {
    bytes[i] = static_cast<char>(number & 0xff);
  }
  return bytes;
}

uint64_t UnixNanoseconds(Span::Time time) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(
          time.time_since_epoch())
          .count());
}

template <typename Message>
void AddKeyValue(const std::string& key, const Span::Value& value,
                 Message* message) {
  otlp::KeyValue* attribute = message->add_attributes();
  attribute->set_key(key);
  if (const auto* text = std::get_if<std::string>(&value)) {
    attribute->mutable_value()->set_string_value(*text);
  } else {
    attribute->mutable_value()->set_int_value(std::get<int64_t>(value));
  }
}

void SetSpan(const Span& span, otlp::Span* message) {
  message->set_trace_id(absl::StrCat(BigEndian(span.trace_id.high),
                                     BigEndian(span.trace_id.low)));
  message->set_span_id(BigEndian(span.span_id));
  message->set_trace_state(span.trace_state);
  if (span.parent_id != 0) {
    message->set_parent_span_id(BigEndian(span.parent_id));
  }
  message->set_name(span.name);
  message->set_kind(span.is_server ? otlp::Span::SPAN_KIND_SERVER
                                   : otlp::Span::SPAN_KIND_INTERNAL);
  message->set_start_time_unix_nano(UnixNanoseconds(span.start));
  message->set_end_time_unix_nano(UnixNanoseconds(span.end));
  for (const auto& [key, value] : span.attributes) {
    AddKeyValue(key, value, message);
  }
  if (span.is_error) {
    message->mutable_status()->set_code(otlp::Status::STATUS_CODE_ERROR);
    message->mutable_status()->set_message(span.error);
  }
  message->set_flags(kSampled | kKnowsWhetherRemote |
                     (span.has_remote_parent ? kIsRemote : 0));
}

// The attributes of the process.
otlp::Resource MakeResource(const OtlpOptions& options) {
  otlp::Resource resource;
  AddKeyValue("service.name", options.service_name, &resource);
  AddKeyValue("service.version", options.service_version, &resource);
  std::array<char, 256> host = {};
  if (gethostname(host.data(), host.size() - 1) == 0) {
    AddKeyValue("host.name", std::string(host.data()), &resource);
  }
  AddKeyValue("process.pid", int64_t{getpid()}, &resource);
  return resource;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(
    const OtlpOptions& options) {
  if (!options.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions tls;
  if (!options.tls_ca.empty()) {
    const auto file = ReadStoredFile(options.tls_ca);
    if (!file.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "traces: ", options.tls_ca, ": ", file.status().message()));
    }
    tls.pem_root_certs = std::string(file->bytes());
    if (!absl::StrContains(tls.pem_root_certs, "CERTIFICATE-----")) {
      return absl::InvalidArgumentError(
          absl::StrCat("traces: ", options.tls_ca,
                       ": expected a certificate in PEM, found none"));
    }
  }
  return grpc::SslCredentials(tls);
}

class OtlpSender final : public SpanSender {
 public:
  OtlpSender(const OtlpOptions& options,
             const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : stub_(otlp::TraceService::NewStub(
            grpc::CreateChannel(options.endpoint, credentials))),
        resource_(MakeResource(options)),
        version_(options.service_version) {}

  absl::StatusOr<uint64_t> Send(const std::vector<Span>& spans,
                                std::chrono::milliseconds timeout) override {
    otlp::ExportTraceServiceRequest request;
    otlp::ResourceSpans* resource = request.add_resource_spans();
    *resource->mutable_resource() = resource_;
    otlp::ScopeSpans* scope = resource->add_scope_spans();
    scope->mutable_scope()->set_name("lmserve");
    scope->mutable_scope()->set_version(version_);
    for (const Span& span : spans) SetSpan(span, scope->add_spans());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    if (!Begin(&context)) return absl::CancelledError("the exporter has ended");
    otlp::ExportTraceServiceResponse response;
    const grpc::Status status = stub_->Export(&context, request, &response);
    End();
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    const int64_t rejected = response.partial_success().rejected_spans();
    return rejected > 0 ? static_cast<uint64_t>(rejected) : 0;
  }

  void Cancel() override {
    const MutexLock lock(mutex_);
    is_cancelled_ = true;
    if (running_ != nullptr) running_->TryCancel();
  }

 private:
  // Sets the call that Cancel() ends. Returns false after Cancel().
  bool Begin(grpc::ClientContext* context) {
    const MutexLock lock(mutex_);
    if (is_cancelled_) return false;
    running_ = context;
    return true;
  }

  void End() {
    const MutexLock lock(mutex_);
    running_ = nullptr;
  }

  const std::unique_ptr<otlp::TraceService::Stub> stub_;
  const otlp::Resource resource_;
  const std::string version_;
  Mutex mutex_;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SpanSender>> MakeOtlpSender(
    const OtlpOptions& options) {
  const auto credentials = Credentials(options);
  if (!credentials.ok()) return credentials.status();
  return std::make_unique<OtlpSender>(options, *credentials);
}

}  // namespace lmserve
