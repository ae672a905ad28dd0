// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/training_log.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TrainingRecord Record() {
  return {.epoch = 2,
          .step = 400,
          .seconds = 12.5,
          .words = 9'007'199'254'740'993,  // not representable as double
          .words_per_second = 1.0 / 3,
          .learning_rate = 1e-3,
          .train_loss = 2,
          .valid_loss = 3,
          .gradient_norm = 0.1,
          .max_gradient_norm = 7.25,
          .clipped_share = 0.25,
          .layer_gradient_norms = {{"lower", 1e-300}, {"input", 0.5}},
          .note = "rate \"halved\"\n"};
}

nlohmann::json JsonOf(const TrainingRecord& record) {
  return nlohmann::json::parse(ToJsonLine(record));
}

TrainingRecord RoundTrip(const TrainingRecord& record) {
  return TrainingLog::Parse(ToJsonLine(record)).value().records().at(0);
}

std::string ParseError(const std::string& text) {
  const absl::StatusOr<TrainingLog> log = TrainingLog::Parse(text);
  EXPECT_EQ(log.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(log.status().message());
}

// Returns the error for a third line that is valid except for one replacement.
std::string ErrorWith(const std::string& old_text,
                      const std::string& new_text) {
  const std::string line = ToJsonLine(Record());
  EXPECT_THAT(line, HasSubstr(old_text));
  return ParseError(absl::StrCat(
      line, "\n", absl::StrReplaceAll(line, {{old_text, new_text}})));
}

TEST(TrainingLog, ALineByHand) {
  TrainingRecord record = Record();
  record.words = 1000;
  record.words_per_second = 80;
  record.train_loss = 0;
  record.valid_loss = 0;
  record.layer_gradient_norms[0].second = 0.125;
  EXPECT_EQ(
      ToJsonLine(record),
      R"({"epoch":2,"step":400,"seconds":12.5,"words":1000,)"
      R"("words_per_second":80.0,"learning_rate":0.001,"train_loss":0.0,)"
      R"("train_perplexity":1.0,"valid_loss":0.0,"valid_perplexity":1.0,)"
      R"("gradient_norm":0.1,"max_gradient_norm":7.25,"clipped_share":0.25,)"
      R"("layer_gradient_norms":{"lower":0.125,"input":0.5},)"
      R"("note":"rate \"halved\"\n"})"
      "\n");
}

TEST(TrainingLog, RoundTrip) {
  const TrainingRecord record = RoundTrip(Record());
  EXPECT_EQ(record.epoch, 2);
  EXPECT_EQ(record.step, 400u);
  EXPECT_EQ(record.seconds, 12.5);
  EXPECT_EQ(record.words, 9'007'199'254'740'993u);
  EXPECT_EQ(record.words_per_second, 1.0 / 3);
  EXPECT_EQ(record.learning_rate, 1e-3);
  EXPECT_EQ(record.train_loss, 2);
  EXPECT_EQ(record.valid_loss, 3);
  EXPECT_EQ(record.gradient_norm, 0.1);
  EXPECT_EQ(record.max_gradient_norm, 7.25);
  EXPECT_EQ(record.clipped_share, 0.25);
  EXPECT_THAT(record.layer_gradient_norms,
              testing::ElementsAre(Pair("lower", 1e-300), Pair("input", 0.5)));
  EXPECT_EQ(record.note, "rate \"halved\"\n");
}

TEST(TrainingLog, ManyLinesReadBackToTheByte) {
  TrainingLog log;
  for (int i = 0; i < 100; ++i) {
    log.Add({.step = uint64_t(i), .train_loss = std::exp(-i / 7.0)});
  }
  const std::string text = log.ToJsonLines();
  EXPECT_EQ(TrainingLog::Parse(text).value().ToJsonLines(), text);
}

TEST(TrainingLog, PerplexitiesAreAdded) {
  const nlohmann::json json = JsonOf(Record());
  EXPECT_EQ(json.at("train_perplexity"), std::exp(2.0));
  EXPECT_EQ(json.at("valid_perplexity"), std::exp(3.0));
}

TEST(TrainingLog, ALossThatWasNotMeasuredIsOmitted) {
  TrainingRecord record = Record();
  record.valid_loss.reset();
  EXPECT_THAT(ToJsonLine(record), testing::Not(HasSubstr("valid")));
  EXPECT_EQ(RoundTrip(record).valid_loss, std::nullopt);
}

TEST(TrainingLog, NumbersThatAreNotFiniteBecomeNull) {
  TrainingRecord record = Record();
  record.train_loss = 1e6;  // the perplexity overflows
  record.valid_loss = kNan;
  record.gradient_norm = kInfinity;
  record.layer_gradient_norms[1].second = -kInfinity;
  const nlohmann::json json = JsonOf(record);
  for (const char* key : {"train_perplexity", "valid_loss", "valid_perplexity",
                          "gradient_norm"}) {
    EXPECT_TRUE(json.at(key).is_null()) << key;
  }
  const TrainingRecord read = RoundTrip(record);
  EXPECT_EQ(read.train_loss, 1e6);
  EXPECT_TRUE(std::isnan(read.valid_loss.value()));
  EXPECT_TRUE(std::isnan(read.gradient_norm));
  EXPECT_TRUE(std::isnan(read.layer_gradient_norms[1].second));
}

TEST(TrainingLog, InvalidUtf8InStrings) {
  TrainingRecord record = Record();
  record.note = "a\xff";
  record.layer_gradient_norms = {{"\xc0", 1}};
  EXPECT_EQ(RoundTrip(record).note, "a\uFFFD");
  EXPECT_EQ(RoundTrip(record).layer_gradient_norms[0].first, "\uFFFD");
}

TEST(TrainingLog, Empty) {
  EXPECT_EQ(TrainingLog().ToJsonLines(), "");
  for (const char* text : {"", "\n", " \r\n\n"}) {
    EXPECT_THAT(TrainingLog::Parse(text).value().records(), IsEmpty());
  }
}

TEST(TrainingLog, LinesOfOtherWritersMayDiffer) {
  std::string line = ToJsonLine(Record());
  line.insert(1, R"("new": [1, {}], )");
  line.insert(line.size() - 1, "\r");
  EXPECT_EQ(TrainingLog::Parse(line).value().records().at(0).step, 400u);
}

TEST(TrainingLog, ErrorsNameTheLineAndTheKey) {
  EXPECT_EQ(ErrorWith("\"seconds\":12.5,", ""),
            "training log line 3: expected a number or null as seconds, found "
            "none");
  EXPECT_EQ(ErrorWith("0.001", "\"fast\""),
            "training log line 3: expected a number or null as learning_rate, "
            "found \"fast\"");
  EXPECT_EQ(ErrorWith("400", "-1"),
            "training log line 3: expected an integer from 0 to "
            "18446744073709551615 as step, found -1");
  EXPECT_EQ(ErrorWith("\"epoch\":2", "\"epoch\":3000000000"),
            "training log line 3: expected an integer from 0 to 2147483647 as "
            "epoch, found 3000000000");
  EXPECT_EQ(ErrorWith("400", "4.5"),
            "training log line 3: expected an integer from 0 to "
            "18446744073709551615 as step, found 4.5");
  EXPECT_EQ(ErrorWith("0.5}", "[]}"),
            "training log line 3: expected a number or null as "
            "layer_gradient_norms input, found []");
}

TEST(TrainingLog, TheFirstErrorIsReported) {
  EXPECT_THAT(ErrorWith(":", ":true,\"more\":"),
              HasSubstr("as epoch, found true"));
}

TEST(TrainingLog, LinesThatAreNotObjects) {
  EXPECT_EQ(ParseError("[1]"),
            "training log line 1: expected a JSON object, found [1]");
  EXPECT_EQ(ParseError("{\"epoch\": 1e999}"),
            "training log line 1: expected a JSON object, found "
            "{\"epoch\": 1e999}");
  EXPECT_THAT(ParseError(std::string(1'000'000, '[')),
              testing::EndsWith(std::string(40, '[') + "..."));
}

// A writer may be killed at any byte.
TEST(TrainingLog, IncompleteLastLine) {
  const std::string line = ToJsonLine(Record());
  for (size_t size = 1; size < line.size() - 1; ++size) {
    EXPECT_THAT(ParseError(line + line.substr(0, size)),
                HasSubstr("line 2: expected a JSON object"));
  }
}

TrainingRecord CurveRecord(uint64_t words, double perplexity) {
  TrainingRecord record;
  record.words = words;
  record.train_loss = std::log(perplexity);
  return record;
}

TEST(TrainingLog, CurveHasThePerplexities) {
  TrainingLog log;
  log.Add(CurveRecord(100, 50));
  log.Add(CurveRecord(200, kInfinity));
  TrainingRecord last = CurveRecord(300, 12.345);
  last.valid_loss = std::log(9);
  log.Add(last);
  EXPECT_EQ(log.Curve(10), "100:50: 300:12.35:9");
  EXPECT_EQ(TrainingLog().Curve(10), "");
}

TEST(TrainingLog, ShortCurvesKeepTheValidations) {
  TrainingLog log;
  for (int i = 1; i <= 100; ++i) {
    TrainingRecord record = CurveRecord(i, 10);
    if (i % 50 == 0) record.valid_loss = std::log(8);
    log.Add(record);
  }
  EXPECT_EQ(log.Curve(4), "49:10: 50:10:8 99:10: 100:10:8");
  EXPECT_EQ(log.Curve(1), "100:10:8");
}

}  // namespace
}  // namespace lmserve
