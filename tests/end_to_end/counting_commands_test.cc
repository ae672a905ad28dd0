// SPDX-License-Identifier: Apache-2.0
//
// Tests of the commands that count n-grams in files: their models are those of
// lm_trainer ngram, byte for byte.

#include <signal.h>

#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class CountingCommandsTest : public testing::Test {
 protected:
  CountingCommandsTest() {
    WriteText(corpus_, DemoText(20000, 1));
    EXPECT_EQ(RunTrainer(Ngram("memory", {})).exit_code, 0);
    EXPECT_EQ(RunTrainer(Ngram("compact", {"--layout", "compact"})).exit_code,
              0);
  }

  // The command line of lm_trainer ngram.
  Arguments Ngram(const std::string& model, const Arguments& more) const {
    Arguments arguments = {
        "ngram",   "--corpus", corpus_, "--store", directory_.File("store"),
        "--model", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  Arguments InFiles(const std::string& model,
                    const Arguments& more = {}) const {
    Arguments arguments =
        Ngram(model, {"--memory", "16M", "--temporary", Temporary()});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  std::string Temporary() const { return directory_.File("temporary"); }

  void ExpectSameModel(const std::string& model,
                       const std::string& other = "memory") const {
    for (const char* file : {"ngram.bin", "vocabulary.txt", "selftest.json"}) {
      const auto path = [&](const std::string& name) {
        return directory_.File(absl::StrCat("store/", name, "/1/", file));
      };
      const std::string expected = ReadFile(path(other));
      EXPECT_FALSE(expected.empty());
      EXPECT_TRUE(ReadFile(path(model)) == expected) << file;
    }
  }

  // Waits until a file is in the work directory, "" for any file.
  void WaitForFile(const std::string& file) const {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (absl::Now() < deadline) {
      std::error_code ignored;
      for (const auto& work :
           std::filesystem::directory_iterator(Temporary(), ignored)) {
        if (std::filesystem::exists(work.path() / file)) return;
      }
      std::this_thread::yield();
    }
  }

  // Interrupts a run when a file has appeared, and resumes it.
  void ExpectInterruptedRunIsResumed(const Arguments& more,
                                     const std::string& file) const {
    ASSERT_EQ(RunTrainer(Ngram("uninterrupted", more)).exit_code, 0);
    std::filesystem::create_directory(Temporary());
    bool was_interrupted = false;
    for (int attempt = 0; attempt < 5 && !was_interrupted; ++attempt) {
      const std::string model = absl::StrCat("resumed-", attempt);
      Process trainer(Command("lm_trainer", InFiles(model, more)));
      WaitForFile(file);
      trainer.Signal(SIGTERM);
      const int exit_code = trainer.Wait();
      if (exit_code == 0) continue;  // this thread had to wait for a processor
      EXPECT_EQ(exit_code, 75);
      EXPECT_THAT(trainer.Errors(), HasSubstr("interrupted; finished stages"));
      EXPECT_THAT(trainer.Errors(), HasSubstr("--resume to continue"));
      Arguments resumed = InFiles(model, more);
      resumed.push_back("--resume");
      const Outcome outcome = RunTrainer(resumed);
      EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
      ExpectSameModel(model, "uninterrupted");
      was_interrupted = true;
    }
    EXPECT_TRUE(was_interrupted);
  }

  const TemporaryDirectory directory_;
  const std::string corpus_ = directory_.File("text");
};

TEST_F(CountingCommandsTest, NgramInFiles) {
  for (const char* threads : {"1", "3"}) {
    const std::string model = absl::StrCat("threads-", threads);
    const Outcome outcome = RunTrainer(InFiles(model, {"--threads", threads}));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_EQ(outcome.output, model + "@1\n");
    ExpectSameModel(model);
    EXPECT_TRUE(std::filesystem::is_empty(Temporary()));
  }
}

TEST_F(CountingCommandsTest, CompactNgramInFiles) {
  for (const char* threads : {"1", "3"}) {
    const std::string model = absl::StrCat("threads-", threads);
    const Outcome outcome = RunTrainer(
        InFiles(model, {"--layout", "compact", "--threads", threads, "--valid",
                        corpus_, "--arpa", directory_.File("arpa")}));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_EQ(outcome.output, model + "@1\n");
    EXPECT_THAT(outcome.errors, HasSubstr("validation perplexity"));
    ExpectSameModel(model, "compact");
    EXPECT_THAT(ReadFile(directory_.File("arpa")), HasSubstr("\\1-grams:"));
    EXPECT_TRUE(std::filesystem::is_empty(Temporary()));
  }
}

TEST_F(CountingCommandsTest, CompactWittenBellInFiles) {
  const Arguments method = {"--layout",    "compact", "--smoothing",
                            "witten-bell", "--order", "4"};
  ASSERT_EQ(RunTrainer(Ngram("expected", method)).exit_code, 0);
  const Outcome outcome = RunTrainer(InFiles("found", method));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  ExpectSameModel("found", "expected");
}

TEST_F(CountingCommandsTest, CountMergeAssemble) {
  Arguments merge = {"ngram-merge", "--output", directory_.File("sum"),
                     "--temporary", Temporary()};
  for (int i = 1; i <= 3; ++i) {
    const std::string counts = directory_.File(absl::StrCat("counts-", i));
    const Outcome outcome = RunTrainer(
        {"ngram-count", "--corpus", corpus_, "--shard", absl::StrCat(i, "/3"),
         "--output", counts, "--temporary", Temporary()});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
    merge.push_back(counts);
  }
  ASSERT_EQ(RunTrainer(merge).exit_code, 0);
  const Outcome outcome = RunTrainer(
      {"ngram-assemble", directory_.File("sum"), "--temporary", Temporary(),
       "--store", directory_.File("store"), "--model", "sum"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "sum@1\n");
  ExpectSameModel("sum");
  // The counts are still there.
  const Outcome compact =
      RunTrainer({"ngram-assemble", directory_.File("sum"), "--temporary",
                  Temporary(), "--store", directory_.File("store"), "--model",
                  "compact-sum", "--layout", "compact", "--memory", "16M"});
  EXPECT_EQ(compact.exit_code, 0) << compact.errors;
  ExpectSameModel("compact-sum", "compact");
}

TEST_F(CountingCommandsTest, AVocabularyMustFitIntoTheMemory) {
  std::string text;
  for (int i = 0; i < 60'000; ++i) absl::StrAppend(&text, "word", i, "\n");
  WriteText(corpus_, text);
  const std::string counts = directory_.File("counts");
  ASSERT_EQ(RunTrainer({"ngram-count", "--corpus", corpus_, "--output", counts,
                        "--temporary", Temporary()})
                .exit_code,
            0);
  const Arguments assemble = {"ngram-assemble", counts,
                              "--temporary",    Temporary(),
                              "--store",        directory_.File("store"),
                              "--model",        "words",
                              "--layout",       "compact"};
  const auto with = [&](const std::string& memory) {
    Arguments arguments = assemble;
    arguments.insert(arguments.end(), {"--memory", memory});
    return RunTrainer(arguments);
  };
  const Outcome outcome = with("4M");
  EXPECT_EQ(outcome.exit_code, 75);
  EXPECT_THAT(outcome.errors, HasSubstr("60003 words need about"));
  EXPECT_EQ(with("16M").exit_code, 0);
}

// There may be more shards than sentences. Those without any are merged, but
// make no model of their own.
TEST_F(CountingCommandsTest, EmptyShards) {
  WriteText(corpus_, "a b a\n");
  ASSERT_EQ(RunTrainer(Ngram("one", {"--layout", "compact"})).exit_code, 0);
  Arguments merge = {"ngram-merge", "--output", directory_.File("sum"),
                     "--temporary", Temporary()};
  for (int i = 1; i <= 3; ++i) {
    merge.push_back(directory_.File(absl::StrCat("shard-", i)));
    const Outcome count = RunTrainer(
        {"ngram-count", "--corpus", corpus_, "--shard", absl::StrCat(i, "/3"),
         "--output", merge.back(), "--temporary", Temporary()});
    ASSERT_EQ(count.exit_code, 0) << count.errors;
  }
  const auto assemble = [&](const std::string& counts) {
    return RunTrainer({"ngram-assemble", directory_.File(counts), "--temporary",
                       Temporary(), "--layout", "compact", "--store",
                       directory_.File("store"), "--model", counts});
  };
  const Outcome empty = assemble("shard-3");
  EXPECT_EQ(empty.exit_code, 1);
  EXPECT_THAT(empty.errors, HasSubstr("at least one sentence, found none"));
  ASSERT_EQ(RunTrainer(merge).exit_code, 0);
  EXPECT_EQ(assemble("sum").exit_code, 0);
  ExpectSameModel("sum", "one");
}

// A run that a signal has interrupted says how to continue it.
TEST_F(CountingCommandsTest, AnInterruptedRunIsResumed) {
  // Long enough that the run does not end before the signal.
  WriteText(corpus_, DemoText(300000, 1));
  ExpectInterruptedRunIsResumed({}, "");
}

// The signal comes while the model is built.
TEST_F(CountingCommandsTest, AnInterruptedAssemblyIsResumed) {
  WriteText(corpus_, DemoText(300000, 1));
  ExpectInterruptedRunIsResumed({"--layout", "compact"}, "trie-words-1");
}

TEST_F(CountingCommandsTest, WrongOptions) {
  const auto error = [](const Outcome& outcome, int exit_code) {
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.errors;
    return outcome.errors;
  };
  EXPECT_THAT(error(RunTrainer(Ngram("m", {"--memory", "2X"})), 2),
              HasSubstr("expected a number of bytes such as 500M or 2G"));
  EXPECT_THAT(error(RunTrainer(Ngram("m", {"--memory", "1K"})), 2),
              HasSubstr("at least 4M"));
  const std::string output = directory_.File("counts");
  const Arguments count = {"ngram-count", "--corpus", corpus_, "--output",
                           output};
  const auto with = [&](Arguments more) {
    more.insert(more.begin(), count.begin(), count.end());
    return more;
  };
  EXPECT_THAT(error(RunTrainer(with({"--shard", "3/2"})), 2),
              HasSubstr("expected I/N with I from 1 to N"));
  EXPECT_THAT(
      error(RunTrainer(with({"--shard", "1/2", "--min-count", "2"})), 1),
      HasSubstr("pass it to ngram-merge"));
  ASSERT_EQ(RunTrainer(count).exit_code, 0);
  EXPECT_THAT(error(RunTrainer(count), 1), HasSubstr("found counts in it"));
  EXPECT_THAT(error(RunTrainer({"ngram-assemble", directory_.path(), "--store",
                                directory_.File("store"), "--model", "m"}),
                    1),
              HasSubstr("counts.json"));
}

TEST_F(CountingCommandsTest, GenerateCorpus) {
  const auto generate = [&](const Arguments& more) {
    Arguments arguments = {
        "generate-corpus", "--store", directory_.File("store"),
        "--model",         "memory",  "--words",
        "200000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunTrainer(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  };
  const std::string text = generate({"--threads", "1"});
  EXPECT_GT(text.size(), 600000u);
  EXPECT_TRUE(generate({"--threads", "4"}) == text);
  EXPECT_FALSE(generate({"--seed", "2"}) == text);
  generate({"--output", directory_.File("drawn")});
  EXPECT_TRUE(ReadFile(directory_.File("drawn")) == text);
}

}  // namespace
}  // namespace lmserve
