// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_exporter.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/captured_log.h"
#include "tests/server/telemetry/fake_span_sender.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr milliseconds kLong = std::chrono::hours(1);

std::vector<Span> Spans(size_t count) {
  std::vector<Span> spans;
  for (size_t i = 0; i < count; ++i) {
    spans.push_back({.trace_id = {1, 2},
                     .span_id = i + 1,
                     .name = absl::StrCat("span ", i)});
  }
  return spans;
}

class SpanExporterTest : public testing::Test {
 protected:
  std::unique_ptr<SpanExporter> Make(SpanExporterOptions options) {
    return std::make_unique<SpanExporter>(
        std::make_unique<FakeSpanSender>(sent_), options);
  }

  const CapturedLog log_;
  SentSpans sent_;
};

TEST_F(SpanExporterTest, SendsABatchWhenItIsFull) {
  const auto exporter = Make({.batch_spans = 4, .linger = kLong});
  exporter->Add(Spans(2));
  exporter->Add(Spans(3));
  const auto batches = sent_.WaitForBatches(1);
  ASSERT_EQ(batches[0].size(), 4u);
  EXPECT_EQ(batches[0][0].name, "span 0");
  EXPECT_EQ(batches[0][3].name, "span 1");
  exporter->Stop(kLong);
  EXPECT_EQ(sent_.WaitForBatches(2)[1].size(), 1u);
  EXPECT_EQ(exporter->counts().exported, 5u);
}

TEST_F(SpanExporterTest, SendsWhatHasWaitedLong) {
  const auto exporter = Make({.linger = milliseconds(5)});
  exporter->Add(Spans(1));
  EXPECT_EQ(sent_.WaitForBatches(1)[0].size(), 1u);
}

TEST_F(SpanExporterTest, AFullQueueTakesAllSpansOfACallOrNone) {
  sent_.Hold();
  const auto exporter =
      Make({.queued_spans = 10, .batch_spans = 1, .linger = milliseconds(0)});
  exporter->Add(Spans(1));
  sent_.WaitForSends(1);  // the queue is empty now
  exporter->Add(Spans(7));
  exporter->Add(Spans(4));
  EXPECT_EQ(exporter->counts().dropped_full, 4u);
  exporter->Add(Spans(3));
  exporter->Add(Spans(1));
  EXPECT_EQ(exporter->counts().dropped_full, 5u);
  sent_.Release();
  exporter->Stop(kLong);
  EXPECT_EQ(exporter->counts().exported, 11u);
}

// A collector that does not answer costs those who add spans nothing.
TEST_F(SpanExporterTest, AddingNeverWaits) {
  sent_.Hold();
  const auto exporter =
      Make({.queued_spans = 10, .batch_spans = 1, .linger = milliseconds(0)});
  exporter->Add(Spans(1));
  sent_.WaitForSends(1);
  for (int i = 0; i < 10'000; ++i) exporter->Add(Spans(1));
  EXPECT_EQ(exporter->counts().dropped_full, 9'990u);
  exporter->Stop(milliseconds(0));
  EXPECT_EQ(exporter->counts().dropped_unsent, 11u);
}

TEST_F(SpanExporterTest, TriesAgainIfThatMayHelp) {
  sent_.SetAnswer([](size_t) -> absl::StatusOr<uint64_t> {
    return absl::UnavailableError("down");
  });
  const auto exporter = Make(
      {.linger = milliseconds(0), .tries = 3, .retry_pause = milliseconds(1)});
  exporter->Add(Spans(2));
  sent_.WaitForSends(3);
  while (exporter->counts().dropped_unsent < 2) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(sent_.sends(), 3);
  EXPECT_THAT(log_.text(), HasSubstr("the collector does not take spans"));
  EXPECT_THAT(log_.text(), HasSubstr("down"));
  sent_.SetAnswer(nullptr);
  exporter->Add(Spans(1));
  exporter->Stop(kLong);
  EXPECT_EQ(exporter->counts().exported, 1u);
  EXPECT_THAT(log_.text(), HasSubstr("takes spans again"));
}

TEST_F(SpanExporterTest, DoesNotTryAgainIfThatCannotHelp) {
  sent_.SetAnswer([](size_t) -> absl::StatusOr<uint64_t> {
    return absl::UnimplementedError("not a collector");
  });
  const auto exporter = Make({.linger = milliseconds(0), .retry_pause = kLong});
  exporter->Add(Spans(2));
  while (exporter->counts().dropped_unsent < 2) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(sent_.sends(), 1);
}

TEST_F(SpanExporterTest, CountsWhatTheCollectorRejects) {
  sent_.SetAnswer([](size_t) -> absl::StatusOr<uint64_t> { return 2; });
  const auto exporter = Make({.linger = milliseconds(0)});
  exporter->Add(Spans(5));
  exporter->Stop(kLong);
  EXPECT_EQ(exporter->counts().exported, 3u);
  EXPECT_EQ(exporter->counts().dropped_rejected, 2u);
  EXPECT_THAT(log_.text(), IsEmpty());
}

TEST_F(SpanExporterTest, StopSendsWhatIsQueued) {
  const auto exporter = Make({.batch_spans = 8, .linger = kLong});
  exporter->Add(Spans(5));
  exporter->Stop(kLong);
  EXPECT_EQ(exporter->counts().exported, 5u);
  exporter->Add(Spans(3));
  EXPECT_EQ(exporter->counts().dropped_full, 3u);
}

TEST_F(SpanExporterTest, StopEndsInTimeIfTheCollectorDoesNotAnswer) {
  sent_.Hold();
  const auto exporter = Make({.batch_spans = 1, .linger = milliseconds(0)});
  exporter->Add(Spans(3));
  sent_.WaitForSends(1);
  const auto start = steady_clock::now();
  exporter->Stop(milliseconds(50));
  EXPECT_GE(steady_clock::now() - start, milliseconds(50));
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(exporter->counts().dropped_unsent, 3u);
}

TEST_F(SpanExporterTest, StopDoesNotWaitForAPauseBetweenTries) {
  sent_.SetAnswer([](size_t) -> absl::StatusOr<uint64_t> {
    return absl::UnavailableError("down");
  });
  const auto exporter = Make({.linger = milliseconds(0), .retry_pause = kLong});
  exporter->Add(Spans(3));
  sent_.WaitForSends(1);
  exporter->Stop(kLong);
  EXPECT_EQ(exporter->counts().dropped_unsent, 3u);
}

}  // namespace
}  // namespace lmserve
