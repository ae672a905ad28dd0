// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/tracer.h"

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/telemetry/fake_span_sender.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::Key;
using testing::Not;
using testing::Pair;

constexpr char kSampled[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kNotSampled[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

Span::Value Text(const std::string& text) { return text; }

class TracerTest : public testing::Test {
 protected:
  // A tracer that lives as long as the test.
  Tracer& Make(double ratio) {
    tracer_ = std::make_unique<Tracer>(
        ratio, std::make_unique<SpanExporter>(
                   std::make_unique<FakeSpanSender>(sent_),
                   SpanExporterOptions{.linger = milliseconds(0)}));
    return *tracer_;
  }

  static TracedCall::End Ended(const absl::Status& status) {
    return {.name = "lm.v1.LanguageModelService/Score",
            .model = "tiny",
            .version = 3,
            .request_id = "",
            .status = status,
            .http_method = "",
            .http_path = "",
            .http_code = 0};
  }

  static std::map<std::string, Span::Value> Attributes(const Span& span) {
    return {span.attributes.begin(), span.attributes.end()};
  }

  SentSpans sent_;
  std::unique_ptr<Tracer> tracer_;
};

TEST_F(TracerTest, TheClientDecidesIfItSaysSo) {
  for (double ratio : {0.0, 1.0}) {
    const Tracer& tracer = Make(ratio);
    const auto traced = tracer.Begin(kSampled);
    ASSERT_NE(traced, nullptr);
    EXPECT_EQ(ToHex(traced->trace_id()), "0af7651916cd43dd8448eb211c80319c");
    EXPECT_NE(ToHex(traced->span_id()), "b7ad6b7169203331");
    EXPECT_EQ(tracer.Begin(kNotSampled), nullptr);
  }
}

TEST_F(TracerTest, OfTheOtherCallsAShareIsTraced) {
  for (const char* header : {"", "00-short"}) {
    EXPECT_EQ(Make(0).Begin(header), nullptr);
    EXPECT_NE(Make(1).Begin(header), nullptr);
    const Tracer& tracer = Make(0.1);
    int traced = 0;
    std::set<std::string> ids;
    for (int i = 0; i < 20'000; ++i) {
      const auto call = tracer.Begin(header);
      if (call == nullptr) continue;
      ++traced;
      ids.insert(ToHex(call->trace_id()));
    }
    // 2,000 expected, with a standard deviation of 42.
    EXPECT_NEAR(traced, 2'000, 300);
    EXPECT_EQ(ids.size(), static_cast<size_t>(traced));
  }
}

TEST_F(TracerTest, ASpanHasWhatIsKnownOfTheCall) {
  const Tracer& tracer = Make(0);
  const auto call = tracer.Begin(kSampled);
  call->SetTraceState("a=1,b=2");
  const absl::Status status = absl::NotFoundError("no such model");
  TracedCall::End end = Ended(status);
  end.request_id = "id-1";
  tracer.End(*call, end);
  const Span span = sent_.WaitForBatches(1)[0][0];
  EXPECT_EQ(span.name, "lm.v1.LanguageModelService/Score");
  EXPECT_EQ(ToHex(span.trace_id), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(ToHex(span.parent_id), "b7ad6b7169203331");
  EXPECT_EQ(span.span_id, call->span_id());
  EXPECT_TRUE(span.has_remote_parent);
  EXPECT_TRUE(span.is_server);
  EXPECT_EQ(span.trace_state, "a=1,b=2");
  EXPECT_LE(span.start, span.end);
  const auto attributes = Attributes(span);
  EXPECT_THAT(attributes, Contains(Pair("rpc.system.name", Text("grpc"))));
  EXPECT_THAT(
      attributes,
      Contains(Pair("rpc.method", Text("lm.v1.LanguageModelService/Score"))));
  EXPECT_THAT(attributes,
              Contains(Pair("rpc.response.status_code", Text("NOT_FOUND"))));
  EXPECT_THAT(attributes, Contains(Pair("lmserve.model", Text("tiny"))));
  EXPECT_THAT(attributes,
              Contains(Pair("lmserve.version", Span::Value(int64_t{3}))));
  EXPECT_THAT(attributes, Contains(Pair("lmserve.request_id", Text("id-1"))));
  EXPECT_THAT(attributes, Not(Contains(Key("url.path"))));
  // The client's mistake is no error of the server.
  EXPECT_FALSE(span.is_error);
}

TEST_F(TracerTest, ErrorsOfTheServerAreErrorsOfTheSpan) {
  const Tracer& tracer = Make(1);
  const absl::Status status = absl::InternalError("a bug \xff");
  tracer.End(*tracer.Begin(""), Ended(status));
  const Span span = sent_.WaitForBatches(1)[0][0];
  EXPECT_TRUE(span.is_error);
  EXPECT_EQ(span.error, "a bug \\xff");
  EXPECT_EQ(span.parent_id, 0u);
  EXPECT_FALSE(span.has_remote_parent);
}

TEST_F(TracerTest, CallsOverHttpHaveItsAttributes) {
  const Tracer& tracer = Make(1);
  const absl::Status status;
  TracedCall::End end = Ended(status);
  end.http_method = "POST";
  end.http_path = "/lm/v1/score";
  end.http_code = 200;
  tracer.End(*tracer.Begin(""), end);
  const auto attributes = Attributes(sent_.WaitForBatches(1)[0][0]);
  EXPECT_THAT(attributes, Contains(Pair("http.request.method", Text("POST"))));
  EXPECT_THAT(attributes, Contains(Pair("url.path", Text("/lm/v1/score"))));
  EXPECT_THAT(attributes, Contains(Pair("http.response.status_code",
                                        Span::Value(int64_t{200}))));
  EXPECT_THAT(attributes, Not(Contains(Key("rpc.system.name"))));
}

TEST_F(TracerTest, StatesOfAnotherFormAreIgnored) {
  const Tracer& tracer = Make(0);
  const auto call = tracer.Begin(kSampled);
  call->SetTraceState("\xff");
  const absl::Status status;
  tracer.End(*call, Ended(status));
  EXPECT_EQ(sent_.WaitForBatches(1)[0][0].trace_state, "");
}

TEST_F(TracerTest, PartsAreChildrenWithinTheirCall) {
  const Tracer& tracer = Make(1);
  const auto call = tracer.Begin("");
  const auto start = CallTrace::Clock::now();
  const auto middle = start + milliseconds(1);
  while (CallTrace::Clock::now() < middle) {
  }
  call->parts()->Add({.kind = CallTrace::Kind::kQueue,
                      .start = start,
                      .end = middle,
                      .model = "tiny",
                      .version = 3});
  call->parts()->Add({.kind = CallTrace::Kind::kCompute,
                      .start = middle,
                      .end = CallTrace::Clock::now(),
                      .model = "tiny",
                      .version = 3,
                      .words = 7,
                      .batch_calls = 2,
                      .batch_words = 9});
  const absl::Status status;
  tracer.End(*call, Ended(status));
  const std::vector<Span> spans = sent_.WaitForBatches(1)[0];
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_THAT(Attributes(spans[0]),
              Contains(Pair("lmserve.words", Span::Value(int64_t{7}))));
  EXPECT_EQ(spans[1].name, "queue");
  EXPECT_EQ(spans[2].name, "compute");
  std::set<uint64_t> ids = {spans[0].span_id};
  for (size_t i = 1; i < spans.size(); ++i) {
    EXPECT_EQ(spans[i].trace_id, spans[0].trace_id);
    EXPECT_EQ(spans[i].parent_id, spans[0].span_id);
    EXPECT_FALSE(spans[i].is_server);
    EXPECT_FALSE(spans[i].has_remote_parent);
    EXPECT_LE(spans[0].start, spans[i].start);
    EXPECT_LE(spans[i].start, spans[i].end);
    EXPECT_LE(spans[i].end, spans[0].end);
    ids.insert(spans[i].span_id);
  }
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(spans[1].end - spans[1].start, milliseconds(1));
  EXPECT_EQ(spans[1].end, spans[2].start);
  const auto attributes = Attributes(spans[2]);
  EXPECT_THAT(attributes,
              Contains(Pair("lmserve.words", Span::Value(int64_t{7}))));
  EXPECT_THAT(attributes,
              Contains(Pair("lmserve.batch.calls", Span::Value(int64_t{2}))));
  EXPECT_THAT(attributes,
              Contains(Pair("lmserve.batch.words", Span::Value(int64_t{9}))));
}

TEST_F(TracerTest, LongTracesAreCut) {
  const Tracer& tracer = Make(1);
  const auto call = tracer.Begin("");
  for (size_t i = 0; i < CallTrace::kMostParts + 5; ++i) {
    call->parts()->Add({.kind = CallTrace::Kind::kCompute,
                        .start = {},
                        .end = {},
                        .model = "tiny",
                        .version = 3,
                        .words = 2});
  }
  const absl::Status status;
  tracer.End(*call, Ended(status));
  const std::vector<Span> spans = sent_.WaitForBatches(1)[0];
  EXPECT_EQ(spans.size(), CallTrace::kMostParts + 1);
  const auto attributes = Attributes(spans[0]);
  EXPECT_THAT(attributes, Contains(Pair("lmserve.parts_left_out",
                                        Span::Value(int64_t{5}))));
  EXPECT_THAT(
      attributes,
      Contains(Pair("lmserve.words",
                    Span::Value(2 * int64_t{CallTrace::kMostParts + 5}))));
}

TEST_F(TracerTest, LoadsHaveTracesOfTheirOwn) {
  const Tracer& tracer = Make(0);
  const auto start = std::chrono::system_clock::now();
  tracer.OnLoaded("tiny", 3, start, absl::DataLossError("weights: wrong hash"));
  const Span span = sent_.WaitForBatches(1)[0][0];
  EXPECT_EQ(span.name, "load");
  EXPECT_EQ(span.parent_id, 0u);
  EXPECT_EQ(span.start, start);
  EXPECT_TRUE(span.is_error);
  EXPECT_EQ(span.error, "weights: wrong hash");
  EXPECT_THAT(Attributes(span),
              Contains(Pair("lmserve.version", Span::Value(int64_t{3}))));
}

}  // namespace
}  // namespace lmserve
