// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/ngram_model.h"

#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/loaded_version.h"
#include "text_io/line_reader.h"
#include "trainer/commands/counted_input.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/counts_directory.h"
#include "trainer/counting/disk_plan.h"
#include "trainer/counting/suffix_links.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/word_list.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/ngram/compact_assembly.h"
#include "trainer/ngram/compact_estimate.h"
#include "trainer/ngram/load_counts.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

std::map<std::string, std::string> Properties(const NgramModelOptions& options,
                                              const TrainingText& text) {
  const EstimateOptions& estimate = options.estimate;
  std::map<std::string, std::string> properties = {
      {"smoothing", estimate.smoothing.method},
      {"sentences", absl::StrCat(text.sentences)},
      {"tokens", absl::StrCat(text.tokens)},
  };
  if (!estimate.prune.empty()) {
    properties["prune"] = absl::StrJoin(estimate.prune, " ");
  }
  AddLayoutProperties(options.output.layout, &properties);
  if (text.min_count > 1) {
    properties["min_count"] = absl::StrCat(text.min_count);
  }
  return properties;
}

// Reports the perplexity of a published version on the validation text.
absl::Status Validate(const NgramModelOptions& options, const TextRules& rules,
                      uint64_t version) {
  absl::StatusOr<ModelHandle> handle = LoadModel(
      options.output.target.store, options.output.target.model, version);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.valid);
  if (!lines.ok()) return lines.status();
  Progress progress("validating");
  const absl::StatusOr<Evaluation> result =
      Evaluate(*(*handle)->model().left_to_right(), **lines, rules, progress);
  if (!result.ok()) return result.status();
  PrintMessage(absl::StrFormat(
      "validation perplexity %.4f, %.4f without the %d unknown of %d tokens",
      result->Perplexity(), result->PerplexityExcludingOov(), result->oov,
      result->tokens));
  return absl::OkStatus();
}

// Estimates the model and builds its file. Prints notes.
absl::StatusOr<NgramFileContents> BuildFile(const NgramModelOptions& options,
                                            NgramCounts counts) {
  if (StoresCounts(options)) {
    absl::StatusOr<CompactEstimate> estimate =
        EstimateCompact(counts, options.estimate);
    if (!estimate.ok()) return estimate.status();
    for (const std::string& note : estimate->notes) PrintMessage(note);
    return std::move(estimate->file);
  }
  const absl::StatusOr<Estimate> estimate =
      EstimateModel(counts, options.estimate);
  if (!estimate.ok()) return estimate.status();
  for (const std::string& note : estimate->notes) PrintMessage(note);
  counts = {};
  return BuildTableFile(estimate->table, options.output.layout);
}

absl::Status WrongVocabulary(const CountsManifest& manifest,
                             const std::string& words, uint64_t found) {
  return absl::DataLossError(
      absl::StrCat(words, ": expected ", manifest.vocabulary,
                   " words, as counts.json says, found ", found));
}

// Whether the vocabulary of a model that is assembled in files fits.
absl::Status CheckAssemblyMemory(const CountsManifest& manifest,
                                 const std::string& words, uint64_t memory) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(words, error);
  if (error) return absl::ErrnoToStatus(error.value(), words);
  const uint64_t needed = AssemblyMemory(manifest.vocabulary, bytes);
  if (needed <= memory) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "%d words need about %d MB of --memory; give more, or leave out rare "
      "words with --min-count or --vocabulary",
      manifest.vocabulary, (needed >> 20) + 1));
}

// Builds the trie of the windows in a directory, and links it.
absl::StatusOr<TrieShape> MakeTrie(const CountingOptions& counting,
                                   const CountsManifest& manifest,
                                   const std::string& directory,
                                   bool is_temporary, const StopFlag* stop,
                                   WorkDirectory& work) {
  absl::Status status = CheckFreeDisk(
      work.path(), PlanTrieDisk(manifest.vocabulary, manifest.ngrams),
      "building the trie");
  if (!status.ok()) return status;
  absl::StatusOr<TrieShape> shape = WriteTrie(directory, manifest, stop, work);
  if (!shape.ok()) return shape;
  if (is_temporary) {
    for (const CountsPart& part : manifest.parts) {
      unlink(absl::StrCat(directory, "/", part.name).c_str());
    }
  }
  status = LinkSuffixes(*shape, counting.memory, counting.threads, stop, work);
  if (!status.ok()) return status;
  return shape;
}

// Writes the words of a list as vocabulary.txt, and the first of them to
// *first_words.
absl::Status WriteVocabulary(const CountsManifest& manifest,
                             const std::string& words, const std::string& path,
                             std::string* first_words) {
  constexpr size_t kFirstWords = 20;
  auto file = ByteWriter::Create(path);
  if (!file.ok()) return file.status();
  std::vector<std::string> first;
  uint64_t number = 0;
  absl::Status status = ReadWordList(words, [&](const CountedWord& word) {
    if (number++ < kFirstWords) first.emplace_back(word.text);
    (*file)->Write(word.text);
    (*file)->WriteByte('\n');
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (number != manifest.vocabulary) {
    return WrongVocabulary(manifest, words, number);
  }
  const absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(
      std::vector<absl::string_view>(first.begin(), first.end()));
  if (!vocabulary.ok()) return vocabulary.status();
  *first_words = FirstWords(*vocabulary);
  return (*file)->Close(/*is_durable=*/true);
}

// Builds a compact model from a trie in files, and publishes the file.
absl::Status PublishAssembled(const NgramModelOptions& options,
                              const CountingOptions& counting,
                              const CountsManifest& manifest,
                              const std::string& words, const TrieShape& shape,
                              TrainingText text, const StopFlag* stop,
                              WorkDirectory& work) {
  const absl::StatusOr<AssembledModel> model =
      AssembleCompact(shape, options.estimate, counting.threads, stop, work);
  if (!model.ok()) return model.status();
  for (const std::string& note : model->notes) PrintMessage(note);
  const NgramFilePaths files = {.vocabulary = work.File(kVocabularyFile),
                                .ngram = model->path,
                                .ngrams = shape.ngrams};
  std::string first_words;
  absl::Status status =
      WriteVocabulary(manifest, words, files.vocabulary, &first_words);
  if (!status.ok()) return status;
  if (text.self_test.empty()) text.self_test = {first_words};
  const absl::StatusOr<uint64_t> version = WriteNgramModel(
      options.output, files, Properties(options, text), text.self_test);
  if (!version.ok()) return version.status();
  return options.valid.empty() ? absl::OkStatus()
                               : Validate(options, text.rules, *version);
}

}  // namespace

bool StoresCounts(const NgramModelOptions& options) {
  return options.output.layout.is_compact() &&
         IsFunctionOfCounts(options.estimate);
}

void AddNgramModelOptions(cli::App& command, NgramModelOptions* options) {
  command.add_option("--valid", options->valid,
                     "Report the perplexity on this text after training");
  SmoothingOptions& smoothing = options->estimate.smoothing;
  const auto methods = SmoothingMethods();
  command.add_option("--smoothing", smoothing.method, "Smoothing method")
      ->check(cli::IsMember(
          std::vector<std::string>(methods.begin(), methods.end())))
      ->capture_default_str();
  command
      .add_option("--delta", smoothing.delta,
                  "With --smoothing additive: added to every count")
      ->capture_default_str();
  command
      .add_option("--alpha", smoothing.alpha,
                  "With --smoothing stupid-back-off: factor of each back-off")
      ->capture_default_str();
  command.add_option(
      "--prune", options->estimate.prune,
      "Omit n-grams that occur at most this often: one threshold "
      "per order, as in 0 0 1; the last one also applies to all "
      "higher orders");
  AddNgramOutputOptions(command,
                        "about 1.25 with the smoothings modified-kneser-ney "
                        "and witten-bell without --prune, otherwise 3 to 5",
                        &options->output);
}

absl::Status CheckNgramModelOptions(const NgramModelOptions& options) {
  absl::Status status = CheckPruning(options.estimate.prune);
  if (status.ok() && options.output.layout.quantize > 0 &&
      StoresCounts(options)) {
    status = absl::InvalidArgumentError(
        "--quantize: expected a model whose compact layout has probabilities; "
        "this one has counts, which are exact and take about 1.25 bytes per "
        "n-gram. Leave the option out");
  }
  if (status.ok()) status = CheckNgramOutput(options.output);
  if (!status.ok() || options.valid.empty() || options.valid == "-") {
    return status;
  }
  return LineReader::Open(options.valid).status();
}

absl::Status PublishFromCounts(const NgramModelOptions& options,
                               const TrainingText& text,
                               const Vocabulary& vocabulary,
                               NgramCounts counts) {
  const absl::StatusOr<NgramFileContents> file =
      BuildFile(options, std::move(counts));
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> version =
      WriteNgramModel(options.output, vocabulary, *file,
                      Properties(options, text), text.self_test);
  if (!version.ok()) return version.status();
  return options.valid.empty() ? absl::OkStatus()
                               : Validate(options, text.rules, *version);
}

std::string ModelTaskName(const NgramModelOptions& options,
                          const std::string& counting) {
  return TaskName({counting, options.output.layout.layout,
                   options.estimate.smoothing.method});
}

absl::Status PublishFromDirectory(const NgramModelOptions& options,
                                  const CountingOptions& counting,
                                  const TextRules& rules,
                                  const std::string& directory,
                                  bool is_temporary, const StopFlag* stop,
                                  WorkDirectory& work) {
  const absl::StatusOr<CountsManifest> manifest = ReadCountsManifest(directory);
  if (!manifest.ok()) return manifest.status();
  const TextTotals& totals = manifest->totals;
  if (totals.sentences == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory, ": expected counts of at least one sentence, found none"));
  }
  PrintTextSize(totals.sentences, totals.tokens, totals.unknown,
                manifest->vocabulary, totals.blank_lines);
  const std::string words = absl::StrCat(directory, "/", kWordsFile);
  const bool stores_counts = StoresCounts(options);
  absl::Status status;
  if (stores_counts) {
    status = CheckAssemblyMemory(*manifest, words, counting.memory);
    if (!status.ok()) return status;
  }
  const absl::StatusOr<TrieShape> shape =
      MakeTrie(counting, *manifest, directory, is_temporary, stop, work);
  if (!shape.ok()) return shape.status();
  TrainingText text = {.sentences = totals.sentences,
                       .tokens = totals.tokens,
                       .min_count = manifest->min_count,
                       .self_test = {},
                       .rules = rules};
  for (const FirstSentence& sentence : totals.self_test) {
    text.self_test.push_back(sentence.text);
  }
  if (stores_counts) {
    return PublishAssembled(options, counting, *manifest, words, *shape,
                            std::move(text), stop, work);
  }
  const absl::StatusOr<Vocabulary> vocabulary = ReadWordListVocabulary(words);
  if (!vocabulary.ok()) return vocabulary.status();
  if (vocabulary->size() != manifest->vocabulary) {
    return WrongVocabulary(*manifest, words, vocabulary->size());
  }
  absl::StatusOr<NgramCounts> counts = LoadCounts(*shape, work);
  if (!counts.ok()) return counts.status();
  if (text.self_test.empty()) text.self_test = {FirstWords(*vocabulary)};
  return PublishFromCounts(options, text, *vocabulary, *std::move(counts));
}

}  // namespace lmserve
