#ifndef LMSERVE_TRAINER_TUNING_NBEST_FEATURES_H_
#define LMSERVE_TRAINER_TUNING_NBEST_FEATURES_H_

#include <vector>

#include "absl/types/span.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// What those who tune weights know of features. Pure.

// Which of the features matter to the order of candidates: not one that is the
// same all over each list, nor one that, up to such, is a weighted sum of those
// before it. Any weight of another could be had without it.
std::vector<bool> FindIdentifiable(const NbestLists& lists);

// Of each feature the weight by which its values spread by 1 within the lists;
// 0 of one that is not identifiable. In these units features of any scale
// matter alike.
std::vector<double> FindUnits(const NbestLists& lists);

// The same order of candidates by weights whose absolute values add up to 1,
// unless all are 0. Rounding may exchange two that are as good as equal: where
// that is for the worse the weights stay.
std::vector<double> NormalizeWeights(const NbestLists& lists,
                                     const NbestCounts& counts,
                                     absl::Span<const double> weights);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_NBEST_FEATURES_H_
