// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_PUSH_H_
#define LMSERVE_REMOTE_STORE_PUSH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "remote_store/pause.h"
#include "remote_store/reporter.h"
#include "remote_store/transport.h"

namespace lmserve {

struct PushOptions {
  std::vector<std::string> models = {};  // all models of the store if empty
  // How many of the newest versions of each model to push; 0: all. Those that
  // an alias names are pushed, too.
  size_t newest = 0;
  bool aliases = true;  // also copy aliases.json
};

// Copies the versions of a local store that a remote one lacks: first all files
// of a version, after their SHA-256 was checked, then its manifest, and the
// aliases after all versions. A version that the remote store has is never
// changed; one of the same number with another manifest is a problem. A push
// that was killed goes on where it was.
//
// Two processes may push at once. Each first writes a claim (see
// remote_listing.h) and then looks for others: whoever sees one for another
// manifest withdraws its own and reports a problem. For this, the listing of
// the remote store must show what was written before, as that of S3 does.
// aliases.json is written as a whole, so the last of two writers wins; it is
// written only if the remote store has all versions that it names. Returns the
// first problem, or an error that concerns everything.
absl::Status Push(const std::string& store, Transport& transport,
                  const PushOptions& options, const Reporter& reporter,
                  const Pause& pause);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_PUSH_H_
