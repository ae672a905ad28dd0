// SPDX-License-Identifier: Apache-2.0
//
// What happens to the files of a store ends no server and changes no answer.

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/model_store/version_files.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

constexpr const char* kFiles[] = {"manifest.json", "ngram.bin", "selftest.json",
                                  "vocabulary.txt"};

class StoreDamageTest : public testing::Test {
 protected:
  StoreDamageTest() { PublishTinyModel(store_.path(), "en"); }

  static std::string Score(ServerProcess& server) {
    return server.Client({"score", "--model", "en"}, "the cat is small\n")
        .output;
  }

  // Waits until the list of models has a text.
  static void WaitFor(ServerProcess& server, const std::string& text) {
    while (server.Client({"models"}).output.find(text) == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  const TemporaryDirectory store_;
};

// As a copy on top of a version does. With a mapping of the file, the first
// call ends the server with SIGBUS, and the second one has a wrong answer.
TEST_F(StoreDamageTest, FilesAreTruncatedAndOverwritten) {
  ServerProcess server(store_.path(), {"--poll-seconds", "0.05"});
  const std::string expected = Score(server);
  EXPECT_THAT(expected, HasSubstr("-2.48"));
  const std::string path = store_.File("en/1/ngram.bin");
  const auto size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, 0);
  EXPECT_EQ(Score(server), expected);
  WriteBytes(path, std::string(size, '\1'));
  EXPECT_EQ(Score(server), expected);
  WaitFor(server, "efused");
  EXPECT_EQ(Score(server), expected);
  WriteBytes(store_.File("en/aliases.json"), "{\"versions\":");
  std::filesystem::resize_file(store_.File("en/1/manifest.json"), 0);
  EXPECT_EQ(Score(server), expected);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
}

TEST_F(StoreDamageTest, LinksOutOfTheStoreNeedAFlag) {
  const TemporaryDirectory elsewhere;
  for (const char* file : kFiles) {
    const std::string path = store_.File(absl::StrCat("en/1/", file));
    std::filesystem::rename(path, elsewhere.File(file));
    std::filesystem::create_symlink(elsewhere.File(file), path);
  }
  {
    ServerProcess server(store_.path());
    EXPECT_THAT(server.Client({"models"}).output,
                HasSubstr("symbolic link that leads out"));
  }
  ServerProcess server(store_.path(), {"--follow-links"});
  EXPECT_THAT(Score(server), HasSubstr("-2.48"));
  // The user of the trainer may follow them anyway.
  const Outcome outcome =
      RunTrainer({"inspect", "--store", store_.path(), "--model", "en"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
}

// Returns the memory of a server in MiB, or 0 if its program does not run yet.
double ServerMemory(pid_t process) {
  std::string name;
  std::ifstream(absl::StrCat("/proc/", process, "/comm")) >> name;
  if (name != "lm_server") return 0;
  std::ifstream status(absl::StrCat("/proc/", process, "/status"));
  for (std::string line; std::getline(status, line);) {
    double kilobytes;
    std::istringstream fields(line);
    if (fields >> name >> kilobytes && name == "VmRSS:") {
      return kilobytes / 1024;
    }
  }
  return 0;
}

// Publishes a version that takes seconds to read: a file with a hole of 4 GiB.
void PublishLarge(const std::string& store, const std::string& name) {
  constexpr uint64_t kSize = uint64_t{4} << 30;
  PublishTinyModel(store, name);
  const std::string directory = absl::StrCat(store, "/", name, "/1");
  std::filesystem::resize_file(directory + "/ngram.bin", kSize);
  ChangeManifest(directory, [](lm::v1::Manifest& manifest) {
    manifest.mutable_files(0)->set_size(kSize);
  });
}

TEST_F(StoreDamageTest, SignalDuringTheFirstLoad) {
  PublishLarge(store_.path(), "large");
  Process server(Command("lm_server", {"--store", store_.path(), "--listen",
                                       "127.0.0.1:0", "--admin-listen", ""}));
  const double before = 100;  // MiB, more than a server without models has
  for (int i = 0; i < 500 && ServerMemory(server.id()) < before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto start = std::chrono::steady_clock::now();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0) << server.Errors();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
  EXPECT_EQ(server.ReadAll(), "");
}

TEST_F(StoreDamageTest, SignalDuringALaterLoad) {
  ServerProcess server(store_.path(), {"--poll-seconds", "0.05"});
  PublishLarge(store_.path(), "large");
  WaitFor(server, "oading");
  EXPECT_THAT(Score(server), HasSubstr("-2.48"));
  const auto start = std::chrono::steady_clock::now();
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
}

TEST_F(StoreDamageTest, LoadThatTakesTooLong) {
  PublishLarge(store_.path(), "large");
  ServerProcess server(store_.path(), {"--load-seconds", "0.2"});
  EXPECT_THAT(Score(server), HasSubstr("-2.48"));
  EXPECT_THAT(server.Client({"models"}).output,
              HasSubstr("loading: expected an end after at most 0.2 s"));
}

}  // namespace
}  // namespace lmserve
