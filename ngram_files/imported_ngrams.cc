// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/imported_ngrams.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/language_model.h"

namespace lmserve {
namespace {

// Completes the 1-grams of one file.
class UnigramCompleter {
 public:
  UnigramCompleter(std::optional<double> unknown_log10,
                   std::vector<absl::string_view> words, NgramLevel* unigrams,
                   std::vector<std::string>* warnings)
      : unknown_log10_(unknown_log10),
        words_(std::move(words)),
        unigrams_(*unigrams),
        warnings_(*warnings) {}

  absl::StatusOr<Vocabulary> Complete() {
    SetUnknown();
    AddMarker(kUnknownWord, unknown_log10_.value_or(kMissingLog10),
              " (see --unknown-log10)");
    AddMarker(kBeginSentence, kLog10OfZero, "");
    AddMarker(kEndSentence, kMissingLog10,
              "; it lowers ln P of each whole text by 230, so score texts with "
              "lm_client score --no-end");
    absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Create(words_);
    if (vocabulary.ok()) {
      unigrams_.log_probs[vocabulary->begin_sentence()] = kImpossible;
    }
    return vocabulary;
  }

 private:
  void SetUnknown() {
    const auto found = std::find(words_.begin(), words_.end(), kUnknownWord);
    if (found == words_.end()) return;
    float& log_prob = unigrams_.log_probs[found - words_.begin()];
    if (!unknown_log10_) {
      if (log_prob != kImpossible) return;
      warnings_.push_back(
          "<unk> has the probability 0, so every text with an unknown word is "
          "impossible (see --unknown-log10)");
    } else if (log_prob == kImpossible) {
      log_prob = NaturalLog(*unknown_log10_);
    } else {
      warnings_.push_back(
          absl::StrCat("--unknown-log10 ignored: the file gives <unk> the ",
                       "log10 probability ", log_prob / kLn10));
    }
  }

  // Adds a marker that the file lacks. `consequence` completes the warning.
  void AddMarker(absl::string_view marker, double log10,
                 absl::string_view consequence) {
    if (std::find(words_.begin(), words_.end(), marker) != words_.end()) return;
    if (marker != kUnknownWord || !unknown_log10_) {
      warnings_.push_back(absl::StrCat("the file has no ", marker,
                                       "; using the log10 probability ", log10,
                                       consequence));
    }
    unigrams_.words.push_back(words_.size());
    unigrams_.log_probs.push_back(NaturalLog(log10));
    unigrams_.backoffs.push_back(0);
    words_.push_back(marker);
  }

  const std::optional<double> unknown_log10_;
  std::vector<absl::string_view> words_;
  NgramLevel& unigrams_;
  std::vector<std::string>& warnings_;
};

}  // namespace

float NaturalLog(double log10) {
  return log10 == kLog10OfZero ? kImpossible : LiteralNaturalLog(log10);
}

float LiteralNaturalLog(double log10) {
  return static_cast<float>(log10 * kLn10);
}

absl::StatusOr<Vocabulary> CompleteUnigrams(
    std::optional<double> unknown_log10, std::vector<absl::string_view> words,
    NgramLevel* unigrams, std::vector<std::string>* warnings) {
  return UnigramCompleter(unknown_log10, std::move(words), unigrams, warnings)
      .Complete();
}

absl::Status RefuseWarnings(absl::string_view file,
                            const std::vector<std::string>& warnings) {
  if (warnings.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": ", warnings[0], " (a warning without --strict)"));
}

}  // namespace lmserve
