// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer export-counts: writes the counts of the n-grams of a text.

#include <memory>
#include <string>

#include "model_store/processors.h"
#include "text_io/output_file.h"
#include "trainer/commands/command.h"
#include "trainer/commands/counted_input.h"
#include "trainer/ngram/count_file.h"

namespace lmserve {
namespace {

struct ExportCountsOptions {
  std::string file;
  CountedInputOptions input;
  int threads = AvailableProcessors();
};

absl::Status ExportCounts(const ExportCountsOptions& options) {
  // Opened first, so that a name that cannot be written is found at once.
  absl::StatusOr<std::unique_ptr<OutputFile>> file =
      OutputFile::Open(options.file);
  if (!file.ok()) return file.status();
  const absl::StatusOr<CountedInput> input =
      ReadCountedInput(options.input, options.threads);
  if (!input.ok()) return input.status();
  WriteCounts(input->vocabulary, input->counts, (*file)->stream());
  return (*file)->Close();
}

}  // namespace

void AddExportCountsCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ExportCountsOptions>();
  cli::App& command = *app.add_subcommand(
      "export-counts",
      "Write the counts of the n-grams of a text, or the sums of the counts of "
      "several texts, for lm_trainer ngram --counts.\n"
      "  lm_trainer export-counts en.counts.gz --corpus text.xz --order 5");
  command
      .add_option("file", options->file,
                  "File to write, a line 'WORD ... WORD<TAB>COUNT' for each "
                  "n-gram, compressed if its name ends in .gz, .xz, .bz2 or "
                  ".zst, or - for the standard output")
      ->required();
  AddCountedInputOptions(command, "Text to count the n-grams of",
                         &options->input);
  command
      .add_option("--threads", options->threads,
                  "Number of threads that count n-grams")
      ->check(cli::Range(1, 256))
      ->capture_default_str();
  command.callback([=] {
    CheckCountedInput(options->input);
    *action = [=] { return ExportCounts(*options); };
  });
}

}  // namespace lmserve
