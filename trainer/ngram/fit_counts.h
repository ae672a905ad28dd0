// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_FIT_COUNTS_H_
#define LMSERVE_TRAINER_NGRAM_FIT_COUNTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/ngram/ngram_counts.h"
#include "trainer/ngram/smoothing.h"

namespace lmserve {

// Returns the counts that a smoothing method uses for an order, after fitting
// the method to them. The count of <s>, which is never predicted, is 0. Appends
// the method's note for the user. Call it for the orders 1, 2, ... in turn.
std::vector<uint32_t> FitCounts(const NgramCounts& counts, int order,
                                Smoothing& smoothing,
                                std::vector<std::string>* notes);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_FIT_COUNTS_H_
