#ifndef LMSERVE_RERANKING_BLEU_H_
#define LMSERVE_RERANKING_BLEU_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "reranking/ngram_profile.h"

namespace lmserve {

// BLEU (Papineni et al. 2002) as sacrebleu 2 defines it (Post 2018): orders 1
// to 4, exponential smoothing, the closest reference length, of which the
// shorter where two are as close. Scores are from 0 to 100. All functions are
// pure.

// What tells two figures from each other, as sacrebleu prints it; `tokenizer`
// is "13a" or "none", `references` how many each text has.
std::string BleuSignature(int references, absl::string_view tokenizer);

// The words of a text: sacrebleu's tokenizer 13a, which is mteval-v13a's.
std::vector<std::string> Tokenize13a(absl::string_view text);

// What BLEU is made of; that of a corpus is the sum over its texts.
struct BleuCounts {
  static constexpr int kOrder = 4;

  std::array<uint64_t, kOrder> correct{};  // n-grams, each at most as often as
                                           // in the reference that has most
  std::array<uint64_t, kOrder> total{};    // n-grams of the system
  uint64_t system_words = 0;
  uint64_t reference_words = 0;

  BleuCounts& operator+=(const BleuCounts& other);
  bool operator==(const BleuCounts& other) const = default;
};

// Those of one text: its words, and those of one reference or more.
BleuCounts CountBleu(absl::Span<const std::string> system,
                     absl::Span<const std::vector<std::string>> references);

// The same of n-grams of words, up to kOrder, that were counted already; of
// several references the reference has each as often as that which has most.
BleuCounts CountBleu(const NgramProfile& system, const NgramProfile& reference,
                     uint64_t reference_words);

// With `effective_order` the orders of which the system has no n-gram are left
// out: for single sentences.
double Bleu(const BleuCounts& counts, bool effective_order = false);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_BLEU_H_
