// SPDX-License-Identifier: Apache-2.0
//
// Tests the process lm_server: how it stops, where it listens, and how it
// handles damaged and empty stores.

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::StartsWith;

// The log-probability of this text under the tiny model is ln(10) * -1.08.
constexpr char kTinyText[] = "the cat is small";
constexpr char kTinyScore[] = "-2.4868";

// The number of texts that lm_client sends in one message.
constexpr int kTextsPerMessage = 256;

std::string Texts(int count) {
  std::string texts;
  for (int i = 0; i < count; ++i) absl::StrAppend(&texts, kTinyText, "\n");
  return texts;
}

void FlipABit(const std::string& path, size_t byte) {
  std::string bytes = ReadFile(path);
  ASSERT_LT(byte, bytes.size());
  bytes[byte] ^= 1;
  WriteText(path, bytes);
}

class ServerProcessTest : public testing::Test {
 protected:
  // Sends texts to a running `lm_client score` and waits for the scores, which
  // are a header and one line for each text.
  static void StartScoring(Process& client) {
    ASSERT_TRUE(client.Write(Texts(kTextsPerMessage)));
    std::string line;
    for (int i = 0; i <= kTextsPerMessage; ++i) {
      ASSERT_TRUE(client.ReadLine(&line)) << client.Errors();
    }
    ASSERT_THAT(line, HasSubstr(kTinyScore));
  }

  // Sends SIGTERM and waits until the server accepts no new calls.
  static void StartDraining(ServerProcess& server) {
    server.process().Signal(SIGTERM);
    while (server.Client({"health"}).exit_code == 0) {
    }
  }

  const TemporaryDirectory store_;
};

TEST_F(ServerProcessTest, DrainsOnSigterm) {
  PublishTinyModel(store_.path(), "en");
  ServerProcess server(store_.path());
  Process client(ClientCommand(server, {"score", "--model", "en"}));
  StartScoring(client);
  StartDraining(server);
  // The server still answers the running stream.
  EXPECT_TRUE(client.Write(Texts(10)));
  client.CloseInput();
  const std::string rest = client.ReadAll();
  EXPECT_EQ(std::count(rest.begin(), rest.end(), '\n'), 11);
  EXPECT_THAT(rest, HasSubstr("all 266 texts"));
  EXPECT_EQ(client.Wait(), 0) << client.Errors();
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
  EXPECT_THAT(server.process().Errors(), HasSubstr("stopped"));
}

TEST_F(ServerProcessTest, CancelsCallsAfterTheDrainTime) {
  PublishTinyModel(store_.path(), "en");
  ServerProcess server(store_.path(), {"--drain-seconds", "0"});
  Process client(
      ClientCommand(server, {"--attempts", "1", "score", "--model", "en"}));
  StartScoring(client);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
  client.CloseInput();
  EXPECT_EQ(client.Wait(), 1);
  EXPECT_THAT(client.Errors(), StartsWith("lm_client: "));
}

TEST_F(ServerProcessTest, StopsOnSigint) {
  ServerProcess server(store_.path());
  server.process().Signal(SIGINT);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
}

TEST_F(ServerProcessTest, FailsIfTheAddressIsInUse) {
  PublishTinyModel(store_.path(), "en");
  ServerProcess server(store_.path());
  const Outcome second = RunProgram(
      Command("lm_server", {"--store", store_.path(), "--listen",
                            server.address(), "--admin-listen", ""}));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_EQ(second.output, "");
  EXPECT_THAT(second.errors,
              ContainsRegex("error\\] cannot listen on " + server.address()));
  const Outcome answer = server.Client({"score", kTinyText});
  EXPECT_EQ(answer.exit_code, 0);
  EXPECT_THAT(answer.output, HasSubstr(kTinyScore));
}

// A server that is restarted costs its clients time but no error.
TEST_F(ServerProcessTest, ARestartIsNoErrorForClients) {
  PublishTinyModel(store_.path(), "en");
  auto server = std::make_unique<ServerProcess>(store_.path());
  const std::string address = server->address();
  // A stream of texts that goes on while the server is restarted.
  Process stream(ClientCommand(*server, {"score", "--model", "en"}));
  StartScoring(stream);
  const Arguments command = ClientCommand(*server, {"score", "the cat"});
  server->process().Signal(SIGKILL);
  server->process().Wait();
  Process call(command);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  server = std::make_unique<ServerProcess>(store_.path(), Arguments(), address);
  ASSERT_EQ(server->address(), address);
  EXPECT_EQ(call.Wait(), 0) << call.Errors();
  EXPECT_THAT(call.Errors(), HasSubstr("; trying again"));
  ASSERT_TRUE(stream.Write(Texts(10)));
  stream.CloseInput();
  EXPECT_THAT(stream.ReadAll(), HasSubstr("all 266 texts"));
  EXPECT_EQ(stream.Wait(), 0) << stream.Errors();
}

TEST_F(ServerProcessTest, AnUnreachableServerIsAnErrorWithAHint) {
  const Outcome outcome = RunProgram(
      Command("lm_client", {"--server", "127.0.0.1:1", "--deadline", "0.3",
                            "score", "--model", "en", "the cat"}));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors,
              HasSubstr("(is lm_server running at 127.0.0.1:1, "
                        "without TLS? Otherwise use --tls-ca)"));
}

TEST_F(ServerProcessTest, ListensOnAUnixSocket) {
  PublishTinyModel(store_.path(), "en");
  const TemporaryDirectory directory;
  const std::string address = absl::StrCat("unix:", directory.File("socket"));
  ServerProcess server(store_.path(), {}, address);
  ASSERT_EQ(server.address(), address);
  EXPECT_THAT(server.Client({"score", kTinyText}).output,
              HasSubstr(kTinyScore));
}

TEST_F(ServerProcessTest, RefusesACorruptedVersionAndServesTheOneBefore) {
  PublishTinyModel(store_.path(), "en");
  PublishTinyModel(store_.path(), "en");
  FlipABit(store_.File("en/2/ngram.bin"), 100);
  ServerProcess server(store_.path());
  EXPECT_THAT(server.Client({"score", "--json", kTinyText}).output,
              HasSubstr("-2.48"));

  const Outcome text = server.Client({"models"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.output,
              ContainsRegex("refused en@2: file 'ngram.bin': SHA-256: "
                            "expected [0-9a-f]{64}, found [0-9a-f]{64}\n"));

  const auto json =
      nlohmann::json::parse(server.Client({"models", "--json"}).output);
  ASSERT_EQ(json["models"].size(), 1);
  EXPECT_EQ(json["models"][0]["version"], 1);
  EXPECT_EQ(json["models"][0]["default"], true);
  ASSERT_EQ(json["refused"].size(), 1);
  EXPECT_EQ(json["refused"][0]["name"], "en");
  EXPECT_EQ(json["refused"][0]["version"], 2);
  const auto manifest =
      nlohmann::json::parse(ReadFile(store_.File("en/2/manifest.json")));
  for (const auto& file : manifest["files"]) {
    if (file["name"] != "ngram.bin") continue;
    EXPECT_THAT(json["refused"][0]["reason"].get<std::string>(),
                HasSubstr(absl::StrCat("expected ",
                                       file["sha256"].get<std::string>())));
  }
}

TEST_F(ServerProcessTest, RefusesATruncatedVersion) {
  PublishTinyModel(store_.path(), "en");
  PublishTinyModel(store_.path(), "en");
  const std::string path = store_.File("en/2/ngram.bin");
  const size_t size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, size - 1);
  ServerProcess server(store_.path(), {"--incomplete-seconds", "0"});
  EXPECT_THAT(server.Client({"models"}).output,
              HasSubstr(absl::StrCat("refused en@2: file 'ngram.bin': size: "
                                     "expected ",
                                     size, ", found ", size - 1)));
}

TEST_F(ServerProcessTest, WaitsForAVersionThatIsBeingCopied) {
  PublishTinyModel(store_.path(), "en");
  PublishTinyModel(store_.path(), "en");
  const std::string path = store_.File("en/2/ngram.bin");
  const std::string bytes = ReadFile(path);
  std::filesystem::resize_file(path, 1);
  ServerProcess server(store_.path(), {"--poll-seconds", "0.1"});
  EXPECT_THAT(server.Client({"models"}).output,
              HasSubstr("incomplete en@2: file 'ngram.bin': size: expected "));
  std::filesystem::resize_file(path, 2);
  nlohmann::json json;
  std::string reason;
  do {
    json = nlohmann::json::parse(server.Client({"models", "--json"}).output);
    EXPECT_TRUE(json["refused"].empty());
    ASSERT_EQ(json["incomplete"].size(), 1);
    reason = json["incomplete"][0]["reason"];
  } while (!absl::EndsWith(reason, "found 2"));
  EXPECT_EQ(json["incomplete"][0]["name"], "en");
  EXPECT_EQ(json["incomplete"][0]["version"], 2);
  WriteText(path, bytes);
  while (server.Client({"score", "--model", "en@2", "a"}).exit_code != 0) {
  }
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
  const std::string log = server.process().Errors();
  EXPECT_THAT(log, ContainsRegex("info.*waiting for en@2, which is incomplete: "
                                 "file 'ngram.bin': size: expected "));
  EXPECT_EQ(log.find("waiting for"), log.rfind("waiting for"));  // one line
  EXPECT_THAT(log, testing::Not(HasSubstr("refused")));
  EXPECT_THAT(log, HasSubstr("serving en@2"));
}

TEST_F(ServerProcessTest, ServesAnEmptyStore) {
  ServerProcess server(store_.path());
  const Outcome health = server.Client({"health"});
  EXPECT_EQ(health.exit_code, 1);
  EXPECT_THAT(health.output + health.errors, HasSubstr("NOT_SERVING"));
  const auto json =
      nlohmann::json::parse(server.Client({"models", "--json"}).output);
  EXPECT_TRUE(json["models"].empty());
  EXPECT_TRUE(json["refused"].empty());
  const Outcome unnamed = server.Client({"score", "a"});
  EXPECT_EQ(unnamed.exit_code, 1);
  EXPECT_THAT(unnamed.errors, HasSubstr("serves no model"));
  const Outcome named = server.Client({"score", "--model", "en", "a"});
  EXPECT_EQ(named.exit_code, 1);
  EXPECT_THAT(named.errors, StartsWith("lm_client: NOT_FOUND: "));
  EXPECT_THAT(server.process().Errors(), HasSubstr("no model to serve"));
}

}  // namespace
}  // namespace lmserve
