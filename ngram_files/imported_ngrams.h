// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_IMPORTED_NGRAMS_H_
#define LMSERVE_NGRAM_FILES_IMPORTED_NGRAMS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// What the readers of ARPA files and of KenLM's binary files share. They and
// the writer of ARPA files are the only places in the project where logarithms
// have base 10.

inline constexpr double kLn10 = 2.302585092994045684;
inline constexpr double kLog10OfZero = -99;  // the convention of SRILM

// log10 P of a marker that a file does not have, as in KenLM.
inline constexpr double kMissingLog10 = -100;

// Converts a log10 probability or back-off weight of a file to the natural
// logarithm; kLog10OfZero becomes -infinity. Pure.
float NaturalLog(double log10);

// The same if kLog10OfZero is a number like any other. Pure.
float LiteralNaturalLog(double log10);

// An n-gram model that another program made.
struct ImportedNgrams {
  Vocabulary vocabulary;
  NgramTable table;
  std::vector<std::string> warnings;  // one sentence each
  // log10 P(<s>) of the file, which the table does not keep.
  double begin_log10 = kLog10OfZero;
  // What a version of the model says about its origin.
  std::map<std::string, std::string> properties;
};

// Completes the 1-grams of a file and makes its vocabulary. unigrams[i] is the
// 1-gram words[i]; the words must be views that live as long as the call. Adds
// <unk>, <s> and </s> if they are missing. Gives <unk>, if it is missing or
// impossible, the log10 probability `unknown_log10`. Makes <s>, whose
// probability in a file is arbitrary, impossible. Adds a warning, one sentence,
// for each marker that is missing, for an <unk> that is impossible, and for an
// `unknown_log10` that is not used. Fails as Vocabulary::Create() does.
absl::StatusOr<Vocabulary> CompleteUnigrams(
    std::optional<double> unknown_log10, std::vector<absl::string_view> words,
    NgramLevel* unigrams, std::vector<std::string>* warnings);

// Returns the error of --strict for a file with warnings, otherwise OK.
absl::Status RefuseWarnings(absl::string_view file,
                            const std::vector<std::string>& warnings);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_IMPORTED_NGRAMS_H_
