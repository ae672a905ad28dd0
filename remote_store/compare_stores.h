// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_COMPARE_STORES_H_
#define LMSERVE_REMOTE_STORE_COMPARE_STORES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "remote_store/pause.h"
#include "remote_store/reporter.h"
#include "remote_store/transport.h"

namespace lmserve {

// Reads every byte of the versions in a local store and in a remote one, and
// checks sizes and SHA-256, that a version that both have is the same, and that
// each alias names a whole version of its store. `models` may be empty for all.
// Reports each version as done, with where it is whole. A version that only one
// of the stores has is no problem. Returns the first problem.
absl::Status CompareStores(const std::string& store, Transport& transport,
                           const std::vector<std::string>& models,
                           const Reporter& reporter, const Pause& pause);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_COMPARE_STORES_H_
