// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_BEST_LABELS_H_
#define LMSERVE_SERVER_HANDLERS_BEST_LABELS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "models/distribution.h"
#include "models/language_model.h"
#include "server/handlers/replies.h"

// The most probable labels of words and texts.
namespace lmserve {

// Returns the memory that a label takes in an answer, at most.
inline uint64_t MostLabelBytes(absl::Span<const std::string> labels) {
  size_t longest = 0;
  for (const std::string& label : labels) {
    longest = std::max(longest, label.size());
  }
  return kReplyWordBytes + longest;
}

// Adds the k most probable labels to `labels` and `log_probs` of a message.
// log_probs[i] is ln P(labels[i]). Labels of probability 0 are left out.
// REQUIRES: k <= labels.size().
template <typename Message>
void AddBestLabels(absl::Span<const std::string> labels,
                   absl::Span<const float> log_probs, size_t k,
                   Message* message) {
  std::vector<ScoredWord> best(k);
  TakeBest(log_probs, absl::MakeSpan(best));
  for (const ScoredWord& label : best) {
    if (std::isinf(label.log_prob)) break;
    message->add_labels(labels[label.word]);
    message->add_log_probs(label.log_prob);
  }
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_BEST_LABELS_H_
