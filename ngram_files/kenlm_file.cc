// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/kenlm_file.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/private_memory.h"
#include "model_store/stored_file.h"
#include "models/language_model.h"
#include "models/text.h"
#include "ngram_files/kenlm_trie.h"

namespace lmserve {
namespace {

// Turns the trie of suffixes of a file into a table of contexts.
class KenlmConverter {
 public:
  KenlmConverter(KenlmTrie trie, const KenlmOptions& options)
      : trie_(std::move(trie)),
        unknown_log10_(options.unknown_log10),
        literal_(options.literal) {}

  absl::StatusOr<ImportedNgrams> Convert() && {
    views_.resize(order());
    ViewUnigrams();
    for (int k = 2; k <= order(); ++k) {
      if (absl::Status status = FindContexts(k); !status.ok()) return status;
      MarkUnusable(k);
      if (!trie_.layout.header.is_quantized && k < order()) MarkBlanks(k);
    }
    for (int k = order(); k >= 2; --k) KeepContexts(k);
    table_.levels.resize(order());
    absl::StatusOr<Vocabulary> vocabulary = PlaceUnigrams();
    if (!vocabulary.ok()) return vocabulary.status();
    for (int k = 2; k <= order(); ++k) Place(k);
    table_.levels.back().backoffs.clear();
    Summarize();
    return ImportedNgrams{*std::move(vocabulary), std::move(table_),
                          std::move(warnings_), begin_log10_, Properties()};
  }

 private:
  // What is known of an entry besides its values.
  enum Mark : uint8_t {
    kBlank = 1,
    kHasSpace = 2,     // a word has white space, at which texts are split
    kHasBegin = 4,     // a word is <s>
    kBeginInside = 8,  // a word after the first one is <s>
  };

  // The entries of one order as n-grams.
  struct View {
    std::vector<uint32_t> contexts;  // entry of the order below
    std::vector<WordId> last_words;  // the ids of the file
    std::vector<uint8_t> marks;      // bits of Mark
    std::vector<uint32_t> places;    // in the table, if kept
  };

  int order() const { return static_cast<int>(trie_.levels.size()); }

  // Converts a value of a file. The sign of 0 has a meaning only for KenLM.
  float FromKenlm(float log10) const {
    if (log10 == 0) return 0;
    return literal_ ? LiteralNaturalLog(log10) : NaturalLog(log10);
  }

  void ViewUnigrams() {
    View& view = views_[0];
    view.last_words.resize(trie_.words.size());
    std::iota(view.last_words.begin(), view.last_words.end(), WordId{0});
    view.marks.reserve(trie_.words.size());
    for (absl::string_view word : trie_.words) {
      view.marks.push_back(!IsWord(word)            ? kHasSpace
                           : word == kBeginSentence ? kHasBegin
                                                    : 0);
    }
  }

  // Sets the contexts and the last words of the n-grams of order k. An n-gram
  // w s, where s is its suffix, has the context w c, where c is the context of
  // s. So it is the child w of c.
  absl::Status FindContexts(int k) {
    const std::vector<uint32_t>& children = trie_.levels[k - 2].children;
    const std::vector<WordId>& words = trie_.levels[k - 1].words;
    View& view = views_[k - 1];
    view.contexts.reserve(words.size());
    view.last_words.reserve(words.size());
    for (size_t suffix = 0; suffix + 1 < children.size(); ++suffix) {
      uint32_t begin = 0, end = 0;
      if (k > 2) {
        const uint32_t context = views_[k - 2].contexts[suffix];
        begin = trie_.levels[k - 3].children[context];
        end = trie_.levels[k - 3].children[context + 1];
      }
      for (uint32_t i = children[suffix]; i < children[suffix + 1]; ++i) {
        view.last_words.push_back(views_[k - 2].last_words[suffix]);
        if (k == 2) {
          view.contexts.push_back(words[i]);
          continue;
        }
        const std::vector<WordId>& candidates = trie_.levels[k - 2].words;
        const auto last = candidates.begin() + end;
        const auto found =
            std::lower_bound(candidates.begin() + begin, last, words[i]);
        if (found == last || *found != words[i]) return NoContext(k, i);
        begin = found - candidates.begin();
        view.contexts.push_back(begin);
      }
    }
    return absl::OkStatus();
  }

  absl::Status NoContext(int k, size_t entry) const {
    return KenlmError(trie_.ByteOf(k, entry), absl::StrCat(k, "-gram"),
                      absl::StrCat("its first ", k - 1, " words as a ", k - 1,
                                   "-gram of the file"),
                      "none");
  }

  // The suffix of each entry of order k, in their order.
  template <typename Visit>
  void ForEachSuffix(int k, const Visit& visit) const {
    const std::vector<uint32_t>& children = trie_.levels[k - 2].children;
    for (size_t suffix = 0; suffix + 1 < children.size(); ++suffix) {
      for (uint32_t i = children[suffix]; i < children[suffix + 1]; ++i) {
        visit(suffix, i);
      }
    }
  }

  // Marks the n-grams of order k that no text can use.
  void MarkUnusable(int k) {
    View& view = views_[k - 1];
    view.marks.resize(view.contexts.size());
    ForEachSuffix(k, [&](size_t suffix, uint32_t i) {
      const uint8_t first = views_[0].marks[trie_.levels[k - 1].words[i]];
      const uint8_t rest = views_[k - 2].marks[suffix];
      const uint8_t inside = (rest & kHasBegin) != 0 ? kBeginInside : 0;
      view.marks[i] = ((first | rest) & (kHasSpace | kHasBegin)) | inside;
    });
  }

  // Marks the blanks of order k < order(). The probability of a blank is that
  // of its suffix, which may be a blank, plus the back-off weight of its
  // context, as a float. Its back-off weight is +0 or -0. The sum may be
  // positive, but the file has no sign.
  void MarkBlanks(int k) {
    KenlmEntries& level = trie_.levels[k - 1];
    const KenlmEntries& below = trie_.levels[k - 2];
    ForEachSuffix(k, [&](size_t suffix, uint32_t i) {
      const float backed_off =
          below.probs[suffix] + below.backoffs[views_[k - 1].contexts[i]];
      if (level.backoffs[i] != 0 ||
          (level.probs[i] != backed_off && level.probs[i] != -backed_off)) {
        return;
      }
      level.probs[i] = backed_off;
      views_[k - 1].marks[i] |= kBlank;
    });
  }

  static bool IsKept(uint8_t marks) {
    return (marks & (kBlank | kHasSpace | kBeginInside)) == 0;
  }

  // Keeps the contexts of the n-grams of order k that are kept. KenLM makes no
  // blank the context of an n-gram: one that is looks like a blank by chance.
  void KeepContexts(int k) {
    const View& view = views_[k - 1];
    for (size_t i = 0; i < view.marks.size(); ++i) {
      if (!IsKept(view.marks[i])) continue;
      uint8_t& marks = views_[k - 2].marks[view.contexts[i]];
      if ((marks & kBlank) == 0) continue;
      marks &= ~kBlank;
      float& prob = trie_.levels[k - 2].probs[view.contexts[i]];
      prob = -std::abs(prob);  // as the file has it
    }
  }

  absl::StatusOr<Vocabulary> PlaceUnigrams() {
    const KenlmEntries& unigrams = trie_.levels[0];
    NgramLevel& level = table_.levels[0];
    View& view = views_[0];
    view.places.resize(view.marks.size());
    std::vector<absl::string_view> words;
    for (WordId word = 0; word < view.marks.size(); ++word) {
      if (!IsKept(view.marks[word])) continue;
      view.places[word] = static_cast<uint32_t>(words.size());
      level.words.push_back(view.places[word]);
      level.log_probs.push_back(FromKenlm(unigrams.probs[word]));
      level.backoffs.push_back(FromKenlm(unigrams.backoffs[word]));
      if (trie_.words[word] == kBeginSentence) {
        begin_log10_ = unigrams.probs[word];
      }
      words.push_back(trie_.words[word]);
    }
    SetUnknown();
    absl::StatusOr<Vocabulary> vocabulary =
        CompleteUnigrams(unknown_log10_, std::move(words), &level, &warnings_);
    if (vocabulary.ok()) return vocabulary;
    return KenlmError(trie_.layout.words_at, "words", "a vocabulary",
                      vocabulary.status().message());
  }

  // Handles an <unk> that the ARPA file did not have.
  void SetUnknown() {
    if (trie_.levels[0].probs[0] != static_cast<float>(kMissingLog10)) return;
    if (unknown_log10_) {
      table_.levels[0].log_probs[0] = kImpossible;  // so that it is replaced
    } else {
      warnings_.push_back(
          absl::StrCat("<unk> has the log10 probability ", kMissingLog10,
                       ", as KenLM gives it if the ARPA file has no <unk> (see "
                       "--unknown-log10)"));
    }
  }

  // Places the kept n-grams of order k by context. The entries of a context are
  // in the order of their last words in the file, too.
  void Place(int k) {
    const KenlmEntries& entries = trie_.levels[k - 1];
    View& view = views_[k - 1];
    const View& below = views_[k - 2];
    NgramLevel& level = table_.levels[k - 1];
    std::vector<uint32_t>& children = table_.levels[k - 2].children;
    children.assign(table_.levels[k - 2].size() + 1, 0);
    size_t kept = 0;
    for (size_t i = 0; i < view.marks.size(); ++i) {
      if (!IsKept(view.marks[i])) continue;
      ++children[below.places[view.contexts[i]] + 1];
      ++kept;
    }
    std::partial_sum(children.begin(), children.end(), children.begin());
    std::vector<uint32_t> next(children.begin(), children.end() - 1);
    level.words.resize(kept);
    level.log_probs.resize(kept);
    level.backoffs.resize(kept);
    view.places.resize(view.marks.size());
    for (size_t i = 0; i < view.marks.size(); ++i) {
      if (!IsKept(view.marks[i])) continue;
      const uint32_t place = next[below.places[view.contexts[i]]]++;
      view.places[i] = place;
      level.words[place] = views_[0].places[view.last_words[i]];
      level.log_probs[place] = FromKenlm(entries.probs[i]);
      if (k < order()) level.backoffs[place] = FromKenlm(entries.backoffs[i]);
    }
  }

  // Counts the entries that were left out, and adds warnings about them.
  void Summarize() {
    uint64_t with_spaces = 0, begins_inside = 0;
    for (const View& view : views_) {
      for (uint8_t marks : view.marks) {
        if ((marks & kBlank) != 0) {
          ++blanks_;
        } else if ((marks & kHasSpace) != 0) {
          ++with_spaces;
        } else if ((marks & kBeginInside) != 0) {
          ++begins_inside;
        }
      }
    }
    if (begins_inside > 0) {
      warnings_.push_back(absl::StrCat(
          begins_inside, " n-grams with <s> after the first word ignored"));
    }
    if (with_spaces > 0) {
      warnings_.push_back(absl::StrCat(
          with_spaces, " n-grams left out, because a word contains ",
          "white space, at which texts are split"));
    }
  }

  std::map<std::string, std::string> Properties() const {
    std::map<std::string, std::string> properties = {
        {"source", absl::StrCat("KenLM ", KenlmKindName(trie_.layout.header))}};
    if (blanks_ > 0) properties["blanks"] = absl::StrCat(blanks_, " left out");
    return properties;
  }

  KenlmTrie trie_;
  const std::optional<double> unknown_log10_;
  const bool literal_;
  double begin_log10_ = kLog10OfZero;
  std::vector<View> views_;  // of the orders 1, 2, ...
  NgramTable table_;
  std::vector<std::string> warnings_;
  uint64_t blanks_ = 0;
};

absl::Status WithFile(absl::string_view file, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(file, ": ", status.message()));
}

}  // namespace

absl::StatusOr<ImportedNgrams> ParseKenlm(absl::string_view bytes,
                                          absl::string_view file,
                                          const KenlmOptions& options) {
  absl::StatusOr<KenlmTrie> trie = ReadKenlmTrie(bytes);
  if (!trie.ok()) return WithFile(file, trie.status());
  absl::StatusOr<ImportedNgrams> model =
      KenlmConverter(*std::move(trie), options).Convert();
  if (!model.ok()) return WithFile(file, model.status());
  if (options.strict) {
    absl::Status status = RefuseWarnings(file, model->warnings);
    if (!status.ok()) return status;
  }
  return model;
}

absl::StatusOr<ImportedNgrams> ReadKenlm(const std::string& path,
                                         const KenlmOptions& options) {
  const absl::StatusOr<StoredFile> file = StoredFile::Open(path);
  if (!file.ok()) return WithFile(path, file.status());
  bool has_header = false;
  const absl::StatusOr<PrivateMemory> memory =
      file->Read([&](absl::string_view piece) {
        // The first piece is empty, the second one has the header.
        if (piece.empty() || std::exchange(has_header, true)) {
          return absl::OkStatus();
        }
        return ReadKenlmHeader(piece).status();
      });
  if (!memory.ok()) return WithFile(path, memory.status());
  return ParseKenlm(memory->bytes(), path, options);
}

}  // namespace lmserve
