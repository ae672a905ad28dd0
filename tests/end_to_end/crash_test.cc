// SPDX-License-Identifier: Apache-2.0
//
// Tests that a lm_trainer that is killed while it publishes does no damage.

#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/model_store.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

// Watches a directory for new entries.
class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::string& directory)
      : descriptor_(inotify_init1(IN_CLOEXEC)) {
    if (inotify_add_watch(descriptor_, directory.c_str(),
                          IN_CREATE | IN_MOVED_TO) < 0) {
      abort();
    }
  }
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;
  ~DirectoryWatch() { close(descriptor_); }

  // Waits for an entry that was created since construction.
  void Wait() {
    alignas(inotify_event) char event[4096];
    if (read(descriptor_, event, sizeof event) <= 0) abort();
  }

 private:
  const int descriptor_;
};

// Returns the number of directories of unfinished versions.
int Unfinished(const std::string& model) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(model)) {
    count += absl::StartsWith(entry.path().filename().string(), ".");
  }
  return count;
}

TEST(CrashTest, AKilledTrainerLeavesAStoreThatOpens) {
  const TemporaryDirectory store;
  const std::string text = DemoText(1000, 1);
  const Arguments train = {"ngram",   "--corpus",   "-",       "--order", "4",
                           "--store", store.path(), "--model", "en"};
  ASSERT_EQ(RunTrainer(train, text).exit_code, 0);
  // Each round kills the trainer when the first file of the new version
  // appears. If the trainer has finished by then, another round follows.
  constexpr int kRounds = 50;
  int rounds = 0;
  while (Unfinished(store.File("en")) == 0 && ++rounds <= kRounds) {
    DirectoryWatch watch(store.File("en"));
    Process trainer(Command("lm_trainer", train));
    trainer.Write(text);
    trainer.CloseInput();
    watch.Wait();
    trainer.Signal(SIGKILL);
    trainer.Wait();
  }
  ASSERT_LE(rounds, kRounds) << "never killed before the end";

  const auto opened = ModelStore::Open(store.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE((*opened)->refused().empty());
  const uint64_t newest = (*opened)->Get("en").value()->version();
  // Only the rounds before the last one have published a version.
  EXPECT_EQ(newest, rounds);
  const Outcome next = RunTrainer(train, text);
  EXPECT_EQ(next.output, absl::StrCat("en@", newest + 1, "\n"));
}

}  // namespace
}  // namespace lmserve
