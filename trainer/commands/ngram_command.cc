// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer ngram: trains an n-gram model on a text or on counts.

#include <algorithm>
#include <iostream>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "trainer/commands/command.h"
#include "trainer/commands/counted_input.h"
#include "trainer/commands/counting_options.h"
#include "trainer/commands/ngram_model.h"
#include "trainer/counting/count_text.h"
#include "trainer/counting/disk_plan.h"
#include "trainer/counting/text_ids.h"
#include "trainer/ngram/compact_assembly.h"

namespace lmserve {
namespace {

struct NgramOptions {
  NgramModelOptions model;
  CountedInputOptions input;
  CountingOptions counting;
  bool dry_run = false;
};

// The memory of an n-gram while a model is estimated and its file is built.
constexpr uint64_t kEstimateBytes = 60;

// Counts in memory, or reads counts.
absl::Status TrainInMemory(const NgramOptions& options) {
  absl::StatusOr<CountedInput> input =
      ReadCountedInput(options.input, options.counting.threads);
  if (!input.ok()) return input.status();
  const TrainingText text = {.sentences = input->sentences,
                             .tokens = input->tokens,
                             .min_count = options.input.text.min_count,
                             .self_test = input->self_test,
                             .rules = options.input.text.rules};
  return PublishFromCounts(options.model, text, input->vocabulary,
                           std::move(input->counts));
}

CountOptions ToCountOptions(const NgramOptions& options) {
  return {.corpus = options.input.corpus,
          .text = options.input.text,
          .order = options.input.order,
          .threads = options.counting.threads,
          .memory = options.counting.memory == 0 ? UINT64_MAX / 256
                                                 : options.counting.memory};
}

// Counts in files, within --memory.
absl::Status TrainInFiles(const NgramOptions& options, WorkDirectory& work,
                          const StopFlag* stop) {
  CountOptions count_options = ToCountOptions(options);
  count_options.stop = stop;
  const std::string directory = work.File("counts");
  absl::Status status = CountText(count_options, work, directory);
  if (!status.ok()) return status;
  return PublishFromDirectory(options.model, options.counting,
                              options.input.text.rules, directory,
                              /*is_temporary=*/true, stop, work);
}

// Reads the text and prints what counting it in files would need.
absl::Status PrintPlan(const NgramOptions& options) {
  const absl::StatusOr<TextIds> text =
      ReadTextIds(ToCountOptions(options), /*ids_file=*/"", /*words_file=*/"");
  if (!text.ok()) return text.status();
  const TextTotals& totals = text->totals;
  PrintTextSize(totals.sentences, totals.tokens, totals.unknown,
                text->counts.size(), totals.blank_lines);
  const DiskPlan plan =
      PlanDisk(options.input.order, text->counts,
               totals.tokens + totals.sentences, text->ngrams);
  const auto gigabytes = [](uint64_t bytes) {
    return static_cast<double>(bytes) * 1e-9;
  };
  const uint64_t ngrams =
      std::accumulate(text->ngrams.begin(), text->ngrams.end(), uint64_t{0});
  const bool stores_counts = StoresCounts(options.model);
  // The windows are removed when the trie has them.
  const uint64_t building =
      stores_counts ? plan.trie + PlanAssemblyDisk(text->ngrams) : plan.trie;
  std::cout << absl::StrFormat(
      "different n-grams, about   %s\n"
      "temporary files, at most   %.3f GB: counting %.3f, trie %.3f, model "
      "%.3f\n"
      "free in %-18s %.3f GB\n"
      "memory for the model       %.3f GB%s\n",
      absl::StrJoin(text->ngrams, " / "),
      gigabytes(std::max(plan.peak(), building)),
      gigabytes(plan.counting_peak()), gigabytes(plan.counts + plan.trie),
      gigabytes(building), options.counting.temporary,
      gigabytes(FreeDiskBytes(options.counting.temporary)),
      gigabytes(stores_counts
                    ? AssemblyMemory(text->counts.size(), text->word_bytes)
                    : ngrams * kEstimateBytes),
      stores_counts ? ", part of --memory" : ", besides --memory");
  return absl::OkStatus();
}

absl::Status Train(const NgramOptions& options) {
  if (options.dry_run) return PrintPlan(options);
  absl::Status status = CheckNgramModelOptions(options.model);
  if (!status.ok()) return status;
  if (options.counting.memory == 0) return TrainInMemory(options);
  return RunCountingWork(
      options.counting,
      ModelTaskName(options.model, CountTaskName(ToCountOptions(options))),
      [&](WorkDirectory& work, const StopFlag* stop) {
        return TrainInFiles(options, work, stop);
      });
}

}  // namespace

void AddNgramCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<NgramOptions>();
  cli::App& command = *app.add_subcommand(
      "ngram",
      "Train an n-gram model on a text or on counts, and publish it as a new "
      "version.\n"
      "  lm_trainer ngram --corpus text.xz --order 5 --store store --model en");
  AddCountedInputOptions(command, "Text to train on", &options->input);
  AddCountingOptions(command,
                     "Count in files instead of in memory, with about this "
                     "many bytes of memory for tables and buffers, as in 2G; "
                     "the model is the same. With --layout compact the model "
                     "is built in files, too; --layout fast loads the counts "
                     "into memory, 60 bytes for each n-gram",
                     &options->counting);
  command.add_flag("--dry-run", options->dry_run,
                   "Only read the text, and print about how many n-grams it "
                   "has and what --memory would need of disk and memory");
  AddNgramModelOptions(command, &options->model);
  command.callback([=] {
    CheckCountedInput(options->input);
    CheckLayoutOptions(options->model.output.layout);
    if (options->input.corpus.empty() &&
        (options->counting.memory > 0 || options->dry_run)) {
      throw cli::ValidationError(
          options->dry_run ? "--dry-run" : "--memory",
          "expected --corpus; counts in text form are read into memory");
    }
    *action = [=] { return Train(*options); };
  });
}

}  // namespace lmserve
