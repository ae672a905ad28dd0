// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_REMOTE_LISTING_H_
#define LMSERVE_REMOTE_STORE_REMOTE_LISTING_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/manifest.pb.h"
#include "remote_store/transport.h"

namespace lmserve {

// A remote store has the tree of a store on disk (see model_store/FORMAT.md):
// MODEL/VERSION/FILE and MODEL/aliases.json. A version exists once it has its
// manifest, which is written last and deleted first.

// While a version is written, it also has a file of this name, followed by the
// first digits of the SHA-256 of its manifest. So somebody who writes another
// version under the same number sees it, and others do not take the files for
// rubbish.
inline constexpr absl::string_view kClaimPrefix = ".pushing-";

// A version of a remote store, as a listing shows it.
struct RemoteVersion {
  std::map<std::string, uint64_t> files;  // sizes by names

  bool has_manifest() const;
  // The names of the claims.
  std::vector<std::string> claims() const;
};

struct RemoteModel {
  std::map<uint64_t, RemoteVersion> versions;
  bool has_aliases = false;

  // The versions that have a manifest, ascending.
  std::vector<uint64_t> whole_versions() const;
};

using RemoteModels = std::map<std::string, RemoteModel>;

// Lists the models of these names, or all models if there are no names. Ignores
// files with other paths. A model without any file is not in the result.
absl::StatusOr<RemoteModels> ListRemote(Transport& transport,
                                        const std::vector<std::string>& names);

// Lists one version, which has no files if it does not exist.
absl::StatusOr<RemoteVersion> ListRemoteVersion(Transport& transport,
                                                absl::string_view name,
                                                uint64_t version);

// Returns "MODEL/VERSION/FILE".
std::string RemotePath(absl::string_view name, uint64_t version,
                       absl::string_view file);

// Reads a file of at most kMaxSmallFileSize. DATA_LOSS if it is larger.
absl::StatusOr<std::string> ReadRemoteFile(Transport& transport,
                                           const std::string& path);

// A manifest and the bytes of its file.
struct RemoteManifest {
  std::string bytes;
  lm::v1::Manifest manifest;
};
absl::StatusOr<RemoteManifest> ReadRemoteManifest(Transport& transport,
                                                  absl::string_view name,
                                                  uint64_t version);

// Returns the aliases of a model; none if it has no file of them.
absl::StatusOr<std::map<std::string, uint64_t>> ReadRemoteAliases(
    Transport& transport, absl::string_view name);

// Returns the first digits of a SHA-256, which tell versions apart.
std::string ShortDigest(absl::string_view manifest_bytes);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_REMOTE_LISTING_H_
