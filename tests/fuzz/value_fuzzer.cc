// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the compact layout of ngram.bin with values: a file is refused, or all
// ways to ask its model give the same answers.

#include "models/ngram/compact/value_model.h"
#include "tests/fuzz/fuzz_compact_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::FuzzCompactModel<lmserve::ValueModel, lmserve::ValueTrieHeader>(
      data, size, {.wrong_best = true, .positive_log_probs = false});
  return 0;
}
