// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CALL_LIMITS_H_
#define LMSERVE_SERVER_CALL_LIMITS_H_

#include <cstdint>

namespace lmserve {

// Limits on what one request may ask for. The server refuses a text above its
// limit with INVALID_ARGUMENT, and a request above another limit with
// RESOURCE_EXHAUSTED.
struct Limits {
  int message_bytes = 16 << 20;
  uint64_t words_per_text = 10'000;
  uint64_t words = 1'000'000;  // in all texts of a request
  // Words that a bidirectional model reads: a text of n words n times.
  uint64_t words_read = 4'000'000;
  uint64_t texts = 10'000;  // or contexts, or candidates
  uint64_t models = 16;     // of a Rerank call
  uint64_t features = 256;  // of a candidate
  // Bytes that minimum Bayes risk compares: those of all n candidates n times.
  uint64_t bytes_compared = 50'000'000;
  // k times the number of contexts, or labels times the number of words or
  // texts
  uint64_t predictions = 100'000;
  uint64_t generated_words = 10'000;
  uint64_t stop_words = 100;
  uint64_t beam = 100;  // hypotheses of a beam search
  // Numbers that an Inspect call returns; 0: the server does not answer it. A
  // million fit into a message of the size that clients accept by default.
  uint64_t inspected_values = 1'000'000;
  // Numbers that an Embed call returns: texts times dimensions.
  uint64_t embedded_values = 4'000'000;
  uint64_t decode_bytes = 256 << 20;  // memory of the states of a Decode stream

  // Limits of all running calls together (see Budgets). When they are reached,
  // the server refuses more with RESOURCE_EXHAUSTED and a RetryInfo.
  uint64_t all_request_bytes = 1 << 30;
  uint64_t all_answer_bytes = 1 << 30;
  uint64_t all_generated_words = 10'000'000;
  uint64_t all_state_bytes = uint64_t{4} << 30;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_LIMITS_H_
