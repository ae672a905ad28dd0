// SPDX-License-Identifier: Apache-2.0
//
// Sends spans to a collector that is a server of gRPC in this process.

#include "server/rpc/otlp_sender.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "model_store/mutex.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "server/telemetry/tracer.h"
#include "tests/server/rpc/certificates.h"
#include "tests/server/server_with_options.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

namespace otlp = opentelemetry::proto::collector::trace::v1;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr milliseconds kLong = std::chrono::minutes(1);
constexpr char kParent[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// A collector that keeps what it gets. Thread-safe.
class FakeCollector final : public otlp::TraceService::Service {
 public:
  explicit FakeCollector(std::shared_ptr<grpc::ServerCredentials> credentials =
                             grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("localhost:0", std::move(credentials), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("localhost:", port);
  }
  ~FakeCollector() override { Stop(); }

  void Stop() { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }

  // What the collector answers from now on.
  void SetAnswer(const grpc::Status& status, int64_t rejected,
                 milliseconds delay) {
    const MutexLock lock(mutex_);
    status_ = status;
    rejected_ = rejected;
    delay_ = delay;
  }

  std::vector<otlp::ExportTraceServiceRequest> requests() const {
    const MutexLock lock(mutex_);
    return requests_;
  }

  // Waits for at least this many spans, and returns all by their names.
  std::multimap<std::string, otlp::Span> WaitForSpans(size_t count) const {
    for (;;) {
      std::multimap<std::string, otlp::Span> spans;
      for (const auto& request : requests()) {
        for (const auto& span :
             request.resource_spans(0).scope_spans(0).spans()) {
          spans.emplace(span.name(), span);
        }
      }
      if (spans.size() >= count) return spans;
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

 private:
  grpc::Status Export(grpc::ServerContext* context,
                      const otlp::ExportTraceServiceRequest* request,
                      otlp::ExportTraceServiceResponse* response) override {
    milliseconds delay;
    {
      const MutexLock lock(mutex_);
      requests_.push_back(*request);
      if (rejected_ > 0) {
        response->mutable_partial_success()->set_rejected_spans(rejected_);
      }
      delay = delay_;
    }
    const auto end = std::chrono::steady_clock::now() + delay;
    while (std::chrono::steady_clock::now() < end && !context->IsCancelled()) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    const MutexLock lock(mutex_);
    return status_;
  }

  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  mutable Mutex mutex_;
  std::vector<otlp::ExportTraceServiceRequest> requests_
      ABSL_GUARDED_BY(mutex_);
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  int64_t rejected_ ABSL_GUARDED_BY(mutex_) = 0;
  milliseconds delay_ ABSL_GUARDED_BY(mutex_){0};
};

Span MakeSpan() {
  return {.trace_id = {0x0102030405060708, 0x090a0b0c0d0e0f10},
          .span_id = 0x1112131415161718,
          .name = "queue"};
}

std::map<std::string, otlp::AnyValue> Attributes(
    const google::protobuf::RepeatedPtrField<otlp::KeyValue>& attributes) {
  std::map<std::string, otlp::AnyValue> found;
  for (const auto& entry : attributes) found[entry.key()] = entry.value();
  return found;
}

TEST(OtlpSenderTest, SendsAllFields) {
  FakeCollector collector;
  const auto sender = MakeOtlpSender({.endpoint = collector.address(),
                                      .service_name = "lm",
                                      .service_version = "7"})
                          .value();
  Span span = MakeSpan();
  span.parent_id = 1;
  span.has_remote_parent = true;
  span.is_server = true;
  span.trace_state = "a=1";
  span.start = Span::Time(std::chrono::microseconds(1'700'000'000'000'001));
  span.end = Span::Time(std::chrono::microseconds(1'700'000'000'000'002));
  span.attributes = {{"text", std::string("x")}, {"number", int64_t{-3}}};
  span.is_error = true;
  span.error = "wrong";
  EXPECT_EQ(sender->Send({span, MakeSpan()}, kLong).value(), 0u);
  ASSERT_EQ(collector.requests().size(), 1u);
  const auto resource_spans = collector.requests()[0].resource_spans(0);
  const auto resource = Attributes(resource_spans.resource().attributes());
  EXPECT_EQ(resource.at("service.name").string_value(), "lm");
  EXPECT_EQ(resource.at("service.version").string_value(), "7");
  EXPECT_GT(resource.at("process.pid").int_value(), 0);
  EXPECT_NE(resource.at("host.name").string_value(), "");
  const auto& scope = resource_spans.scope_spans(0);
  EXPECT_EQ(scope.scope().name(), "lmserve");
  ASSERT_EQ(scope.spans_size(), 2);
  const otlp::Span& sent = scope.spans(0);
  EXPECT_EQ(sent.trace_id(),
            "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10");
  EXPECT_EQ(sent.span_id(), "\x11\x12\x13\x14\x15\x16\x17\x18");
  EXPECT_EQ(sent.parent_span_id(), std::string("\0\0\0\0\0\0\0\1", 8));
  EXPECT_EQ(sent.trace_state(), "a=1");
  EXPECT_EQ(sent.kind(), otlp::Span::SPAN_KIND_SERVER);
  EXPECT_EQ(sent.start_time_unix_nano(), 1'700'000'000'000'001'000u);
  EXPECT_EQ(sent.end_time_unix_nano(), 1'700'000'000'000'002'000u);
  EXPECT_EQ(sent.flags(), 0x301u);
  EXPECT_EQ(sent.status().code(), otlp::Status::STATUS_CODE_ERROR);
  EXPECT_EQ(sent.status().message(), "wrong");
  const auto attributes = Attributes(sent.attributes());
  EXPECT_EQ(attributes.at("text").string_value(), "x");
  EXPECT_EQ(attributes.at("number").int_value(), -3);
  const otlp::Span& plain = scope.spans(1);
  EXPECT_EQ(plain.parent_span_id(), "");
  EXPECT_EQ(plain.kind(), otlp::Span::SPAN_KIND_INTERNAL);
  EXPECT_EQ(plain.flags(), 0x101u);
  EXPECT_FALSE(plain.has_status());
}

TEST(OtlpSenderTest, ReturnsWhatTheCollectorAnswers) {
  FakeCollector collector;
  const auto sender = MakeOtlpSender({.endpoint = collector.address()}).value();
  collector.SetAnswer(grpc::Status::OK, 3, milliseconds(0));
  EXPECT_EQ(sender->Send({MakeSpan()}, kLong).value(), 3u);
  collector.SetAnswer({grpc::INVALID_ARGUMENT, "no"}, 0, milliseconds(0));
  EXPECT_EQ(sender->Send({MakeSpan()}, kLong).status(),
            absl::InvalidArgumentError("no"));
  collector.SetAnswer(grpc::Status::OK, 0, kLong);
  EXPECT_EQ(sender->Send({MakeSpan()}, milliseconds(20)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  collector.Stop();
  EXPECT_EQ(sender->Send({MakeSpan()}, kLong).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(OtlpSenderTest, CancelEndsWhatRuns) {
  FakeCollector collector;
  collector.SetAnswer(grpc::Status::OK, 0, kLong);
  const auto sender = MakeOtlpSender({.endpoint = collector.address()}).value();
  std::thread canceller([&] {
    collector.WaitForSpans(1);
    sender->Cancel();
  });
  EXPECT_EQ(sender->Send({MakeSpan()}, kLong).status().code(),
            absl::StatusCode::kCancelled);
  canceller.join();
  EXPECT_EQ(sender->Send({MakeSpan()}, kLong).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(OtlpSenderTest, TrustsTheRootsOfItsFileOnly) {
  const TemporaryDirectory directory;
  const CertifiedKey root = MakeRoot("collector"), other = MakeRoot("other");
  const CertifiedKey own = MakeCertificate(root);
  std::ofstream(directory.File("root")) << root.certificate;
  std::ofstream(directory.File("other")) << other.certificate;
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs = {{own.key, own.certificate}};
  FakeCollector collector(grpc::SslServerCredentials(tls));
  const auto send = [&](const std::string& ca, bool encrypts) {
    OtlpOptions options = {.endpoint = collector.address(), .tls = encrypts};
    if (!ca.empty()) options.tls_ca = directory.File(ca);
    return MakeOtlpSender(options).value()->Send({MakeSpan()}, kLong).status();
  };
  EXPECT_EQ(send("root", true), absl::OkStatus());
  EXPECT_EQ(send("other", true).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(send("", false).code(), absl::StatusCode::kUnavailable);
}

TEST(OtlpSenderTest, AFileWithoutCertificateIsAnError) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("ca");
  const auto message = [&] {
    return std::string(
        MakeOtlpSender({.endpoint = "localhost:1", .tls = true, .tls_ca = path})
            .status()
            .message());
  };
  EXPECT_THAT(message(), HasSubstr(path));
  std::ofstream(path) << "nothing\n";
  EXPECT_THAT(message(), HasSubstr("expected a certificate in PEM"));
}

// A server whose traces go to a collector.
class TracedServerTest : public ServerWithOptions {
 protected:
  void Trace(double ratio, const std::string& address) {
    tracer_ = std::make_shared<Tracer>(
        ratio, std::make_unique<SpanExporter>(
                   MakeOtlpSender({.endpoint = address}).value(),
                   SpanExporterOptions{.linger = milliseconds(1)}));
    options_.tracer = tracer_;
    StartServer();
  }

  // Makes a call of Score with these headers.
  grpc::Status Score(const std::multimap<std::string, std::string>& headers) {
    grpc::ClientContext context;
    for (const auto& [name, value] : headers) context.AddMetadata(name, value);
    lm::v1::ScoreResponse response;
    return lm::v1::LanguageModelService::Stub(channel_).Score(
        &context,
        Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the cat' }"),
        &response);
  }

  FakeCollector collector_;
  std::shared_ptr<Tracer> tracer_;
};

TEST_F(TracedServerTest, ACallIsAPartOfTheClientsTrace) {
  Trace(0, collector_.address());
  ASSERT_TRUE(Score({{"traceparent", kParent},
                     {"tracestate", "a=1"},
                     {"tracestate", "b=2"}})
                  .ok());
  const auto spans = collector_.WaitForSpans(2);
  ASSERT_EQ(spans.size(), 2u);
  const otlp::Span& call =
      spans.find("lm.v1.LanguageModelService/Score")->second;
  const otlp::Span& compute = spans.find("compute")->second;
  EXPECT_EQ(call.trace_id(),
            "\x0a\xf7\x65\x19\x16\xcd\x43\xdd"
            "\x84\x48\xeb\x21\x1c\x80\x31\x9c");
  EXPECT_EQ(call.parent_span_id(), "\xb7\xad\x6b\x71\x69\x20\x33\x31");
  EXPECT_EQ(call.trace_state(), "a=1,b=2");
  EXPECT_EQ(compute.trace_id(), call.trace_id());
  EXPECT_EQ(compute.parent_span_id(), call.span_id());
  EXPECT_LE(call.start_time_unix_nano(), compute.start_time_unix_nano());
  EXPECT_LE(compute.end_time_unix_nano(), call.end_time_unix_nano());
  // "the", "cat" and </s>.
  EXPECT_EQ(Attributes(compute.attributes()).at("lmserve.words").int_value(),
            3);
}

TEST_F(TracedServerTest, TwoTraceparentsBeginANewTrace) {
  Trace(1, collector_.address());
  ASSERT_TRUE(Score({{"traceparent", kParent}, {"traceparent", kParent}}).ok());
  const auto spans = collector_.WaitForSpans(2);
  EXPECT_EQ(
      spans.find("lm.v1.LanguageModelService/Score")->second.parent_span_id(),
      "");
}

TEST_F(TracedServerTest, CallsDoNotWaitForACollectorThatIsSlowOrGone) {
  collector_.SetAnswer(grpc::Status::OK, 0, kLong);
  Trace(1, collector_.address());
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Score({}).ok());
  collector_.Stop();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Score({}).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  tracer_->Stop(milliseconds(10));
  const SpanExporter::Counts counts = tracer_->counts();
  EXPECT_EQ(counts.exported, 0u);
  EXPECT_EQ(counts.dropped_full + counts.dropped_unsent, 80u);
}

}  // namespace
}  // namespace lmserve
