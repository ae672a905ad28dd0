// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_NBEST_FILES_H_
#define LMSERVE_CLIENT_NBEST_FILES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/client.h"

namespace lmserve {

// Where lm_client rerank --nbest reads from, and what it writes.
struct NbestFiles {
  std::string nbest;      // path of the n-best list; "-" for standard input
  std::string sources;    // path of the source texts; empty for none
  bool one_best = false;  // as in NbestOptions
  std::optional<uint64_t> first_id;  // as in NbestOptions
};

// Reranks an n-best list (see NbestReranker) and writes the result to standard
// output. Shows the progress on standard error if that is a terminal. `request`
// has everything but the candidates.
absl::Status RerankNbestFile(const Client& client,
                             const lm::v1::RerankRequest& request,
                             const NbestFiles& files);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_NBEST_FILES_H_
