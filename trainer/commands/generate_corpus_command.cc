// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer generate-corpus: writes a long text that an n-gram model draws.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/load_version.h"
#include "model_store/processors.h"
#include "models/model_factory.h"
#include "text_io/output_file.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/ngram/text_generator.h"
#include "trainer/text/progress.h"

namespace lmserve {
namespace {

// Each block of the text is drawn by one thread, from numbers of its own.
constexpr uint64_t kBlockWords = 1 << 16;

struct GenerateCorpusOptions {
  ModelOptions source;
  std::string output = "-";
  uint64_t words = 1'000'000;
  uint64_t rare_words = 0;
  uint64_t seed = 1;
  int threads = AvailableProcessors();
};

// Draws blocks on several threads and writes them in order.
class BlockWriter {
 public:
  BlockWriter(const GenerateCorpusOptions& options,
              const TextGenerator& generator, std::ostream& out)
      : options_(options), generator_(generator), out_(out) {}

  void Run() {
    std::vector<std::thread> helpers;
    for (int i = 1; i < options_.threads; ++i) {
      helpers.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& helper : helpers) helper.join();
    progress_.Finish(written_words_);
  }

 private:
  void Work() {
    std::string text;
    uint64_t block;
    while ((block = next_block_++) * kBlockWords < options_.words) {
      text.clear();
      const uint64_t words = generator_.Generate(
          options_.seed, block,
          std::min(kBlockWords, options_.words - block * kBlockWords), &text);
      std::unique_lock<std::mutex> lock(mutex_);
      turn_.wait(lock, [&] { return written_blocks_ == block; });
      // After an error the rest is not drawn.
      if (!out_.write(text.data(), static_cast<std::streamsize>(text.size()))) {
        next_block_ = options_.words;
      }
      ++written_blocks_;
      written_words_ += words;
      progress_.Show(written_words_,
                     std::min(1.0, static_cast<double>(written_words_) /
                                       static_cast<double>(options_.words)));
      turn_.notify_all();
    }
  }

  const GenerateCorpusOptions& options_;
  const TextGenerator& generator_;
  std::atomic<uint64_t> next_block_ = 0;
  std::mutex mutex_;  // guards what is below
  std::condition_variable turn_;
  std::ostream& out_;
  uint64_t written_blocks_ = 0;
  uint64_t written_words_ = 0;
  Progress progress_{"generating"};
};

absl::Status GenerateCorpus(const GenerateCorpusOptions& options) {
  const absl::StatusOr<ModelHandle> handle =
      LoadModelVersion(options.source.store, options.source.model);
  if (!handle.ok()) return handle.status();
  const auto* const model =
      dynamic_cast<const NgramSet*>((*handle)->model().left_to_right());
  if (model == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", options.source.model, ": expected the family ngram, found ",
        (*handle)->manifest().family()));
  }
  const absl::StatusOr<std::unique_ptr<TextGenerator>> generator =
      TextGenerator::Create(*model, options.rare_words);
  if (!generator.ok()) return generator.status();
  absl::StatusOr<std::unique_ptr<OutputFile>> file =
      OutputFile::Open(options.output);
  if (!file.ok()) return file.status();
  BlockWriter(options, **generator, (*file)->stream()).Run();
  return (*file)->Close();
}

}  // namespace

void AddGenerateCorpusCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<GenerateCorpusOptions>();
  cli::App& command = *app.add_subcommand(
      "generate-corpus",
      "Write sentences that an n-gram model draws, for tests with long texts. "
      "The text does not depend on the number of threads.\n"
      "  lm_trainer generate-corpus --words 20000000 --store store --model en "
      "> text");
  command.add_option("--words", options->words, "Number of words, at least")
      ->check(cli::Range(uint64_t{1}, uint64_t{1} << 50))
      ->capture_default_str();
  command
      .add_option("--rare-words", options->rare_words,
                  "Write made-up words in place of <unk>: as many different "
                  "ones, whose frequencies follow Zipf's law. 0: draw other "
                  "words in place of <unk>")
      ->check(cli::Range(uint64_t{0}, uint64_t{1} << 40))
      ->capture_default_str();
  command
      .add_option("--seed", options->seed,
                  "Random seed; the same seed gives the same text")
      ->capture_default_str();
  command
      .add_option("--output", options->output,
                  "File to write, compressed if its name ends in .gz, .xz, "
                  ".bz2 or .zst, or - for the standard output")
      ->capture_default_str();
  command.add_option("--threads", options->threads, "Number of threads")
      ->check(cli::Range(1, 256))
      ->capture_default_str();
  AddSourceOptions(command, &options->source);
  command.callback([=] { *action = [=] { return GenerateCorpus(*options); }; });
}

}  // namespace lmserve
