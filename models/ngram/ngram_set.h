// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_NGRAM_SET_H_
#define LMSERVE_MODELS_NGRAM_NGRAM_SET_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// The n-grams of a back-off model, whatever its layout: what an ARPA file has.
// Immutable: any number of threads may use one instance.
class NgramSet {
 public:
  virtual ~NgramSet() = default;

  // One n-gram of the model. backoff is 0 at the highest order.
  struct Ngram {
    absl::Span<const WordId> words;
    float log_prob;  // ln P(last word | the words before it)
    float backoff;   // ln of the back-off weight
  };

  virtual const Vocabulary& vocabulary() const = 0;

  virtual int order() const = 0;

  // How the probabilities of other n-grams follow from these.
  virtual UnseenRule rule() const = 0;

  // Returns ln alpha of UnseenRule::kStupid; otherwise 0.
  virtual float log_alpha() const { return 0; }

  // Returns the number of n-grams of an order. REQUIRES: 1 <= order <= order().
  virtual uint64_t Count(int order) const = 0;

  // Calls visit for the n-grams of an order, context by context.
  virtual void ForEach(int order,
                       absl::FunctionRef<void(const Ngram&)> visit) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_NGRAM_SET_H_
