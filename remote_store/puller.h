// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_PULLER_H_
#define LMSERVE_REMOTE_STORE_PULLER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "remote_store/pause.h"
#include "remote_store/remote_listing.h"
#include "remote_store/reporter.h"
#include "remote_store/transport.h"

namespace lmserve {

struct PullOptions {
  std::vector<std::string> models = {};  // all models if empty
  // How many of the newest versions of each model to pull; 0: all. Those that
  // an alias or a pulled reranker names are pulled, too.
  size_t newest = 0;
  bool aliases = true;  // also copy aliases.json
  int attempts = 3;     // to get the right bytes of a file
};

// Copies versions and aliases of a remote store into a local one, which servers
// may be reading. The files of a version are collected in the hidden directory
// ".pulled-VERSION-DIGEST" of the model, each after its SHA-256 was checked, so
// a pull that was killed goes on where it was; when all are there, the
// directory is renamed to the version. A version that exists here is never
// changed. An alias is written after the version that it names, and only if
// that version is complete. Any number of processes may pull into the same
// store. For one thread at a time.
class Puller {
 public:
  // The transport must live longer.
  Puller(std::string store, Transport* transport, PullOptions options,
         Reporter reporter, Pause pause);

  // Pulls what is new. Returns the first error, which was also reported as a
  // problem if it concerns one model only; NOT_FOUND if the remote store has no
  // model, since its address is wrong more often than it is empty.
  absl::Status Pull();

  // The models that the last Pull() has found in the remote store.
  const std::vector<std::string>& models() const { return models_; }

 private:
  using Aliases = std::map<std::string, uint64_t>;

  absl::Status PullModels(RemoteModels* remote, Problems* problems);
  // Returns the versions of a model to pull, newest first.
  std::vector<uint64_t> Wanted(const RemoteModel& model,
                               const Aliases& aliases) const;
  // Ensures that a version exists here. Looks at each version once.
  absl::Status PullVersion(const std::string& name, uint64_t version);
  absl::Status PullNewVersion(const std::string& name, uint64_t version);
  // Returns whether the version exists here. Fails if it is not the remote one.
  absl::StatusOr<bool> IsHere(const std::string& name, uint64_t version);
  absl::Status Fetch(const std::string& name, uint64_t version,
                     const RemoteManifest& manifest);
  absl::Status FetchFiles(const std::string& name, uint64_t version,
                          const RemoteManifest& manifest,
                          const std::string& directory);
  // Pulls the versions that a reranker names.
  absl::Status PullMembers(const std::string& name, uint64_t version);
  absl::Status UpdateAliases(const std::string& name, const Aliases& aliases,
                             Problems* problems);
  void RemoveLeftovers(const std::string& name, const RemoteModel& model) const;
  absl::Status CheckStop() const;
  std::string Path(absl::string_view name) const;

  const std::string store_;
  Transport& transport_;
  const PullOptions options_;
  const Reporter reporter_;
  const Pause pause_;
  std::vector<std::string> models_;
  // Versions whose manifests were compared with the remote ones.
  std::set<std::pair<std::string, uint64_t>> compared_;
  // The versions that this Pull() has looked at.
  std::map<std::pair<std::string, uint64_t>, absl::Status> visited_;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_PULLER_H_
