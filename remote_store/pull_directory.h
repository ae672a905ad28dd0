// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_PULL_DIRECTORY_H_
#define LMSERVE_REMOTE_STORE_PULL_DIRECTORY_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lmserve {

// A hidden directory ".pull-XXXXXX" in a model's directory, for the files that
// one process downloads. The process holds a lock of it, so that another one
// can tell whether it is in use. The destructor removes it.
class PullDirectory {
 public:
  static absl::StatusOr<std::unique_ptr<PullDirectory>> Make(
      const std::string& parent);

  // Owns the directory and the descriptor, which has the lock.
  PullDirectory(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  PullDirectory(const PullDirectory&) = delete;
  PullDirectory& operator=(const PullDirectory&) = delete;
  ~PullDirectory();

  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const int descriptor_;
};

// Removes the directories that processes which were killed have left. On file
// systems without locks they stay.
void RemoveAbandonedPulls(const std::string& parent);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_PULL_DIRECTORY_H_
