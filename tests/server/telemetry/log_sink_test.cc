// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_sink.h"

#include <spdlog/logger.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/utf8.h"
#include "tests/server/telemetry/pipe.h"

namespace lmserve {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class LogSinkTest : public testing::Test {
 protected:
  // Logs a message and returns the line.
  std::string Line(LogFormat format, const std::string& message) const {
    spdlog::logger logger("lm_server",
                          std::make_shared<LogSink>(pipe_.writer(), format));
    logger.info("{}", message);
    std::string line;
    while (line.empty() || line.back() != '\n') line += pipe_.Read();
    return line;
  }

  const Pipe pipe_;
};

TEST_F(LogSinkTest, TextHasOneLinePerMessage) {
  EXPECT_THAT(Line(LogFormat::kText, "M\u00FCller \"a\\b\""),
              EndsWith("] [lm_server] [info] M\u00FCller \"a\\b\"\n"));
  EXPECT_THAT(Line(LogFormat::kText, "a\n[error] forged\x1B[2J\xFF"),
              EndsWith("[info] a\\x0a[error] forged\\x1b[2J\\xff\n"));
}

TEST_F(LogSinkTest, JsonIsValidWhateverTheBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  for (const std::string& message :
       {bytes, std::string("a\"b\\c"), std::string("M\u00FCller"),
        std::string("cut off \xE2\x82"), std::string(1 << 20, '\xF0')}) {
    const std::string line = Line(LogFormat::kJson, message);
    EXPECT_EQ(FindInvalidUtf8(line), absl::string_view::npos);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << line;
    EXPECT_EQ(json["level"], "info");
  }
  EXPECT_EQ(nlohmann::json::parse(
                Line(LogFormat::kJson, "a\"b\\c M\u00FCller"))["message"],
            "a\"b\\c M\u00FCller");
}

TEST_F(LogSinkTest, LongMessagesAreShortened) {
  const std::string line = Line(LogFormat::kText, std::string(1 << 20, 'x'));
  EXPECT_LT(line.size(), LogSink::kMaxMessageBytes + 100);
  EXPECT_THAT(line, HasSubstr("x ... x"));
}

TEST_F(LogSinkTest, TheLogSaysHowManyLinesWereDropped) {
  const auto sink = std::make_shared<LogSink>(pipe_.writer(), LogFormat::kText,
                                              /*max_waiting_bytes=*/10'000);
  spdlog::logger logger("lm_server", sink);
  const std::string message(900, 'x');
  while (sink->dropped() < 3) logger.info("{}", message);
  std::string read;
  while (!sink->Flush(std::chrono::milliseconds(1))) read += pipe_.Read();
  logger.info("the reader is back");
  while (read.find("back") == std::string::npos) read += pipe_.Read();
  EXPECT_THAT(read, HasSubstr("[warning] dropped 3 log lines, because the "
                              "reader of the log was too slow or gone\n"));
  EXPECT_EQ(sink->dropped(), 3u);
}

}  // namespace
}  // namespace lmserve
