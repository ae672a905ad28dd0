// SPDX-License-Identifier: Apache-2.0
//
// Tests the programs in surroundings that an operator may give them: signals,
// closed and few descriptors, and a log that nobody reads.

#include <fcntl.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "tests/end_to_end/http_get.h"
#include "tests/end_to_end/programs.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class SurroundingsTest : public testing::Test {
 protected:
  SurroundingsTest() { PublishTinyModel(store_.path(), "en"); }

  std::string Address() const {
    return absl::StrCat("unix:", store_.File("socket"));
  }

  // Returns the command that runs lm_server by a shell, which first does what
  // `redirections` says, such as 2>&-.
  Arguments ServerCommand(const std::string& redirections,
                          const Arguments& more = {}) const {
    Arguments command = {"/bin/sh", "-c",
                         absl::StrCat("exec \"$@\" ", redirections), "sh"};
    Arguments server =
        Command("lm_server", {"--store", store_.path(), "--listen", Address(),
                              "--admin-listen", ""});
    command.insert(command.end(), server.begin(), server.end());
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }

  grpc::Status Score(const std::string& request_id = "") const {
    lm::v1::LanguageModelService::Stub stub(channel_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(10));
    if (!request_id.empty()) context.AddMetadata("x-request-id", request_id);
    lm::v1::ScoreRequest request;
    request.set_model("en");
    request.add_texts()->set_text("the cat is small");
    lm::v1::ScoreResponse response;
    return stub.Score(&context, request, &response);
  }

  void WaitUntilItServes() {
    while (true) {
      channel_ = Connect(Address());
      if (Score().ok()) return;
      std::this_thread::sleep_for(milliseconds(10));
    }
  }

  const TemporaryDirectory store_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(SurroundingsTest, SighupIsIgnored) {
  ServerProcess server(store_.path());
  server.process().Signal(SIGHUP);
  while (!absl::StrContains(server.process().Errors(), "ignored SIGHUP")) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_EQ(server.Client({"score", "the cat"}).exit_code, 0);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
}

// The end of a service manager to which services tell their state.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& path)
      : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    EXPECT_EQ(
        bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
        0);
  }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  ~NotifySocket() { close(socket_); }

  // Waits for a message and returns it.
  std::string Receive() const {
    std::array<char, 256> message;
    const ssize_t size = recv(socket_, message.data(), message.size(), 0);
    return size < 0 ? "" : std::string(message.data(), size);
  }

 private:
  const int socket_;
};

TEST_F(SurroundingsTest, TellsTheServiceManagerItsState) {
  const std::string path = store_.File("notify");
  const NotifySocket manager(path);
  Arguments command = {"env", "NOTIFY_SOCKET=" + path};
  const Arguments run = ServerCommand("");
  command.insert(command.end(), run.begin(), run.end());
  Process server(command);
  EXPECT_EQ(manager.Receive(), "READY=1");
  channel_ = Connect(Address());
  EXPECT_TRUE(Score().ok());
  server.Signal(SIGTERM);
  EXPECT_EQ(manager.Receive(), "STOPPING=1");
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(SurroundingsTest, AServiceManagerThatIsGoneIsALineInTheLog) {
  for (const std::string& path :
       {std::string("no-path"), store_.File("missing"),
        std::string(200, '/')}) {
    Arguments command = {"env", "NOTIFY_SOCKET=" + path};
    const Arguments run = ServerCommand("");
    command.insert(command.end(), run.begin(), run.end());
    Process server(command);
    WaitUntilItServes();
    server.Signal(SIGTERM);
    EXPECT_EQ(server.Wait(), 0);
    EXPECT_THAT(server.Errors(), HasSubstr("NOTIFY_SOCKET " + path));
  }
}

TEST_F(SurroundingsTest, SigpipeIsIgnored) {
  ServerProcess server(store_.path());
  server.process().Signal(SIGPIPE);
  EXPECT_EQ(server.Client({"score", "the cat"}).exit_code, 0);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0);
}

// Runs lm_trainer with a standard output, and with "2>&1" also a standard
// error, that is a pipe without a reader. Returns its messages and its exit
// code.
std::string RunWithClosedPipe(const std::string& redirection,
                              const Arguments& arguments) {
  Arguments command = {"bash", "-c",
                       absl::StrCat("exec 3>&2 > >(:); wait $!; \"$@\" ",
                                    redirection, "; echo $? >&3"),
                       "bash"};
  const Arguments trainer = Command("lm_trainer", arguments);
  command.insert(command.end(), trainer.begin(), trainer.end());
  return RunProgram(command).errors;
}

// A pipe whose reader has enough ends lm_trainer quietly, as it ends other
// programs; a failure is reported nevertheless.
TEST_F(SurroundingsTest, AClosedPipeEndsTheTrainerQuietly) {
  const Arguments model = {"--store", store_.path(), "--model", "en"};
  const auto run = [&](Arguments arguments) {
    arguments.insert(arguments.end(), model.begin(), model.end());
    return RunWithClosedPipe("", arguments);
  };
  EXPECT_EQ(RunWithClosedPipe("", {"demo-corpus", "--sentences", "999999999"}),
            "141\n");
  EXPECT_EQ(run({"export-arpa", "-"}), "141\n");
  EXPECT_EQ(run({"inspect"}), "141\n");
  EXPECT_EQ(run({"alias", "7"}),
            "lm_trainer: alias: expected a character that is not a digit, "
            "found '7'\n1\n");
}

TEST_F(SurroundingsTest, AClosedPipeStopsNoTraining) {
  const std::string text = store_.File("text");
  WriteText(text, "the cat is small\nthe dog is big\n");
  EXPECT_EQ(
      RunWithClosedPipe("2>&1", {"recurrent", "--epochs", "2", "--units", "4",
                                 "--corpus", text, "--valid", text, "--store",
                                 store_.path(), "--model", "lstm"}),
      "141\n");
  EXPECT_TRUE(std::filesystem::exists(store_.File("lstm/1/manifest.json")));
}

// Otherwise the store or a connection would get the number 1 or 2, and the log
// would be written into it.
TEST_F(SurroundingsTest, ClosedStandardStreamsAreReplaced) {
  Process server(ServerCommand("<&- >&- 2>&-", {"--log-level", "debug"}));
  WaitUntilItServes();
  for (const char* stream : {"0", "1", "2"}) {
    EXPECT_EQ(std::filesystem::read_symlink(
                  absl::StrCat("/proc/", server.id(), "/fd/", stream)),
              "/dev/null");
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Score().ok());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(SurroundingsTest, AClientWithoutStandardOutputReportsIt) {
  ServerProcess server(store_.path());
  Arguments command = {"/bin/sh", "-c", "exec \"$@\" >&-", "sh"};
  for (const std::string& argument :
       ClientCommand(server, {"score", "the cat"})) {
    command.push_back(argument);
  }
  const Outcome outcome = RunProgram(command);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("lm_client: "));
}

// The version is published, and the exit code says that it could not be
// printed.
TEST_F(SurroundingsTest, ATrainerWithoutStandardStreamsPublishes) {
  const std::string text = store_.File("text");
  WriteText(text, "the cat is small\nthe dog is big\n");
  Arguments command = {"/bin/sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"};
  for (const std::string& argument :
       Command("lm_trainer",
               {"ngram", "--corpus", text, "--order", "2", "--smoothing",
                "witten-bell", "--store", store_.path(), "--model", "new"})) {
    command.push_back(argument);
  }
  EXPECT_EQ(RunProgram(command).exit_code, 1);
  EXPECT_EQ(RunTrainer({"inspect", "--store", store_.path(), "--model", "new"})
                .exit_code,
            0);
}

TEST_F(SurroundingsTest, TheLimitOfDescriptorsIsRaised) {
  Arguments command = ServerCommand("");
  command[2] = absl::StrCat("ulimit -S -n 40; ", command[2]);
  Process server(command);
  WaitUntilItServes();
  for (absl::string_view line : absl::StrSplit(
           ReadFile(absl::StrCat("/proc/", server.id(), "/limits")), '\n')) {
    if (!absl::StartsWith(line, "Max open files")) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    ASSERT_GE(words.size(), 5u);
    EXPECT_EQ(words[3], words[4]) << line;
  }
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

class LogReaderTest : public SurroundingsTest {
 protected:
  LogReaderTest() {
    EXPECT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
    // The server opens the other end. Nobody reads.
    reader_ = open(fifo_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~LogReaderTest() override { CloseReader(); }

  void CloseReader() {
    if (reader_ >= 0) close(reader_);
    reader_ = -1;
  }

  Arguments LoggingServer() const {
    return ServerCommand(
        absl::StrCat("2>", fifo_),
        {"--log-level", "debug", "--metrics-listen", "127.0.0.1:0"});
  }

  static uint64_t Dropped(int metrics_port) {
    const std::string metrics = HttpGet(metrics_port, "/metrics");
    const std::string name = "\nlm_log_lines_dropped_total ";
    const size_t at = metrics.find(name);
    uint64_t dropped = 0;
    if (at != std::string::npos) {
      const absl::string_view rest =
          absl::string_view(metrics).substr(at + name.size());
      EXPECT_TRUE(absl::SimpleAtoi(rest.substr(0, rest.find('\n')), &dropped));
    }
    return dropped;
  }

  const std::string fifo_ = store_.File("log");
  int reader_ = -1;
};

TEST_F(LogReaderTest, AReaderThatStallsCostsLinesAndNoCalls) {
  Process server(LoggingServer());
  const int port = MetricsPort(server);
  WaitUntilItServes();
  const std::string id(128, 'x');
  int calls = 0;
  while (Dropped(port) == 0) {
    for (int i = 0; i < 500; ++i, ++calls) ASSERT_TRUE(Score(id).ok());
    ASSERT_LT(calls, 50'000);
  }
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(LogReaderTest, AReaderThatIsGoneCostsLinesAndNoCalls) {
  Process server(LoggingServer());
  const int port = MetricsPort(server);
  WaitUntilItServes();
  CloseReader();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Score().ok());
  while (Dropped(port) == 0) ASSERT_TRUE(Score().ok());
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

}  // namespace
}  // namespace lmserve
