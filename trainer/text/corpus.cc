// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/corpus.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "trainer/text/status_line.h"
#include "trainer/text/vocabulary_builder.h"

namespace lmserve {
namespace {

// Reads a text. words_ has preliminary ids; Build() renumbers them.
class CorpusBuilder {
 public:
  CorpusBuilder(LineReader& lines, const TextRules& rules)
      : lines_(lines), form_(rules.form), splitter_(lines, rules) {}

  VocabularyBuilder& vocabulary() { return vocabulary_; }

  absl::Status Read(Progress& progress) {
    absl::string_view line;
    while (lines_.Next(&line)) {
      absl::Status status = splitter_.Split(line, &sentence_);
      if (status.ok()) status = AddSentence(sentence_);
      if (!status.ok()) return status;
      progress.Update(words_.size(), lines_.Progress());
    }
    if (!lines_.status().ok()) return lines_.status();
    if (!splitter_.Summary().empty()) PrintMessage(splitter_.Summary());
    if (sentences_ == 0) return NoSentenceError(lines_);
    WarnAboutUnknown(lines_.name(), splitter_.unwanted().unknown,
                     words_.size() - sentences_);
    return absl::OkStatus();
  }

  absl::StatusOr<Corpus> Build(uint64_t min_count) {
    absl::StatusOr<VocabularyBuilder::Result> built =
        vocabulary_.Build(min_count);
    if (!built.ok()) return built.status();
    if (built->vocabulary.size() == kMarkerIds) {
      WarnAboutNoWords(lines_.name(), min_count);
    }
    for (WordId& word : words_) word = built->ids[word];
    Corpus corpus = {std::move(built->vocabulary), std::move(words_)};
    corpus.sentences = sentences_;
    corpus.blank_lines = blank_lines_;
    corpus.unknown =
        std::count(corpus.words.begin(), corpus.words.end(), kUnknownId);
    return corpus;
  }

 private:
  absl::Status AddSentence(absl::Span<const absl::string_view> sentence) {
    if (sentence.empty()) {
      ++blank_lines_;
      if (form_ == TextForm::kSentences) return absl::OkStatus();
    }
    ++sentences_;
    words_.push_back(kBeginId);
    for (absl::string_view word : sentence) {
      const WordId id = vocabulary_.Add(word);
      vocabulary_.Count(id);
      words_.push_back(id);
    }
    words_.push_back(kEndId);
    if (words_.size() > std::numeric_limits<uint32_t>::max() / 2) {
      return LineError(lines_,
                       "expected a corpus of at most 2^31 words, found more");
    }
    return absl::OkStatus();
  }

  LineReader& lines_;
  const TextForm form_;
  SentenceSplitter splitter_;
  std::vector<absl::string_view> sentence_;
  VocabularyBuilder vocabulary_;
  std::vector<WordId> words_;
  uint64_t sentences_ = 0;
  uint64_t blank_lines_ = 0;
};

}  // namespace

void WarnAboutUnknown(absl::string_view name, uint64_t unknown,
                      uint64_t tokens) {
  if (unknown == 0) return;
  PrintMessage(absl::StrFormat(
      "warning: %s: %.2g %% of the tokens are <unk>, so the model will give "
      "unknown words about that probability (see --unk, and 'Unknown words' "
      "in trainer/README.md)",
      name, 100 * static_cast<double>(unknown) / static_cast<double>(tokens)));
}

void WarnAboutNoWords(absl::string_view name, uint64_t min_count) {
  if (min_count <= 1) return;
  PrintMessage(
      absl::StrCat("warning: ", name, ": no word occurs ", min_count,
                   " times (--min-count), so the model will know no words"));
}

absl::StatusOr<Corpus> ReadCorpus(LineReader& lines,
                                  const CorpusOptions& options,
                                  Progress& progress) {
  CorpusBuilder builder(lines, options.rules);
  if (!options.vocabulary_file.empty()) {
    absl::Status status = builder.vocabulary().Fix(options.vocabulary_file);
    if (!status.ok()) return status;
  }
  if (absl::Status status = builder.Read(progress); !status.ok()) {
    return status;
  }
  return builder.Build(options.min_count);
}

absl::StatusOr<Corpus> ReadCorpusFile(const std::string& file,
                                      const CorpusOptions& options) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(file);
  if (!lines.ok()) return lines.status();
  Progress progress("reading");
  absl::StatusOr<Corpus> corpus = ReadCorpus(**lines, options, progress);
  if (corpus.ok()) progress.Finish(corpus->tokens());
  return corpus;
}

std::vector<std::string> FirstSentences(const Vocabulary& vocabulary,
                                        absl::Span<const WordId> words) {
  constexpr size_t kSentences = 3, kWords = 100;
  std::vector<std::string> sentences;
  std::vector<absl::string_view> sentence;
  for (WordId id : words) {
    if (id == vocabulary.begin_sentence()) continue;
    if (id != vocabulary.end_sentence()) {
      if (sentence.size() < kWords) sentence.push_back(vocabulary.word(id));
      continue;
    }
    sentences.push_back(absl::StrJoin(sentence, " "));
    sentence.clear();
    if (sentences.size() == kSentences) break;
  }
  return sentences;
}

std::string FirstWords(const Vocabulary& vocabulary) {
  constexpr WordId kIds = 20;
  std::vector<absl::string_view> words;
  for (WordId id = 0; id < std::min(vocabulary.size(), kIds); ++id) {
    if (id == vocabulary.begin_sentence() || id == vocabulary.end_sentence()) {
      continue;
    }
    words.push_back(vocabulary.word(id));
  }
  return absl::StrJoin(words, " ");
}

}  // namespace lmserve
