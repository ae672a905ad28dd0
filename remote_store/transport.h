// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_TRANSPORT_H_
#define LMSERVE_REMOTE_STORE_TRANSPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// A file of a remote store: its path below the store, such as
// "en/3/manifest.json".
struct RemoteFile {
  std::string path;
  uint64_t size = 0;

  friend bool operator==(const RemoteFile&, const RemoteFile&) = default;
};

// The way to a store that is somewhere else, such as in a bucket: named files
// without renames, locks or conditions. Paths are relative to the store. Errors
// name the path: NOT_FOUND; UNAVAILABLE for what another attempt may cure;
// ABORTED if the process is asked to stop; others are final. For one thread at
// a time.
class Transport {
 public:
  using OnPiece = absl::FunctionRef<absl::Status(absl::string_view)>;

  virtual ~Transport() = default;

  // Returns all files below a folder of the store, or of the whole store if it
  // is empty, sorted by path. A folder that does not exist has none.
  virtual absl::StatusOr<std::vector<RemoteFile>> List(
      const std::string& folder) = 0;

  // Reads a file from a byte to its end, piece by piece. Stops with the error
  // of `on_piece` if it fails.
  virtual absl::Status Read(const std::string& path, uint64_t offset,
                            OnPiece on_piece) = 0;

  // Copies a local file, over an older one if there is one. Does nothing if the
  // remote file has the same bytes. A file that was written half must be
  // expected after an error.
  virtual absl::Status Write(const std::string& local,
                             const std::string& path) = 0;

  // Deletes a file. OK if it does not exist.
  virtual absl::Status Delete(const std::string& path) = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_TRANSPORT_H_
