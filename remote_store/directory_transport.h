// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_DIRECTORY_TRANSPORT_H_
#define LMSERVE_REMOTE_STORE_DIRECTORY_TRANSPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "remote_store/transport.h"

namespace lmserve {

// A remote store that is a directory, such as one of another machine that is
// mounted here. A file is written under a hidden name and renamed. Delete()
// leaves no empty directories behind.
class DirectoryTransport : public Transport {
 public:
  // Creates the directory when the first file is written.
  explicit DirectoryTransport(std::string root) : root_(std::move(root)) {}

  absl::StatusOr<std::vector<RemoteFile>> List(
      const std::string& folder) override;
  absl::Status Read(const std::string& path, uint64_t offset,
                    OnPiece on_piece) override;
  absl::Status Write(const std::string& local,
                     const std::string& path) override;
  absl::Status Delete(const std::string& path) override;

 private:
  std::string Full(const std::string& path) const { return root_ + "/" + path; }

  const std::string root_;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_DIRECTORY_TRANSPORT_H_
