// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ngram_files/arpa.h"

namespace lmserve {
namespace {

// Converts a natural logarithm to base 10, with enough digits for a float.
std::string Log10(float natural) {
  return std::isinf(natural) ? absl::StrCat(kLog10OfZero)
                             : absl::StrFormat("%.9g", natural / kLn10);
}

}  // namespace

absl::Status WriteArpa(const NgramSet& model, std::ostream& out) {
  if (model.rule() != UnseenRule::kBackOff && model.order() > 1) {
    return absl::FailedPreconditionError(
        "expected a model that an ARPA file can express, found additive "
        "smoothing or stupid back-off");
  }
  out << "\\data\\\n";
  for (int k = 1; k <= model.order(); ++k) {
    out << absl::StrCat("ngram ", k, "=", model.Count(k), "\n");
  }
  for (int k = 1; k <= model.order(); ++k) {
    out << absl::StrCat("\n\\", k, "-grams:\n");
    std::string line;
    model.ForEach(k, [&](const NgramSet::Ngram& ngram) {
      line = Log10(ngram.log_prob);
      char separator = '\t';
      for (WordId word : ngram.words) {
        absl::StrAppend(&line, std::string(1, separator),
                        model.vocabulary().word(word));
        separator = ' ';
      }
      if (k < model.order()) absl::StrAppend(&line, "\t", Log10(ngram.backoff));
      out << line << '\n';
    });
  }
  out << "\n\\end\\\n";
  return absl::OkStatus();
}

}  // namespace lmserve
