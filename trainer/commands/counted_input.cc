// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/counted_input.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/ngram/ngram_table.h"
#include "trainer/commands/common_options.h"
#include "trainer/ngram/count_file.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

void Report(const CountedInput& input, uint64_t unknown,
            absl::string_view more) {
  PrintMessage(absl::StrFormat(
      "%d sentences, %d tokens (%d unknown), %d words in the vocabulary%s",
      input.sentences, input.tokens, unknown, input.vocabulary.size(), more));
}

absl::StatusOr<CountedInput> CountText(const CountedInputOptions& options) {
  absl::StatusOr<Corpus> corpus = ReadCorpusFile(options.corpus, options.text);
  if (!corpus.ok()) return corpus.status();
  NgramCounts counts = CountNgrams(*corpus, options.order, options.threads);
  std::vector<std::string> self_test =
      FirstSentences(corpus->vocabulary, corpus->words);
  CountedInput input = {std::move(corpus->vocabulary), std::move(counts),
                        corpus->sentences, corpus->tokens(),
                        std::move(self_test)};
  Report(input, corpus->unknown,
         corpus->blank_lines == 0
             ? ""
             : absl::StrCat(", ", corpus->blank_lines, " blank lines ignored"));
  return input;
}

absl::StatusOr<CountedInput> ReadCountFiles(
    const CountedInputOptions& options) {
  absl::StatusOr<CountedText> text =
      ReadCounts(options.counts, options.order, options.text);
  if (!text.ok()) return text.status();
  for (const std::string& warning : text->warnings) {
    PrintMessage(absl::StrCat("warning: counts: ", warning));
  }
  CountedInput input = {std::move(text->vocabulary), std::move(text->counts)};
  const Vocabulary& vocabulary = input.vocabulary;
  const std::vector<uint32_t>& words = input.counts.levels[0].counts;
  input.sentences = words[vocabulary.end_sentence()];
  input.tokens = std::accumulate(words.begin(), words.end(), uint64_t{0}) -
                 words[vocabulary.begin_sentence()];
  input.self_test = {FirstWords(vocabulary)};
  Report(input, words[vocabulary.unknown()], "");
  return input;
}

}  // namespace

void AddCountedInputOptions(cli::App& command, const std::string& what,
                            CountedInputOptions* options) {
  cli::Option* corpus = AddCorpusOption(command, what, &options->corpus);
  AddTextRules(command, &options->text.rules);
  command
      .add_option("--counts", options->counts,
                  "Instead of --corpus: counts of n-grams, a line 'WORD ... "
                  "WORD<TAB>COUNT' for each n-gram of each order up to "
                  "--order, those of <s> and </s> included, as lm_trainer "
                  "count and SRILM's ngram-count -write make them. The counts "
                  "of several files, separated by commas, are added")
      ->delimiter(',')
      ->excludes(corpus);
  command
      .add_option("--order", options->order,
                  "Maximum number of words in an n-gram")
      ->check(cli::Range(1, kMaxNgramOrder))
      ->capture_default_str();
  AddVocabularyOptions(command, &options->text);
  command
      .add_option("--threads", options->threads,
                  "Number of threads that count n-grams")
      ->check(cli::Range(1, 256))
      ->capture_default_str();
}

void CheckCountedInput(const CountedInputOptions& options) {
  if (!options.corpus.empty() || !options.counts.empty()) return;
  throw cli::ValidationError("--corpus", "expected a text or --counts");
}

absl::StatusOr<CountedInput> ReadCountedInput(
    const CountedInputOptions& options) {
  return options.counts.empty() ? CountText(options) : ReadCountFiles(options);
}

}  // namespace lmserve
