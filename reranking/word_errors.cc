// SPDX-License-Identifier: Apache-2.0
#include "reranking/word_errors.h"

#include <limits>
#include <tuple>
#include <vector>

namespace lmserve {
namespace {

uint64_t TotalErrors(const WordErrors& errors) {
  return errors.substitutions + errors.deletions + errors.insertions;
}

// Prefers fewer errors, then more substitutions.
bool IsBetter(const WordErrors& a, const WordErrors& b) {
  return std::make_tuple(TotalErrors(a), b.substitutions) <
         std::make_tuple(TotalErrors(b), a.substitutions);
}

}  // namespace

WordErrors& WordErrors::operator+=(const WordErrors& other) {
  substitutions += other.substitutions;
  deletions += other.deletions;
  insertions += other.insertions;
  reference_words += other.reference_words;
  return *this;
}

WordErrors CountWordErrors(absl::Span<const std::string> system,
                           absl::Span<const std::string> reference) {
  // best[j]: errors of the system's words so far, compared with the first j
  // words of the reference.
  std::vector<WordErrors> best(reference.size() + 1);
  for (size_t j = 0; j < best.size(); ++j) best[j].deletions = j;
  for (const std::string& word : system) {
    WordErrors diagonal = best[0];
    ++best[0].insertions;
    for (size_t j = 1; j < best.size(); ++j) {
      WordErrors matched = diagonal, inserted = best[j], deleted = best[j - 1];
      if (word != reference[j - 1]) ++matched.substitutions;
      ++inserted.insertions;
      ++deleted.deletions;
      diagonal = best[j];
      best[j] = matched;
      if (IsBetter(inserted, best[j])) best[j] = inserted;
      if (IsBetter(deleted, best[j])) best[j] = deleted;
    }
  }
  best.back().reference_words = reference.size();
  return best.back();
}

double WordErrorRate(const WordErrors& errors) {
  const uint64_t count = TotalErrors(errors);
  if (count == 0) return 0;
  if (errors.reference_words == 0) {
    return std::numeric_limits<double>::infinity();
  }
  return 100 * static_cast<double>(count) /
         static_cast<double>(errors.reference_words);
}

}  // namespace lmserve
