// SPDX-License-Identifier: Apache-2.0
//
// Tests the settings of lm_server from flags, environment and file, and its log
// and metrics.

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/http_get.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class ServerFlagsTest : public testing::Test {
 protected:
  ServerFlagsTest() { PublishTinyModel(store_.path(), "en"); }

  // Runs lm_server with --check-config, which prints the settings in effect.
  Outcome CheckConfig(Arguments arguments) const {
    arguments.push_back("--check-config");
    return RunProgram(Command("lm_server", arguments));
  }

  std::string ConfigFile(const std::string& text) const {
    std::string path = store_.File("config");
    WriteText(path, absl::StrCat("store=", store_.path(), "\n", text));
    return path;
  }

  const TemporaryDirectory store_;
};

// A value of the file is the same as on the command line.
TEST_F(ServerFlagsTest, ListsInTheFile) {
  const std::string file = ConfigFile(
      "require-models=en,other\nkeep=en@1,other@2\nlisten=[::1]:0\n");
  const Outcome outcome = CheckConfig({"--config", file});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("en,other"));
  EXPECT_THAT(outcome.output, HasSubstr("en@1,other@2"));
  EXPECT_THAT(outcome.output, HasSubstr("[::1]:0"));
}

TEST_F(ServerFlagsTest, NumbersMustBeNumbers) {
  EXPECT_EQ(CheckConfig({"--store", store_.path(), "--poll-seconds", "nan"})
                .exit_code,
            2);
}

TEST_F(ServerFlagsTest, FlagsOverrideTheEnvironmentWhichOverridesTheFile) {
  const std::string file =
      ConfigFile("drain-seconds=1\nbatch-words=11\nmax-calls=111\n");
  setenv("LM_SERVER_DRAIN_SECONDS", "2", 1);
  setenv("LM_SERVER_BATCH_WORDS", "22", 1);
  const Outcome outcome =
      CheckConfig({"--config", file, "--drain-seconds", "3"});
  unsetenv("LM_SERVER_DRAIN_SECONDS");
  unsetenv("LM_SERVER_BATCH_WORDS");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, HasSubstr("\ndrain-seconds=3\n"));
  EXPECT_THAT(outcome.output, HasSubstr("\nbatch-words=22\n"));
  EXPECT_THAT(outcome.output, HasSubstr("\nmax-calls=111\n"));
  EXPECT_THAT(outcome.errors, HasSubstr("serving en@1"));
}

// The printed settings are a valid config file with the same settings.
TEST_F(ServerFlagsTest, CheckConfigPrintsAConfigFile) {
  const Outcome first = CheckConfig(
      {"--store", store_.path(), "--max-texts", "7", "--log-format", "json"});
  const std::string file = store_.File("again");
  WriteText(file, first.output);
  EXPECT_EQ(CheckConfig({"--config", file}).output, first.output);
}

TEST_F(ServerFlagsTest, ReportsInvalidSettings) {
  const auto error = [&](const Arguments& arguments) {
    const Outcome outcome = CheckConfig(arguments);
    EXPECT_EQ(outcome.exit_code, 2);
    return outcome.errors;
  };
  EXPECT_THAT(error({"--config", ConfigFile("batch-words=0\n")}),
              HasSubstr("--batch-words: expected a number from 1 to"));
  EXPECT_THAT(error({"--config", ConfigFile("no-such=1\n")}),
              HasSubstr("config line 2: expected the name of an option, found "
                        "'no-such'"));
  EXPECT_THAT(error({}), HasSubstr("--store is required"));
  EXPECT_THAT(error({"--store", store_.path(), "--listen", "::1:0"}),
              HasSubstr("expected HOST:PORT, [IPV6]:PORT or unix:PATH"));
  EXPECT_THAT(error({"--store", store_.path(), "--socket-mode", "0888"}),
              HasSubstr("expected permissions such as 0660, found '0888'"));
  EXPECT_THAT(error({"--store", store_.path(), "--require-models", "en,a/b"}),
              HasSubstr("--require-models: "));
  EXPECT_THAT(error({"--store", store_.path(), "--trace-service", "\xff"}),
              HasSubstr("--trace-service: expected UTF-8 without"));
  setenv("LM_SERVER_MAX_TEXTS", "many", 1);
  EXPECT_THAT(error({"--store", store_.path()}), HasSubstr("--max-texts"));
  unsetenv("LM_SERVER_MAX_TEXTS");
}

TEST_F(ServerFlagsTest, TheLogIsJsonOnRequest) {
  ServerProcess server(store_.path(),
                       {"--log-format", "json", "--log-level", "debug"});
  EXPECT_NE(server.address(), "") << "the addresses are in JSON, too";
  EXPECT_EQ(server
                .Client({"score", "--model", "en", "--metadata",
                         "x-request-id=a-1", "the cat"})
                .exit_code,
            0);
  EXPECT_EQ(server.Client({"score", "--model", "a\"b", "the cat"}).exit_code,
            1);
  EXPECT_EQ(server.Client({"rerank", "--model", "none@stable"}, "the\ncat\n")
                .exit_code,
            1);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  std::istringstream lines(server.process().Errors());
  std::vector<nlohmann::json> calls;
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(parsed.is_discarded()) << line;
    EXPECT_TRUE(parsed.contains("time"));
    if (parsed.contains("method")) calls.push_back(parsed);
  }
  ASSERT_EQ(calls.size(), 3u);
  EXPECT_THAT(std::string(calls[0]["message"]),
              HasSubstr("ScoreStream of en@1 from ipv4:127.0.0.1 "
                        "(x-request-id a-1): OK in "));
  EXPECT_EQ(calls[0]["method"], "ScoreStream");
  EXPECT_EQ(calls[0]["code"], "OK");
  EXPECT_EQ(calls[0]["model"], "en");
  EXPECT_EQ(calls[0]["version"], 1);
  EXPECT_EQ(calls[0]["client"], "ipv4:127.0.0.1");
  EXPECT_EQ(calls[0]["request_id"], "a-1");
  EXPECT_GT(calls[0]["seconds"], 0);
  EXPECT_FALSE(calls[0].contains("token"));
  EXPECT_EQ(calls[1]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(calls[1]["model"], "a\"b");
  EXPECT_FALSE(calls[1].contains("version"));
  EXPECT_EQ(calls[2]["code"], "NOT_FOUND");
  EXPECT_EQ(calls[2]["model"], "none@stable");
}

// --check-config finds what would keep a server from starting.
TEST_F(ServerFlagsTest, ChecksTheFilesOfTlsAndTokens) {
  const std::string tokens = store_.File("tokens");
  WriteText(tokens, "read short\n");
  Outcome outcome = CheckConfig({"--store", store_.path(), "--tokens", tokens});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("expected a token of 16 characters"));
  outcome = CheckConfig({"--store", store_.path(), "--tls-certificate",
                         store_.File("none.pem"), "--tls-key", "none.key"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("none.pem: cannot open the file"));
}

TEST_F(ServerFlagsTest, ReportsRequiredModelsThatAreMissing) {
  EXPECT_THAT(
      CheckConfig({"--store", store_.path(), "--require-models", "en,nope"})
          .errors,
      HasSubstr("required models that are not in the store: nope"));
  ServerProcess server(store_.path(), {"--require-models", "en,nope"});
  EXPECT_EQ(server.Client({"health"}).output, "NOT_SERVING\n");
  EXPECT_THAT(
      server.process().Errors(),
      HasSubstr("not ready: required models that are not loaded: nope"));
}

TEST_F(ServerFlagsTest, UnknownVariablesAreRefused) {
  setenv("LM_SERVER_LISTENN", "localhost:0", 1);
  const Outcome outcome = CheckConfig({"--store", store_.path()});
  unsetenv("LM_SERVER_LISTENN");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("LM_SERVER_LISTENN: expected the name "
                                        "of an option"));
  // Kubernetes sets these for a service of the name lm-server.
  setenv("LM_SERVER_PORT", "tcp://10.0.0.1:50051", 1);
  setenv("LM_SERVER_PORT_50051_TCP_ADDR", "10.0.0.1", 1);
  setenv("LM_SERVER_SERVICE_HOST", "10.0.0.1", 1);
  EXPECT_EQ(CheckConfig({"--store", store_.path()}).exit_code, 0);
  unsetenv("LM_SERVER_PORT");
  unsetenv("LM_SERVER_PORT_50051_TCP_ADDR");
  unsetenv("LM_SERVER_SERVICE_HOST");
}

TEST_F(ServerFlagsTest, NoneIsNoAddress) {
  setenv("LM_SERVER_ADMIN_LISTEN", "none", 1);
  Process server(
      Command("lm_server", {"--store", store_.path(), "--listen", "127.0.0.1:0",
                            "--metrics-listen", "none"}));
  unsetenv("LM_SERVER_ADMIN_LISTEN");
  std::string line;
  ASSERT_TRUE(server.ReadLine(&line));
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_EQ(server.ReadAll(), "") << "only the main address is listed";
}

TEST_F(ServerFlagsTest, TheBudgetsOfMemoryAreInTheLog) {
  EXPECT_THAT(
      CheckConfig({"--store", store_.path(), "--max-all-state-bytes", "7000"})
          .errors,
      AllOf(HasSubstr("bytes are available beside the models; at most "),
            HasSubstr("and 7000 for states")));
}

TEST_F(ServerFlagsTest, MetricsCountCallsAndModels) {
  ServerProcess server(store_.path(), {"--metrics-listen", "127.0.0.1:0"});
  const int port = MetricsPort(server.process());
  EXPECT_EQ(server.Client({"score", "the cat"}).exit_code, 0);
  EXPECT_EQ(server.Client({"score", "--model", "none", "the cat"}).exit_code,
            1);
  EXPECT_EQ(server.Client({"generate", "--max-words", "3"}).exit_code, 0);
  for (const char* weight : {"en=1", "en=2"}) {
    EXPECT_EQ(
        server.Client({"rerank", "--weights", weight}, "the\ncat\n").exit_code,
        0);
  }
  const std::string metrics = HttpGet(port, "/metrics");
  for (const char* expected :
       {"HTTP/1.1 200 OK",
        "grpc_server_call_started_total{method=\"ScoreStream\"} 2\n",
        ("grpc_server_call_duration_seconds_count{code=\"OK\",method="
         "\"ScoreStream\"} 1\n"),
        ("grpc_server_call_duration_seconds_count{code=\"NOT_FOUND\",method="
         "\"ScoreStream\"} 1\n"),
        "lm_words_total{model=\"en\",version=\"1\"}",
        "lm_first_word_seconds_count{model=\"en\",version=\"1\"} 1\n",
        "lm_model_loaded{model=\"en\",version=\"1\"} 1\n",
        "lm_model_load_seconds{model=\"en\",version=\"1\"} 0.",
        "lm_request_bytes 0\n", "lm_generate_words_left 0\n",
        "lm_state_bytes 0\n", "lm_calls_under_way 0\n", "lm_queued_words 0\n",
        "lm_score_cache_hits_total 2\n", "lm_score_cache_misses_total 2\n",
        "lm_score_cache_bytes 2", "process_open_fds ",
        "lm_build_info{version="}) {
    EXPECT_THAT(metrics, HasSubstr(expected));
  }
}

TEST_F(ServerFlagsTest, SocketModeAndRequiredModels) {
  const std::string socket = store_.File("socket");
  ServerProcess server(
      store_.path(), {"--socket-mode", "0600", "--require-models", "en,other"},
      absl::StrCat("unix:", socket));
  struct stat status;
  ASSERT_EQ(stat(socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(server.Client({"health"}).exit_code, 1);
  EXPECT_EQ(server.Client({"score", "the cat"}).exit_code, 0);
}

TEST_F(ServerFlagsTest, MetricsAnswerOnlyTheirPath) {
  ServerProcess server(store_.path(), {"--metrics-listen", "localhost:0"});
  const int port = MetricsPort(server.process());
  EXPECT_THAT(HttpGet(port, "/metrics"), HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_THAT(HttpGet(port, "/"), HasSubstr("HTTP/1.1 404 "));
}

TEST_F(ServerFlagsTest, ReportsAMetricsPortInUse) {
  ServerProcess first(store_.path(), {"--metrics-listen", "127.0.0.1:0"});
  const std::string address =
      absl::StrCat("127.0.0.1:", MetricsPort(first.process()));
  const Outcome second = RunProgram(Command(
      "lm_server", {"--store", store_.path(), "--listen", "127.0.0.1:0",
                    "--admin-listen", "", "--metrics-listen", address}));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.errors, HasSubstr(absl::StrCat("cannot listen on ",
                                                    address, " for metrics")));
}

}  // namespace
}  // namespace lmserve
