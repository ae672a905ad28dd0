#ifndef LMSERVE_SERVER_CALL_LIMITS_H_
#define LMSERVE_SERVER_CALL_LIMITS_H_

#include <cstdint>

namespace lmserve {

// What one request may ask for. A text above its limit is an INVALID_ARGUMENT;
// too much of anything else is RESOURCE_EXHAUSTED.
struct Limits {
  int message_bytes = 16 << 20;
  uint64_t words_per_text = 10'000;
  uint64_t words = 1'000'000;       // in all texts of a request
  uint64_t words_read = 4'000'000;  // by a bidirectional model: a text of n
                                    // words n times
  uint64_t texts = 10'000;          // or contexts, or candidates
  uint64_t models = 16;             // of a reranking
  uint64_t features = 256;          // a candidate's own
  uint64_t bytes_compared = 50'000'000;  // for the minimum Bayes risk: n
                                         // candidates' bytes n times
  uint64_t predictions = 100'000;        // k times contexts
  uint64_t generated_words = 10'000;
  uint64_t stop_words = 100;
  uint64_t beam = 100;                // hypotheses of a beam search
  uint64_t decode_bytes = 256 << 20;  // of the states of a Decode stream

  // Of all calls under way together (Budgets); more than is left is
  // RESOURCE_EXHAUSTED for a while.
  uint64_t all_request_bytes = 1 << 30;
  uint64_t all_answer_bytes = 1 << 30;
  uint64_t all_generated_words = 10'000'000;
  uint64_t all_state_bytes = uint64_t{4} << 30;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_LIMITS_H_
