// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/container/node_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "models/language_model.h"
#include "models/text.h"
#include "trainer/ngram/arpa.h"

namespace lmserve {
namespace {

float NaturalLog(double log10) {
  return log10 == kLog10OfZero ? kImpossible
                               : static_cast<float>(log10 * kLn10);
}

// Whether a number is neither NaN nor positive infinity.
bool IsNumber(double number) {
  return number < std::numeric_limits<double>::infinity();
}

// An n-gram of the order being read.
struct Entry {
  uint32_t context;  // its index among the n-grams of the next lower order
  WordId word;
  float log_prob;
  float backoff;
  uint64_t line;
};

class ArpaReader {
 public:
  ArpaReader(LineReader& lines, const ArpaOptions& options)
      : lines_(lines), options_(options) {}

  absl::StatusOr<ArpaModel> Read() {
    if (absl::Status status = ReadHeader(); !status.ok()) return status;
    if (absl::Status status = ReadUnigrams(); !status.ok()) return status;
    for (int k = 2; k <= order(); ++k) {
      if (absl::Status status = ReadLevel(k); !status.ok()) return status;
    }
    if (line_ != "\\end\\") return Unexpected("\\end\\");
    if (clamped_ > 0) {
      Warn(absl::StrCat(clamped_, " positive log-probabilities replaced by 0"));
    }
    if (skipped_ > 0) {
      Warn(absl::StrCat(skipped_, " n-grams with <s> after the first word ",
                        "ignored"));
    }
    table_.levels.back().backoffs.clear();
    return ArpaModel{*std::move(vocabulary_), std::move(table_),
                     std::move(warnings_)};
  }

 private:
  int order() const { return static_cast<int>(counts_.size()); }

  void Warn(std::string warning) { warnings_.push_back(std::move(warning)); }

  absl::Status Unexpected(absl::string_view expected) const {
    if (!lines_.status().ok()) return lines_.status();
    return LineError(lines_,
                     absl::StrCat("expected ", expected, ", found ",
                                  at_end_ ? "the end of the file"
                                          : absl::StrCat("'", line_, "'")));
  }

  // Advances to the next line that is not blank.
  bool NextLine() {
    while (lines_.Next(&line_)) {
      line_ = absl::StripAsciiWhitespace(line_);
      if (!line_.empty()) return true;
    }
    at_end_ = true;
    line_ = "";
    return false;
  }

  // Advances to the next n-gram. Returns false at the end of the section. An
  // n-gram starts with a number, so only the line of a section starts with a
  // backslash.
  bool NextEntry() { return NextLine() && line_[0] != '\\'; }

  absl::Status ReadHeader() {
    do {
      if (!NextLine()) return Unexpected("\\data\\");
    } while (line_ != "\\data\\");
    while (NextLine() && absl::ConsumePrefix(&line_, "ngram ")) {
      const size_t equals = line_.find('=');
      int k;
      uint64_t count;
      if (equals == absl::string_view::npos ||
          !absl::SimpleAtoi(line_.substr(0, equals), &k) ||
          !absl::SimpleAtoi(line_.substr(equals + 1), &count)) {
        return Unexpected("ngram ORDER=COUNT");
      }
      if (k != order() + 1 || k > kMaxNgramOrder) {
        return LineError(lines_,
                         absl::StrCat("expected order ", order() + 1, " (",
                                      kMaxNgramOrder, " at most), found ", k));
      }
      counts_.push_back(count);
    }
    if (counts_.empty()) return Unexpected("ngram 1=COUNT");
    table_.levels.resize(counts_.size());
    return absl::OkStatus();
  }

  absl::Status ExpectSection(int k) {
    const std::string section = absl::StrCat("\\", k, "-grams:");
    return line_ == section ? absl::OkStatus() : Unexpected(section);
  }

  void CheckCount(int k, uint64_t found) {
    if (found != counts_[k - 1]) {
      Warn(absl::StrCat("the header announces ", counts_[k - 1], " ", k,
                        "-grams, the file has ", found));
    }
  }

  // Parses a line of order k: sets the numbers, and words_ to the words.
  absl::Status ParseEntry(int k, float* log_prob, float* backoff) {
    words_ = SplitWords(line_);
    const size_t fields = words_.size();
    if (fields != size_t(k) + 1 && fields != size_t(k) + 2) {
      return LineError(lines_, absl::StrCat("expected a number, ", k,
                                            " words and at most one number, ",
                                            "found ", fields, " fields"));
    }
    double numbers[2] = {0, 0};
    const bool has_backoff = fields == size_t(k) + 2;
    if (!absl::SimpleAtod(words_[0], &numbers[0]) ||
        (has_backoff && !absl::SimpleAtod(words_.back(), &numbers[1]))) {
      return LineError(
          lines_, absl::StrCat("expected numbers first and last, ", "found '",
                               words_[0], "' and '", words_.back(), "'"));
    }
    if (!IsNumber(numbers[0]) || !IsNumber(numbers[1])) {
      return LineError(lines_, "expected a number, found NaN or infinity");
    }
    if (numbers[0] > 0) {
      if (!options_.clamp_positive) {
        return LineError(lines_,
                         absl::StrCat("expected a log-probability of at ",
                                      "most 0, found ", words_[0]));
      }
      numbers[0] = 0;
      ++clamped_;
    }
    if (numbers[1] * kLn10 > kMaxBackOff) {
      return LineError(
          lines_, absl::StrCat("expected a back-off weight of at most ",
                               kMaxBackOff / kLn10, ", found ", words_.back()));
    }
    *log_prob = NaturalLog(numbers[0]);
    *backoff = NaturalLog(numbers[1]);
    words_.erase(words_.begin());
    words_.resize(k);
    for (absl::string_view& word : words_) {
      if (word == "<UNK>") word = kUnknownWord;
    }
    return absl::OkStatus();
  }

  absl::Status ReadUnigrams() {
    if (absl::Status status = ExpectSection(1); !status.ok()) return status;
    NgramLevel& level = table_.levels[0];
    absl::node_hash_set<std::string> names;
    std::vector<absl::string_view> words;  // views of the names
    while (NextEntry()) {
      float log_prob, backoff;
      absl::Status status = ParseEntry(1, &log_prob, &backoff);
      if (!status.ok()) return status;
      const auto [name, is_new] = names.emplace(words_[0]);
      if (!is_new) return DuplicateError(1, *name, lines_.line_number());
      if (FindInvalidUtf8(*name) != absl::string_view::npos) {
        return LineError(lines_, "invalid UTF-8");
      }
      Add(1, 0, words.size(), log_prob, backoff);
      words.push_back(*name);
    }
    CheckCount(1, words.size());
    AddMarker(kUnknownWord, options_.unknown_log10, words);
    AddMarker(kBeginSentence, kLog10OfZero, words);
    AddMarker(kEndSentence, kLog10OfZero, words);
    vocabulary_ = Vocabulary::Create(words);
    if (!vocabulary_.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          lines_.name(), ", 1-grams: ", vocabulary_.status().message()));
    }
    // <s> is never predicted; its log-probability in the file is arbitrary.
    level.log_probs[vocabulary_->begin_sentence()] = kImpossible;
    return absl::OkStatus();
  }

  void AddMarker(absl::string_view marker, double log10,
                 std::vector<absl::string_view>& words) {
    if (std::find(words.begin(), words.end(), marker) != words.end()) return;
    Warn(absl::StrCat("the file has no ", marker, "; using the log10 ",
                      "probability ", log10));
    Add(1, 0, words.size(), NaturalLog(log10), 0);
    words.push_back(marker);
  }

  absl::Status ReadLevel(int k) {
    if (absl::Status status = ExpectSection(k); !status.ok()) return status;
    std::vector<Entry> entries;
    uint64_t count = 0;
    for (; NextEntry(); ++count) {
      Entry entry;
      entry.line = lines_.line_number();
      absl::Status status = ParseEntry(k, &entry.log_prob, &entry.backoff);
      if (!status.ok()) return status;
      if (std::count(words_.begin() + 1, words_.end(), kBeginSentence) > 0) {
        ++skipped_;
        continue;
      }
      if (status = Locate(&entry); !status.ok()) return status;
      entries.push_back(entry);
    }
    CheckCount(k, count);
    return Place(k, entries);
  }

  // Looks up the words and the context of the n-gram in words_.
  absl::Status Locate(Entry* entry) {
    std::vector<WordId> ids;
    for (absl::string_view word : words_) {
      if (!vocabulary_->Contains(word)) {
        return LineError(
            lines_, absl::StrCat("expected a word that is a 1-gram, found ",
                                 "'", word, "'"));
      }
      ids.push_back(vocabulary_->Find(word));
    }
    entry->word = ids.back();
    entry->context = ids[0];
    for (size_t i = 1; i + 1 < ids.size(); ++i) {
      const NgramLevel& level = table_.levels[i];
      const NgramLevel& contexts = table_.levels[i - 1];
      const auto begin =
          level.words.begin() + contexts.children[entry->context];
      const auto end =
          level.words.begin() + contexts.children[entry->context + 1];
      const auto found = std::lower_bound(begin, end, ids[i]);
      if (found == end || *found != ids[i]) {
        words_.pop_back();
        return LineError(lines_, absl::StrCat("expected a context that is a ",
                                              words_.size(), "-gram, found '",
                                              absl::StrJoin(words_, " "), "'"));
      }
      entry->context = found - level.words.begin();
    }
    return absl::OkStatus();
  }

  // Sorts the n-grams of order k into the table.
  absl::Status Place(int k, std::vector<Entry>& entries) {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) {
                return std::tie(a.context, a.word, a.line) <
                       std::tie(b.context, b.word, b.line);
              });
    NgramLevel& contexts = table_.levels[k - 2];
    contexts.children.assign(contexts.size() + 1, 0);
    for (size_t i = 0; i < entries.size(); ++i) {
      const Entry& entry = entries[i];
      if (i > 0 && entries[i - 1].context == entry.context &&
          entries[i - 1].word == entry.word) {
        return DuplicateError(k, vocabulary_->word(entry.word), entry.line);
      }
      Add(k, entry.context, entry.word, entry.log_prob, entry.backoff);
    }
    std::partial_sum(contexts.children.begin(), contexts.children.end(),
                     contexts.children.begin());
    return absl::OkStatus();
  }

  absl::Status DuplicateError(int k, absl::string_view last_word,
                              uint64_t line) const {
    return absl::InvalidArgumentError(absl::StrCat(
        lines_.name(), " line ", line, ": the ", k, "-gram that ends with '",
        last_word, "' occurs for ", "the second time"));
  }

  void Add(int k, uint32_t context, WordId word, float log_prob,
           float backoff) {
    NgramLevel& level = table_.levels[k - 1];
    level.words.push_back(word);
    level.log_probs.push_back(log_prob);
    level.backoffs.push_back(backoff);
    if (k > 1) ++table_.levels[k - 2].children[context + 1];
  }

  LineReader& lines_;
  const ArpaOptions options_;
  absl::string_view line_;
  bool at_end_ = false;
  std::vector<absl::string_view> words_;
  std::vector<uint64_t> counts_;  // of each order, from the header
  absl::StatusOr<Vocabulary> vocabulary_ = absl::UnknownError("");
  NgramTable table_;
  std::vector<std::string> warnings_;
  uint64_t skipped_ = 0;
  uint64_t clamped_ = 0;
};

}  // namespace

absl::StatusOr<ArpaModel> ReadArpa(LineReader& lines,
                                   const ArpaOptions& options) {
  return ArpaReader(lines, options).Read();
}

}  // namespace lmserve
