// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_KENLM_FILE_H_
#define LMSERVE_NGRAM_FILES_KENLM_FILE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ngram_files/imported_ngrams.h"

namespace lmserve {

struct KenlmOptions {
  // log10 P(<unk>) if the file gives <unk> the probability 0 (-99), or the
  // log10 probability -100, which KenLM uses if the ARPA file has no <unk>.
  std::optional<double> unknown_log10 = {};
  // Whether -99 is a log-probability like any other, as it is for KenLM, and
  // not the probability 0.
  bool literal = false;
  // Whether to reject a file in all cases that are otherwise warnings.
  bool strict = false;
};

// Reads a binary file that KenLM's build_binary made: a trie, quantized or not,
// with array pointers or not, of any order that we support. The vocabulary is
// in the order of KenLM's ids, <unk> first. Log10 values are converted by
// NaturalLog(), as those of an ARPA file are.
//
// KenLM adds a blank for each suffix of an n-gram that pruning removed, with
// the probability to which it backs off. Blanks are left out where the file has
// exact values, so that the model is that of the ARPA file. In a quantized file
// they cannot be told from n-grams, and stay, with KenLM's probability.
//
// `bytes` are the file; errors start with `file`. Fails with INVALID_ARGUMENT
// for any defect, with the offset of the byte, what was expected and what was
// found, and for what ReadKenlmHeader() refuses. These are warnings, or errors
// if options.strict:
// - An <unk> with probability 0 or log10 probability -100, without
//   options.unknown_log10; no <s> or </s> (see ReadArpa()).
// - N-grams with <s> after their first word, and words with white space, which
//   texts cannot have: they can never be used and are left out.
//
// Needs about 50 bytes of memory per n-gram besides the bytes.
absl::StatusOr<ImportedNgrams> ParseKenlm(absl::string_view bytes,
                                          absl::string_view file,
                                          const KenlmOptions& options);

// Reads the file with a path and parses it. A file that ReadKenlmHeader()
// refuses is not read beyond its start.
absl::StatusOr<ImportedNgrams> ReadKenlm(const std::string& path,
                                         const KenlmOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_KENLM_FILE_H_
