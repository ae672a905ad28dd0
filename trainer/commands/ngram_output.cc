// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/ngram_output.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/publish.h"
#include "text_io/output_file.h"
#include "trainer/ngram/arpa_file.h"
#include "trainer/text/status_line.h"

namespace lmserve {

void AddNgramOutputOptions(cli::App& command, absl::string_view sizes,
                           NgramOutput* output) {
  AddLayoutOptions(command, sizes, &output->layout);
  command.add_option("--arpa", output->arpa,
                     "Also write the model to this ARPA file, compressed if "
                     "its name ends in .gz, .xz, .bz2 or .zst, or - for the "
                     "standard output");
  AddTargetOptions(command, &output->target);
}

absl::Status CheckNgramOutput(const NgramOutput& output) {
  absl::Status status =
      CheckCanPublish(output.target.store, output.target.model);
  if (!status.ok() || output.arpa.empty() || output.arpa == "-") return status;
  return OutputFile::Open(output.arpa).status();
}

void WarnOfScaling(uint64_t contexts) {
  if (contexts == 0) return;
  PrintMessage(absl::StrCat("warning: the distributions after ", contexts,
                            " contexts did not sum to 1; the probabilities of "
                            "their n-grams were scaled"));
}

namespace {

// Prints what was published, and writes the ARPA file.
absl::StatusOr<uint64_t> Report(const NgramOutput& output, uint64_t version,
                                const std::vector<uint64_t>& ngrams,
                                uint64_t bytes) {
  PrintMessage(absl::StrCat(absl::StrJoin(ngrams, " / "),
                            " n-grams of order 1 to ", ngrams.size(), ", ",
                            bytes, " bytes"));
  // With --arpa - the result is the ARPA file.
  const auto print = output.arpa == "-" ? ReportPublished : PrintPublished;
  print(output.target.model, version);
  if (!output.arpa.empty()) {
    absl::Status status = WriteArpaFile(
        output.target.store, output.target.model, version, output.arpa);
    if (!status.ok()) return status;
  }
  return version;
}

}  // namespace

absl::StatusOr<uint64_t> WriteNgramModel(
    const NgramOutput& output, const Vocabulary& vocabulary,
    const NgramFileContents& file,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test) {
  absl::StatusOr<uint64_t> version =
      PublishNgram(output.target.store, output.target.model, vocabulary, file,
                   std::move(properties), std::move(self_test));
  if (!version.ok()) return version;
  return Report(output, *version, file.ngrams, file.bytes.size());
}

absl::StatusOr<uint64_t> WriteNgramModel(
    const NgramOutput& output, const NgramFilePaths& files,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(files.ngram, error);
  if (error) return absl::ErrnoToStatus(error.value(), files.ngram);
  absl::StatusOr<uint64_t> version =
      PublishNgram(output.target.store, output.target.model, files,
                   std::move(properties), std::move(self_test));
  if (!version.ok()) return version;
  return Report(output, *version, files.ngrams, bytes);
}

absl::StatusOr<uint64_t> WriteNgramTable(
    const NgramOutput& output, const Vocabulary& vocabulary,
    const NgramTable& table, std::map<std::string, std::string> properties,
    std::vector<std::string> self_test) {
  const absl::StatusOr<NgramFileContents> file =
      BuildTableFile(table, output.layout);
  if (!file.ok()) return file.status();
  AddLayoutProperties(output.layout, &properties);
  return WriteNgramModel(output, vocabulary, *file, std::move(properties),
                         std::move(self_test));
}

}  // namespace lmserve
