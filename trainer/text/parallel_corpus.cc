// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/parallel_corpus.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

// A stream keeps blank lines, so line i of both texts remains sentence i.
constexpr TextForm kForm = TextForm::kStream;

absl::StatusOr<Corpus> ReadAllLines(const std::string& file,
                                    CorpusOptions options) {
  options.rules.form = kForm;
  return ReadCorpusFile(file, options);
}

// Splits a text in the form of Corpus::words into sentences without <s> and
// </s>.
std::vector<std::vector<WordId>> SplitSentences(absl::Span<const WordId> words,
                                                const Vocabulary& vocabulary) {
  std::vector<std::vector<WordId>> sentences;
  for (WordId word : words) {
    if (word == vocabulary.begin_sentence()) {
      sentences.emplace_back();
    } else if (word != vocabulary.end_sentence()) {
      sentences.back().push_back(word);
    }
  }
  return sentences;
}

absl::StatusOr<std::vector<SentencePair>> MakePairs(
    const std::string& source_file, std::vector<std::vector<WordId>> sources,
    const std::string& file, std::vector<std::vector<WordId>> targets) {
  if (sources.size() != targets.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": expected as many lines as in ", source_file, ", ",
                     sources.size(), ", found ", targets.size()));
  }
  std::vector<SentencePair> pairs;
  size_t half_blank = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    half_blank += sources[i].empty() != targets[i].empty();
    if (sources[i].empty() || targets[i].empty()) continue;
    pairs.push_back({std::move(sources[i]), std::move(targets[i])});
  }
  if (half_blank > 0) {
    PrintMessage(absl::StrCat("warning: ", file, ": ", half_blank,
                              " pairs ignored, because only one of their two "
                              "lines is blank"));
  }
  if (pairs.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file, ": expected at least one sentence with a translation, found ",
        "none"));
  }
  return pairs;
}

}  // namespace

absl::StatusOr<ParallelCorpus> ReadParallelCorpus(
    const std::string& source_file, const CorpusOptions& source_options,
    const std::string& file, const CorpusOptions& options) {
  absl::StatusOr<Corpus> source = ReadAllLines(source_file, source_options);
  if (!source.ok()) return source.status();
  absl::StatusOr<Corpus> target = ReadAllLines(file, options);
  if (!target.ok()) return target.status();
  absl::StatusOr<std::vector<SentencePair>> pairs =
      MakePairs(source_file, SplitSentences(source->words, source->vocabulary),
                file, SplitSentences(target->words, target->vocabulary));
  if (!pairs.ok()) return pairs.status();
  ParallelCorpus corpus = {std::move(source->vocabulary),
                           std::move(target->vocabulary), *std::move(pairs)};
  for (const SentencePair& pair : corpus.pairs) {
    corpus.tokens += pair.target.size() + 1;
  }
  return corpus;
}

absl::StatusOr<std::vector<SentencePair>> ReadSentencePairs(
    const std::string& source_file, const Vocabulary& source_vocabulary,
    const std::string& file, const Vocabulary& vocabulary, TextRules rules) {
  rules.form = kForm;
  const absl::StatusOr<std::vector<WordId>> source =
      ReadTextFile(source_file, source_vocabulary, rules);
  if (!source.ok()) return source.status();
  const absl::StatusOr<std::vector<WordId>> target =
      ReadTextFile(file, vocabulary, rules);
  if (!target.ok()) return target.status();
  return MakePairs(source_file, SplitSentences(*source, source_vocabulary),
                   file, SplitSentences(*target, vocabulary));
}

}  // namespace lmserve
