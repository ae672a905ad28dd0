// lm_trainer import-arpa and export-arpa.

#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "trainer/commands/command.h"
#include "trainer/ngram/arpa.h"
#include "trainer/ngram/arpa_file.h"
#include "trainer/ngram/publish_ngram.h"

namespace lmserve {
namespace {

struct ImportOptions {
  ModelOptions target;
  std::string file;
  ArpaOptions arpa;
};

struct ExportOptions {
  ModelOptions source;
  std::string file;
};

// A text for the self-test: the likeliest n-gram begun by <s> would do, but any
// words serve.
std::vector<std::string> SelfTest(const Vocabulary& vocabulary) {
  std::string text;
  for (WordId w = 0; w < std::min<WordId>(vocabulary.size(), 20); ++w) {
    if (w == vocabulary.begin_sentence() || w == vocabulary.end_sentence()) {
      continue;
    }
    absl::StrAppend(&text, text.empty() ? "" : " ", vocabulary.word(w));
  }
  return {text};
}

absl::Status Import(const ImportOptions& options) {
  if (absl::Status status = CheckModelName(options.target.model);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.file);
  if (!lines.ok()) return lines.status();
  const absl::StatusOr<ArpaModel> model = ReadArpa(**lines, options.arpa);
  if (!model.ok()) return model.status();
  for (const std::string& warning : model->warnings) {
    std::cerr << "warning: " << warning << std::endl;
  }
  const absl::StatusOr<uint64_t> version = PublishNgram(
      options.target.store, options.target.model, model->vocabulary,
      model->table, {{"source", "ARPA file"}}, SelfTest(model->vocabulary));
  if (!version.ok()) return version.status();
  std::cout << options.target.model << "@" << *version << std::endl;
  return absl::OkStatus();
}

absl::Status Export(const ExportOptions& options) {
  const absl::StatusOr<uint64_t> version =
      FindVersion(options.source.store, options.source.model);
  if (!version.ok()) return version.status();
  return WriteArpaFile(options.source.store,
                       ParseModelName(options.source.model)->name, *version,
                       options.file);
}

}  // namespace

void AddImportArpaCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App& command = *app.add_subcommand(
      "import-arpa",
      "Publish an ARPA file of KenLM, SRILM or IRSTLM as the next version.\n"
      "  lm_trainer import-arpa en.arpa.gz --store store --model en");
  command
      .add_option("file", options->file,
                  "ARPA file: plain, .gz, .xz, or - for the standard input")
      ->required();
  command
      .add_option("--unknown-log10", options->arpa.unknown_log10,
                  "log10 P(<unk>) where the file has none")
      ->check(CLI::Range(-1000.0, 0.0))
      ->capture_default_str();
  command.add_flag("--clamp-positive", options->arpa.clamp_positive,
                   "Take positive log-probabilities as 0");
  AddModelOptions(command, "to publish", &options->target);
  command.callback([=] { *work = [=] { return Import(*options); }; });
}

void AddExportArpaCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App& command = *app.add_subcommand(
      "export-arpa",
      "Write an n-gram model as an ARPA file.\n"
      "  lm_trainer export-arpa en.arpa --store store --model en");
  command
      .add_option("file", options->file,
                  "ARPA file to write, or - for the standard output")
      ->required();
  AddModelOptions(command, "to write, NAME, NAME@VERSION or NAME@ALIAS",
                  &options->source);
  command.callback([=] { *work = [=] { return Export(*options); }; });
}

}  // namespace lmserve
