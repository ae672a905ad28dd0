// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_SENTENCE_PAIR_H_
#define LMSERVE_TRAINER_TEXT_SENTENCE_PAIR_H_

#include <vector>

#include "models/vocabulary.h"

namespace lmserve {

// A sentence and its translation as word ids, each without <s> and </s>. The
// source has ids of the source vocabulary, the target of the target vocabulary.
struct SentencePair {
  std::vector<WordId> source;
  std::vector<WordId> target;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_SENTENCE_PAIR_H_
