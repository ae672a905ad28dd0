// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/corpus.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "trainer/text/status_line.h"
#include "trainer/text/vocabulary_file.h"

namespace lmserve {
namespace {

constexpr WordId kUnknown = 0;
constexpr WordId kBegin = 1;
constexpr WordId kEnd = 2;
constexpr WordId kMarkers = 3;

// Reads a text. Words get preliminary ids in the order of their first
// occurrence; Build() renumbers them.
class CorpusBuilder {
 public:
  CorpusBuilder(LineReader& lines, const TextRules& rules)
      : lines_(lines), form_(rules.form), splitter_(lines, rules) {
    for (absl::string_view marker :
         {kUnknownWord, kBeginSentence, kEndSentence}) {
      AddWord(marker);
    }
  }

  // Reads the vocabulary from a file. All other words of the text are unknown.
  absl::Status FixVocabulary(const std::string& file) {
    const absl::StatusOr<std::vector<std::string>> words =
        ReadVocabularyFile(file);
    if (!words.ok()) return words.status();
    for (const std::string& word : *words) AddWord(word);
    fixed_ = true;
    return absl::OkStatus();
  }

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
    const std::vector<WordId> order = NewOrder(min_count);
    std::vector<WordId> new_ids(names_.size(), kUnknown);
    std::vector<absl::string_view> names;
    for (WordId id : order) {
      new_ids[id] = static_cast<WordId>(names.size());
      names.push_back(names_[id]);
    }
    for (WordId& word : words_) word = new_ids[word];
    if (names.size() == kMarkers) WarnAboutNoWords(lines_.name(), min_count);
    absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(names);
    if (!vocabulary.ok()) return vocabulary.status();
    Corpus corpus = {*std::move(vocabulary), std::move(words_)};
    corpus.sentences = sentences_;
    corpus.blank_lines = blank_lines_;
    corpus.unknown =
        std::count(corpus.words.begin(), corpus.words.end(), kUnknown);
    return corpus;
  }

 private:
  WordId AddWord(absl::string_view word) {
    const WordId id = static_cast<WordId>(names_.size());
    const auto added = ids_.emplace(word, id).first;
    names_.push_back(added->first);
    counts_.push_back(0);
    return id;
  }

  absl::Status AddSentence(absl::Span<const absl::string_view> sentence) {
    if (sentence.empty()) {
      ++blank_lines_;
      if (form_ == TextForm::kSentences) return absl::OkStatus();
    }
    ++sentences_;
    words_.push_back(kBegin);
    for (absl::string_view word : sentence) {
      const auto found = ids_.find(word);
      WordId id = kUnknown;
      if (found != ids_.end()) {
        id = found->second;
      } else if (!fixed_) {
        id = AddWord(word);
      }
      ++counts_[id];
      words_.push_back(id);
    }
    words_.push_back(kEnd);
    if (words_.size() > std::numeric_limits<uint32_t>::max() / 2) {
      return LineError(lines_,
                       "expected a corpus of at most 2^31 words, found more");
    }
    return absl::OkStatus();
  }

  // Returns the preliminary ids in the order of the final ids: the markers,
  // then the words to keep by falling frequency. Words of equal frequency keep
  // their order, and so does a fixed vocabulary.
  std::vector<WordId> NewOrder(uint64_t min_count) const {
    std::vector<WordId> ids(names_.size());
    std::iota(ids.begin(), ids.end(), 0u);
    if (fixed_) return ids;
    ids.erase(
        std::remove_if(ids.begin() + kMarkers, ids.end(),
                       [&](WordId id) { return counts_[id] < min_count; }),
        ids.end());
    std::stable_sort(
        ids.begin() + kMarkers, ids.end(),
        [&](WordId a, WordId b) { return counts_[a] > counts_[b]; });
    return ids;
  }

  LineReader& lines_;
  const TextForm form_;
  SentenceSplitter splitter_;
  std::vector<absl::string_view> sentence_;
  bool fixed_ = false;
  absl::node_hash_map<std::string, WordId> ids_;
  std::vector<absl::string_view> names_;  // views of the keys of ids_
  std::vector<uint64_t> counts_;
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
    absl::Status status = builder.FixVocabulary(options.vocabulary_file);
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
