// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_COUNT_OPTIONS_H_
#define LMSERVE_TRAINER_COUNTING_COUNT_OPTIONS_H_

#include <cstdint>
#include <string>

#include "trainer/counting/run_threads.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// What the stages of counting share.
struct CountOptions {
  std::string corpus;  // a file, or "-"
  CorpusOptions text;
  int order = 5;
  int threads = 1;
  // The bytes that tables and buffers may have together.
  uint64_t memory = uint64_t{1} << 30;
  // Only this part of the text is read: `shard` of `shards`, from 0.
  uint64_t shard = 0;
  uint64_t shards = 1;
  const StopFlag* stop = nullptr;  // not owned; may be null
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_COUNT_OPTIONS_H_
