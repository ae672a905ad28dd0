// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the compact layout of ngram.bin with counts: a file is refused, or all
// ways to ask its model give the same answers.

#include "models/ngram/compact/count_model.h"
#include "tests/fuzz/fuzz_compact_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::FuzzCompactModel<lmserve::CountModel, lmserve::CountTrieHeader>(
      data, size, {.wrong_best = false, .positive_log_probs = true});
  return 0;
}
