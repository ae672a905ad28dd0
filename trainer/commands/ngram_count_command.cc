// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer ngram-count: counts the n-grams of a text, or of a part of it.

#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "models/ngram/ngram_table.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/counting_options.h"
#include "trainer/counting/count_text.h"

namespace lmserve {
namespace {

constexpr uint64_t kMaxShards = 100'000;

struct NgramCountOptions {
  CountOptions count;
  std::string output;
  CountingOptions counting;
};

// Reads "I/N", where I is from 1 to N. Returns what is wrong, or "".
std::string ParseShard(const std::string& text, CountOptions* options) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  uint64_t shard, shards;
  if (!absl::SimpleAtoi(parts.first, &shard) ||
      !absl::SimpleAtoi(parts.second, &shards) || shard < 1 || shard > shards ||
      shards > kMaxShards) {
    return absl::StrCat("expected I/N with I from 1 to N, as in 2/7, found '",
                        text, "'");
  }
  options->shard = shard - 1;
  options->shards = shards;
  return "";
}

absl::Status Count(NgramCountOptions& options) {
  CountOptions& count = options.count;
  if (count.shards > 1 && count.text.min_count > 1 &&
      count.text.vocabulary_file.empty()) {
    return absl::InvalidArgumentError(
        "--min-count: expected no value for a shard, whose counts do not say "
        "which words are rare in the whole text; pass it to ngram-merge");
  }
  absl::Status status = CheckNewCounts(options.output);
  if (!status.ok()) return status;
  count.threads = options.counting.threads;
  count.memory = options.counting.memory;
  return RunCountingWork(options.counting, CountTaskName(count, options.output),
                         [&](WorkDirectory& work, const StopFlag* stop) {
                           count.stop = stop;
                           return CountText(count, work, options.output);
                         });
}

}  // namespace

void AddNgramCountCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<NgramCountOptions>();
  cli::App& command = *app.add_subcommand(
      "ngram-count",
      "Count the n-grams of a text, or of one of N parts of it, and write the "
      "counts to a directory, for ngram-merge and ngram-assemble. The parts "
      "may be counted by different machines.\n"
      "  lm_trainer ngram-count --corpus text.xz --shard 1/2 --output "
      "counts-1");
  AddCorpusOptions(command, "Text to count", &options->count.corpus,
                   &options->count.text.rules);
  command
      .add_option("--order", options->count.order,
                  "Maximum number of words in an n-gram")
      ->check(cli::Range(1, kMaxNgramOrder))
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--shard",
          [options](const std::string& text) {
            ParseShard(text, &options->count);
          },
          "Count only part I of N, as in 1/2")
      ->check(cli::Validator([](const std::string& text) {
        CountOptions unused;
        return ParseShard(text, &unused);
      }));
  command
      .add_option("--output", options->output,
                  "Directory to which the counts are written")
      ->required();
  AddVocabularyOptions(command, &options->count.text);
  AddFileCountingOptions(command, &options->counting);
  command.callback([=] { *action = [=] { return Count(*options); }; });
}

}  // namespace lmserve
