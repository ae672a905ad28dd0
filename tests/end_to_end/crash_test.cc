// lm_trainer killed in the middle of publishing.

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

// Tells when something appears in a directory.
class Watch {
 public:
  explicit Watch(const std::string& directory)
      : descriptor_(inotify_init1(IN_CLOEXEC)) {
    if (inotify_add_watch(descriptor_, directory.c_str(),
                          IN_CREATE | IN_MOVED_TO) < 0) {
      abort();
    }
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { close(descriptor_); }

  void Wait() {
    alignas(inotify_event) char event[4096];
    if (read(descriptor_, event, sizeof event) <= 0) abort();
  }

 private:
  const int descriptor_;
};

// How many directories of unfinished versions there are.
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
  // It is killed when the first file system call of publishing shows; should
  // it be done by then, there is another round.
  constexpr int kRounds = 50;
  int rounds = 0;
  while (Unfinished(store.File("en")) == 0 && ++rounds <= kRounds) {
    Watch watch(store.File("en"));
    Process trainer(Command("lm_trainer", train));
    trainer.Write(text);
    trainer.CloseInput();
    watch.Wait();
    trainer.Signal(SIGKILL);
    trainer.Wait();
  }
  ASSERT_LE(rounds, kRounds) << "never caught in the middle";

  const auto opened = ModelStore::Open(store.path());
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE((*opened)->refused().empty());
  const uint64_t newest = (*opened)->Get("en").value()->version();
  // Rounds that came to their end have published.
  EXPECT_EQ(newest, rounds);
  const Outcome next = RunTrainer(train, text);
  EXPECT_EQ(next.output, absl::StrCat("en@", newest + 1, "\n"));
}

}  // namespace
}  // namespace lmserve
