// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_ARPA_H_
#define LMSERVE_NGRAM_FILES_ARPA_H_

#include <optional>
#include <ostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/ngram/ngram_set.h"
#include "ngram_files/imported_ngrams.h"
#include "text_io/line_reader.h"

namespace lmserve {

// Reading and writing of ARPA files, compatible with KenLM, SRILM and IRSTLM.

struct ArpaOptions {
  // log10 P(<unk>) if the file has no <unk>, or if it gives <unk> the
  // probability 0 (-99). Without a value, -100 if the file has no <unk>, which
  // is the default of KenLM.
  std::optional<double> unknown_log10 = {};
  // Whether -99 is a log-probability like any other, as it is for KenLM, and
  // not the probability 0.
  bool literal = false;
  // Whether to replace positive log-probabilities, which IRSTLM sometimes
  // writes, by 0 instead of rejecting the file.
  bool clamp_positive = false;
  // Whether to reject a file in all cases that are otherwise warnings.
  bool strict = false;
};

// Reads a model, whose vocabulary is in the order of the file's 1-grams. Fields
// are separated by tabs, spaces or NUL bytes. Text before \data\ and after
// \end\ is ignored. A missing back-off weight is 0, -99 means probability 0,
// and <UNK> is the same as <unk>. Fails, with the number of the line, on a
// malformed or positive log-probability, a word that is not a 1-gram, and an
// n-gram whose context is missing. These are warnings, or errors if
// options.strict:
// - An n-gram that occurs for the second time: the first one counts.
// - Both <unk> and <UNK>: the n-grams with <UNK> are left out.
// - N-grams with <s> after their first word, and words with a form feed or a
//   vertical tab, which texts cannot have: they can never be used and are left
//   out.
// - A wrong count in the header.
// - An <unk> with probability 0, without unknown_log10.
// - No <unk> (without unknown_log10), <s> or </s>: </s> gets the log10
//   probability -100, as an unknown word has in KenLM, so that not every
//   sentence is impossible.
absl::StatusOr<ImportedNgrams> ReadArpa(LineReader& lines,
                                        const ArpaOptions& options);

// Writes a model. Fails with FAILED_PRECONDITION for a model of order 2 or
// higher whose rule for unseen words an ARPA file cannot express (additive
// smoothing, stupid back-off). The caller must check the state of the stream.
absl::Status WriteArpa(const NgramSet& model, std::ostream& out);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_ARPA_H_
