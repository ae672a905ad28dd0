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

absl::StatusOr<CountedInput> CountText(const CountedInputOptions& options,
                                       int threads) {
  absl::StatusOr<Corpus> corpus = ReadCorpusFile(options.corpus, options.text);
  if (!corpus.ok()) return corpus.status();
  NgramCounts counts = CountNgrams(*corpus, options.order, threads);
  std::vector<std::string> self_test =
      FirstSentences(corpus->vocabulary, corpus->words);
  CountedInput input = {std::move(corpus->vocabulary), std::move(counts),
                        corpus->sentences, corpus->tokens(),
                        std::move(self_test)};
  PrintTextSize(input.sentences, input.tokens, corpus->unknown,
                input.vocabulary.size(), corpus->blank_lines);
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
  PrintTextSize(input.sentences, input.tokens, words[vocabulary.unknown()],
                vocabulary.size(), /*blank_lines=*/0);
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
}

void CheckCountedInput(const CountedInputOptions& options) {
  if (!options.corpus.empty() || !options.counts.empty()) return;
  throw cli::ValidationError("--corpus", "expected a text or --counts");
}

absl::StatusOr<CountedInput> ReadCountedInput(
    const CountedInputOptions& options, int threads) {
  return options.counts.empty() ? CountText(options, threads)
                                : ReadCountFiles(options);
}

void PrintTextSize(uint64_t sentences, uint64_t tokens, uint64_t unknown,
                   uint64_t vocabulary, uint64_t blank_lines) {
  PrintMessage(absl::StrFormat(
      "%d sentences, %d tokens (%d unknown), %d words in the vocabulary%s",
      sentences, tokens, unknown, vocabulary,
      blank_lines == 0
          ? ""
          : absl::StrCat(", ", blank_lines, " blank lines ignored")));
}

}  // namespace lmserve
