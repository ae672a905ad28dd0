// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/node_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "models/ngram/fast/ngram_file.h"
#include "models/quoted.h"
#include "models/text.h"
#include "models/utf8.h"
#include "ngram_files/arpa.h"

namespace lmserve {
namespace {

// The most n-grams that occur twice and are named in warnings.
constexpr uint64_t kMaxNamedTwice = 10;

// Whether a character separates the fields of a line. The form feed and the
// vertical tab, which separate words of a text, do not: KenLM's files have them
// in words.
bool IsArpaSpace(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\0';
}

absl::string_view StripArpaSpace(absl::string_view line) {
  while (!line.empty() && IsArpaSpace(line.front())) line.remove_prefix(1);
  while (!line.empty() && IsArpaSpace(line.back())) line.remove_suffix(1);
  return line;
}

void SplitFields(absl::string_view line,
                 std::vector<absl::string_view>* fields) {
  fields->clear();
  for (size_t i = 0; i < line.size();) {
    while (i < line.size() && IsArpaSpace(line[i])) ++i;
    const size_t begin = i;
    while (i < line.size() && !IsArpaSpace(line[i])) ++i;
    if (i > begin) fields->push_back(line.substr(begin, i - begin));
  }
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

  absl::StatusOr<ImportedNgrams> Read() {
    if (absl::Status status = ReadHeader(); !status.ok()) return status;
    if (absl::Status status = ReadUnigrams(); !status.ok()) return status;
    for (int k = 2; k <= order(); ++k) {
      if (absl::Status status = ReadLevel(k); !status.ok()) return status;
    }
    if (line_ != "\\end\\") return Unexpected("\\end\\");
    if (absl::Status status = ReadRest(); !status.ok()) return status;
    if (absl::Status status = Summarize(); !status.ok()) return status;
    table_.levels.back().backoffs.clear();
    return ImportedNgrams{*std::move(vocabulary_),
                          std::move(table_),
                          std::move(warnings_),
                          begin_log10_,
                          {{"source", "ARPA file"}}};
  }

 private:
  // Reads what follows the model, so that a file that is cut off or damaged at
  // its end is noticed.
  absl::Status ReadRest() {
    uint64_t first = 0;
    for (absl::string_view line; lines_.Next(&line);) {
      if (first == 0 && !absl::StripAsciiWhitespace(line).empty()) {
        first = lines_.line_number();
      }
    }
    if (first > 0) {
      Warn(absl::StrCat("everything after \\end\\ ignored, from line ", first,
                        " on"));
    }
    return lines_.status();
  }

  // Adds the warnings about the whole file.
  absl::Status Summarize() {
    if (skipped_ > 0) {
      Warn(absl::StrCat(skipped_, " n-grams with <s> after the first word ",
                        "ignored"));
    }
    if (unusable_.count > 0) {
      Warn(absl::StrCat(unusable_.count,
                        " n-grams left out, the first in line ", unusable_.line,
                        ", because a word contains a form feed "
                        "or a vertical tab, at which texts are split"));
    }
    if (second_unknown_.count > 0) {
      Warn(absl::StrCat(second_unknown_.count, " n-grams with <UNK> left out, ",
                        "the first in line ", second_unknown_.line,
                        ", because the file has <unk>, too"));
    }
    if (twice_ > kMaxNamedTwice) {
      Warn(absl::StrCat(twice_ - kMaxNamedTwice, " more n-grams occur for the ",
                        "second time"));
    }
    if (options_.strict) {
      absl::Status status = RefuseWarnings(lines_.name(), warnings_);
      if (!status.ok()) return status;
    }
    if (clamped_ > 0) {  // the options ask for it
      Warn(absl::StrCat(clamped_, " positive log-probabilities replaced by 0"));
    }
    return absl::OkStatus();
  }

  // How many n-grams were left out for one reason, and the line of the first.
  struct LeftOut {
    uint64_t count = 0;
    uint64_t line = 0;
  };

  void LeaveOut(LeftOut* reason) const {
    if (reason->count++ == 0) reason->line = lines_.line_number();
  }

  int order() const { return static_cast<int>(counts_.size()); }

  void Warn(std::string warning) { warnings_.push_back(std::move(warning)); }

  absl::Status Unexpected(absl::string_view expected) const {
    if (!lines_.status().ok()) return lines_.status();
    return LineError(
        lines_, absl::StrCat("expected ", expected, ", found ",
                             at_end_ ? "the end of the file" : Quoted(line_)));
  }

  // Advances to the next line that is not blank.
  bool NextLine() {
    while (lines_.Next(&line_)) {
      line_ = StripArpaSpace(line_);
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
      if (!NextLine()) return Unexpected("\\data\\ of an ARPA file");
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
    SplitFields(line_, &words_);
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
          lines_,
          absl::StrCat("expected numbers first and last, found ",
                       Quoted(words_[0]), " and ", Quoted(words_.back())));
    }
    if (!IsNumber(numbers[0]) || !IsNumber(numbers[1])) {
      return LineError(lines_, "expected a number, found NaN or infinity");
    }
    if (numbers[0] > 0) {
      if (!options_.clamp_positive) {
        return LineError(
            lines_, absl::StrCat("expected a log-probability of at ",
                                 "most 0, found ", words_[0],
                                 " (accepted as 0 with ", "--clamp-positive)"));
      }
      numbers[0] = 0;
      ++clamped_;
    }
    if (numbers[1] * kLn10 > kMaxBackOff) {
      return LineError(
          lines_, absl::StrCat("expected a back-off weight of at most ",
                               kMaxBackOff / kLn10, ", found ", words_.back()));
    }
    log10_ = numbers[0];
    *log_prob = Natural(numbers[0]);
    *backoff = Natural(numbers[1]);
    words_.erase(words_.begin());
    words_.resize(k);
    return absl::OkStatus();
  }

  float Natural(double log10) const {
    return options_.literal ? LiteralNaturalLog(log10) : NaturalLog(log10);
  }

  // Whether the n-gram in words_ can be used; replaces <UNK> in it. Counts it
  // as left out otherwise.
  bool IsUsable() {
    for (absl::string_view& word : words_) {
      if (!IsWord(word)) {
        LeaveOut(&unusable_);
        return false;
      }
      if (word != kUnknownUppercase) continue;
      if (has_both_unknowns_) {
        LeaveOut(&second_unknown_);
        return false;
      }
      word = kUnknownWord;
    }
    return true;
  }

  absl::Status ReadUnigrams() {
    if (absl::Status status = ExpectSection(1); !status.ok()) return status;
    NgramLevel& level = table_.levels[0];
    absl::node_hash_set<std::string> names;
    std::vector<absl::string_view> words;  // views of the names
    uint64_t count = 0;
    // Where the unknown word is, if its first spelling was <UNK>.
    constexpr size_t kNone = -1;
    size_t other_unknown = kNone;
    for (; NextEntry(); ++count) {
      float log_prob, backoff;
      absl::Status status = ParseEntry(1, &log_prob, &backoff);
      if (!status.ok()) return status;
      if (FindInvalidUtf8(words_[0]) != absl::string_view::npos) {
        return LineError(lines_, "invalid UTF-8");
      }
      if (words_[0] == kUnknownUppercase) {
        has_both_unknowns_ =
            names.contains(kUnknownWord) && other_unknown == kNone;
        if (!names.contains(kUnknownWord)) other_unknown = words.size();
      } else if (words_[0] == kUnknownWord && other_unknown != kNone) {
        // <unk> replaces <UNK>.
        level.log_probs[other_unknown] = log_prob;
        level.backoffs[other_unknown] = backoff;
        LeaveOut(&second_unknown_);
        second_unknown_.line = unknown_line_;
        has_both_unknowns_ = true;
        other_unknown = kNone;
        continue;
      }
      if (!IsUsable()) continue;
      if (other_unknown == words.size()) unknown_line_ = lines_.line_number();
      const auto [name, is_new] = names.emplace(words_[0]);
      if (!is_new) {
        status = Twice(1, words_, lines_.line_number());
        if (!status.ok()) return status;
        continue;
      }
      if (*name == kBeginSentence) begin_log10_ = log10_;
      Add(1, 0, words.size(), log_prob, backoff);
      words.push_back(*name);
    }
    CheckCount(1, count);
    vocabulary_ = CompleteUnigrams(options_.unknown_log10, std::move(words),
                                   &level, &warnings_);
    if (!vocabulary_.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          lines_.name(), ", 1-grams: ", vocabulary_.status().message()));
    }
    return absl::OkStatus();
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
      if (!IsUsable()) continue;
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
                                 Quoted(word)));
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
        return LineError(
            lines_,
            absl::StrCat("expected a context that is a ", words_.size(),
                         "-gram, found ", Quoted(absl::StrJoin(words_, " "))));
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
        const absl::string_view last[] = {vocabulary_->word(entry.word)};
        absl::Status status = Twice(k, last, entry.line);
        if (!status.ok()) return status;
        continue;
      }
      Add(k, entry.context, entry.word, entry.log_prob, entry.backoff);
    }
    std::partial_sum(contexts.children.begin(), contexts.children.end(),
                     contexts.children.begin());
    return absl::OkStatus();
  }

  // Handles an n-gram that occurs once more.
  absl::Status Twice(int k, absl::Span<const absl::string_view> words,
                     uint64_t line) {
    const std::string problem =
        absl::StrCat("the ", k, "-gram that ends with ", Quoted(words.back()),
                     " occurs for the second time");
    if (options_.strict) {
      return absl::InvalidArgumentError(
          absl::StrCat(lines_.name(), " line ", line, ": ", problem));
    }
    if (++twice_ <= kMaxNamedTwice) {
      Warn(
          absl::StrCat("line ", line, ": ", problem, "; the first one counts"));
    }
    return absl::OkStatus();
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
  double log10_ = 0;  // log10 P of the n-gram that was parsed last
  double begin_log10_ = kLog10OfZero;
  bool has_both_unknowns_ = false;
  uint64_t unknown_line_ = 0;  // of <UNK>, if it came first
  LeftOut second_unknown_;     // n-grams with <UNK> beside <unk>
  LeftOut unusable_;           // n-grams with words that texts cannot have
  uint64_t twice_ = 0;         // n-grams that occur for the second time
  uint64_t skipped_ = 0;
  uint64_t clamped_ = 0;
};

}  // namespace

absl::StatusOr<ImportedNgrams> ReadArpa(LineReader& lines,
                                        const ArpaOptions& options) {
  return ArpaReader(lines, options).Read();
}

}  // namespace lmserve
