// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/printable_text.h"
#include "models/quoted.h"
#include "models/text.h"
#include "models/utf8.h"
#include "text_io/line_reader.h"
#include "trainer/ngram/count_file.h"
#include "trainer/text/progress.h"
#include "trainer/text/vocabulary_builder.h"

namespace lmserve {
namespace {

constexpr uint64_t kMaxCount = std::numeric_limits<uint32_t>::max();

// The n-grams of one order, as they were read or sorted.
struct NgramList {
  explicit NgramList(size_t k) : order(k) {}

  size_t order;
  std::vector<WordId> words;  // those of n-gram i start at i * order
  std::vector<uint64_t> counts;

  size_t size() const { return counts.size(); }
  absl::Span<const WordId> ngram(size_t i) const {
    return absl::MakeConstSpan(words).subspan(i * order, order);
  }
  void Add(absl::Span<const WordId> ngram, uint64_t count) {
    words.insert(words.end(), ngram.begin(), ngram.end());
    counts.push_back(count);
  }
};

// Returns the n-grams in the order of their words, each once.
NgramList Sorted(const NgramList& list) {
  std::vector<uint32_t> order(list.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto less = [&](uint32_t a, uint32_t b) {
    return list.ngram(a) < list.ngram(b);
  };
  if (!std::is_sorted(order.begin(), order.end(), less)) {
    std::sort(order.begin(), order.end(), less);
  }
  NgramList sorted(list.order);
  for (uint32_t i : order) {
    const bool is_again =
        sorted.size() > 0 && sorted.ngram(sorted.size() - 1) == list.ngram(i);
    if (is_again) {
      sorted.counts.back() += list.counts[i];
    } else {
      sorted.Add(list.ngram(i), list.counts[i]);
    }
  }
  return sorted;
}

// Reads the lines of the files.
class CountReader {
 public:
  explicit CountReader(int order) {
    for (int k = 1; k <= order; ++k) lists_.emplace_back(k);
  }

  VocabularyBuilder& vocabulary() { return vocabulary_; }
  std::vector<NgramList>& lists() { return lists_; }
  uint64_t skipped() const { return skipped_; }

  absl::Status Read(const std::string& file) {
    absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(file);
    if (!lines.ok()) return lines.status();
    Progress progress("reading");
    uint64_t words = 0;
    absl::string_view line;
    while ((*lines)->Next(&line)) {
      fields_.clear();
      ForEachWord(line,
                  [&](absl::string_view word) { fields_.push_back(word); });
      const std::string problem = fields_.empty() ? "" : AddLine(line);
      if (!problem.empty()) return LineError(**lines, problem);
      words += fields_.size();
      progress.Update(words, (*lines)->Progress());
    }
    if ((*lines)->status().ok()) progress.Finish(words);
    return (*lines)->status();
  }

  // Checks what can be checked before the words get their final ids.
  absl::Status CheckWords() const {
    for (WordId marker : {kBeginId, kEndId}) {
      if (vocabulary_.count(marker) > 0) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("counts: expected the 1-gram ", vocabulary_.word(marker),
                       ", since sentences are counted with their markers, "
                       "found none"));
    }
    for (const NgramList& list : lists_) {
      for (size_t i = 0; i < list.words.size(); ++i) {
        if (vocabulary_.count(list.words[i]) > 0) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            "counts: expected the 1-gram of each word, found none of ",
            Quoted(vocabulary_.word(list.words[i])), " in a ", list.order,
            "-gram"));
      }
    }
    return absl::OkStatus();
  }

 private:
  // Adds the n-gram in fields_. Returns what is wrong with the line, or "".
  std::string AddLine(absl::string_view line) {
    uint64_t count;
    if (fields_.size() < 2 || !absl::SimpleAtoi(fields_.back(), &count) ||
        count < 1 || count > kMaxCount) {
      return absl::StrCat("expected words and a count from 1 to ", kMaxCount,
                          ", found ", Quoted(line));
    }
    if (FindInvalidUtf8(line) != absl::string_view::npos) {
      return "invalid UTF-8";
    }
    fields_.pop_back();
    const size_t order = fields_.size();
    if (order > lists_.size()) {
      ++skipped_;
      return "";
    }
    ids_.clear();
    for (absl::string_view word : fields_) {
      ids_.push_back(
          vocabulary_.Add(word == kUnknownUppercase ? kUnknownWord : word));
    }
    if (std::find(ids_.begin() + 1, ids_.end(), kBeginId) != ids_.end() ||
        std::find(ids_.begin(), ids_.end() - 1, kEndId) != ids_.end() - 1) {
      return absl::StrCat(
          "expected <s> only as the first word and </s> only "
          "as the last one, found ",
          Quoted(absl::StrJoin(fields_, " ")));
    }
    if (order == 1) vocabulary_.Count(ids_[0], count);
    lists_[order - 1].Add(ids_, count);
    return "";
  }

  VocabularyBuilder vocabulary_;
  std::vector<NgramList> lists_;  // by order - 1; preliminary ids
  uint64_t skipped_ = 0;          // n-grams of higher orders
  std::vector<absl::string_view> fields_;
  std::vector<WordId> ids_;
};

// Builds the levels of NgramCounts, from order 1 up, and checks them.
class LevelAssembler {
 public:
  explicit LevelAssembler(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary) {}

  std::vector<CountedLevel> Take() { return std::move(levels_); }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Adds the next order. REQUIRES: the list is sorted.
  absl::Status Add(NgramList list) {
    const auto too_large =
        std::find_if(list.counts.begin(), list.counts.end(),
                     [](uint64_t count) { return count > kMaxCount; });
    if (too_large != list.counts.end()) {
      return Wrong(list, too_large - list.counts.begin(),
                   absl::StrCat("expected a count of at most ", kMaxCount,
                                ", found ", *too_large));
    }
    if (list.order == 1) {
      AddWords(list);
      return absl::OkStatus();
    }
    absl::Status status = AddNgrams(list);
    if (status.ok()) status = CheckSums(list.order);
    below_ = std::move(list);
    return status;
  }

 private:
  absl::Status Wrong(const NgramList& list, size_t i,
                     absl::string_view problem) const {
    return absl::InvalidArgumentError(
        absl::StrCat("counts: ", list.order, "-gram '", Spell(list.ngram(i)),
                     "': ", problem));
  }

  std::string Spell(absl::Span<const WordId> ngram) const {
    return absl::StrJoin(ngram, " ", [this](std::string* out, WordId word) {
      absl::StrAppend(out, Printable(vocabulary_.word(word)));
    });
  }

  // Order 1 has every word of the vocabulary.
  void AddWords(const NgramList& list) {
    CountedLevel& level = levels_.emplace_back();
    level.counts.resize(vocabulary_.size());
    level.words.resize(vocabulary_.size());
    std::iota(level.words.begin(), level.words.end(), WordId{0});
    for (size_t i = 0; i < list.size(); ++i) {
      level.counts[list.words[i]] = static_cast<uint32_t>(list.counts[i]);
    }
    below_ = NgramList(1);
    below_.words = level.words;
    below_.counts.assign(level.counts.begin(), level.counts.end());
  }

  // Links each n-gram to its context and to its suffix.
  absl::Status AddNgrams(const NgramList& list) {
    CountedLevel level;
    std::vector<uint32_t> children = {0};
    size_t context = 0;
    for (size_t i = 0; i < list.size(); ++i) {
      const absl::Span<const WordId> ngram = list.ngram(i);
      const auto before = ngram.subspan(0, list.order - 1);
      for (; context < below_.size() && below_.ngram(context) < before;
           ++context) {
        children.push_back(i);
      }
      if (context == below_.size() || below_.ngram(context) != before) {
        return Missing(list, i, before);
      }
      uint32_t suffix;
      if (!FindSuffix(context, ngram.back(), &suffix)) {
        return Missing(list, i, ngram.subspan(1));
      }
      level.words.push_back(ngram.back());
      level.counts.push_back(static_cast<uint32_t>(list.counts[i]));
      level.suffixes.push_back(suffix);
    }
    children.resize(below_.size() + 1, list.size());
    levels_.back().children = std::move(children);
    levels_.push_back(std::move(level));
    return absl::OkStatus();
  }

  absl::Status Missing(const NgramList& list, size_t i,
                       absl::Span<const WordId> part) const {
    return Wrong(list, i,
                 absl::StrCat("expected the counts of all orders, found none "
                              "of the ",
                              part.size(), "-gram '", Spell(part), "'"));
  }

  // Finds the n-gram without its first word in the level below, for an n-gram
  // whose context has an index in that level.
  bool FindSuffix(uint32_t context, WordId word, uint32_t* suffix) const {
    if (levels_.size() == 1) {
      *suffix = word;
      return true;
    }
    const CountedLevel& level = levels_.back();
    const std::vector<uint32_t>& children =
        levels_[levels_.size() - 2].children;
    const uint32_t shorter = level.suffixes[context];
    const auto end = level.words.begin() + children[shorter + 1];
    const auto found =
        std::lower_bound(level.words.begin() + children[shorter], end, word);
    *suffix = static_cast<uint32_t>(found - level.words.begin());
    return found != end && *found == word;
  }

  // Compares the counts of the contexts of order k - 1 with those of the
  // n-grams that extend them.
  absl::Status CheckSums(int k) {
    const CountedLevel& contexts = levels_[k - 2];
    const CountedLevel& level = levels_[k - 1];
    uint64_t wrong = 0, first = 0, first_sum = 0;
    bool is_extended = false;  // whether any context is to be extended
    for (size_t i = 0; i < contexts.size(); ++i) {
      if (contexts.words[i] == vocabulary_.end_sentence()) continue;
      is_extended = is_extended || contexts.counts[i] > 0;
      const uint64_t sum = std::accumulate(
          level.counts.begin() + contexts.children[i],
          level.counts.begin() + contexts.children[i + 1], uint64_t{0});
      if (sum != contexts.counts[i] && wrong++ == 0) {
        first = i;
        first_sum = sum;
      }
    }
    if (is_extended && level.size() == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "counts: expected all orders up to --order, found no ", k, "-gram"));
    }
    if (wrong > 0) {
      warnings_.push_back(absl::StrCat(
          "n-grams of order ", k - 1, " whose extensions by a word do not add ",
          "up to their count, unlike those of a text: ", wrong,
          "; the first is '", Spell(below_.ngram(first)), "' with ",
          contexts.counts[first], " and ", first_sum));
    }
    return absl::OkStatus();
  }

  const Vocabulary& vocabulary_;
  std::vector<CountedLevel> levels_;
  NgramList below_{1};  // the n-grams of the order added last
  std::vector<std::string> warnings_;
};

}  // namespace

absl::StatusOr<CountedText> ReadCounts(absl::Span<const std::string> files,
                                       int order,
                                       const CorpusOptions& options) {
  CountReader reader(order);
  if (!options.vocabulary_file.empty()) {
    absl::Status status = reader.vocabulary().Fix(options.vocabulary_file);
    if (!status.ok()) return status;
  }
  for (const std::string& file : files) {
    if (absl::Status status = reader.Read(file); !status.ok()) return status;
  }
  if (absl::Status status = reader.CheckWords(); !status.ok()) return status;
  absl::StatusOr<VocabularyBuilder::Result> built =
      reader.vocabulary().Build(options.min_count);
  if (!built.ok()) return built.status();
  LevelAssembler assembler(built->vocabulary);
  for (NgramList& list : reader.lists()) {
    for (WordId& word : list.words) word = built->ids[word];
    absl::Status status = assembler.Add(Sorted(list));
    if (!status.ok()) return status;
    list = NgramList(list.order);  // frees the memory
  }
  CountedText text = {std::move(built->vocabulary)};
  text.counts.begin_sentence = text.vocabulary.begin_sentence();
  text.warnings = assembler.warnings();
  text.counts.levels = assembler.Take();
  if (reader.skipped() > 0) {
    text.warnings.push_back(absl::StrCat(
        reader.skipped(), " n-grams of orders above ", order, " left out"));
  }
  return text;
}

}  // namespace lmserve
