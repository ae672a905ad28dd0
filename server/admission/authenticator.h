// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_
#define LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/mutex.h"

namespace lmserve {

// What a client may do: call the models, or also change which are served.
enum class Role { kRead, kAdmin };

// Knows clients by the bearer tokens in a file. Each line of the file is
// ROLE TOKEN, with the role read or admin; blank lines and lines that begin
// with # are ignored. The file is read again when it changes; if it then has an
// error, the old tokens stay valid. Thread-safe.
class Authenticator {
 public:
  // Returns an error with the file and the line if the file cannot be read or
  // has an error.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(
      const std::string& path);

  // Checks the header `authorization` of a call, "Bearer TOKEN". Returns
  // UNAUTHENTICATED if it has no token of the file, and PERMISSION_DENIED if
  // the call needs kAdmin and the token has kRead.
  absl::Status Check(absl::string_view authorization, Role needed);

 private:
  using Roles = std::map<std::string, Role>;  // by SHA-256 of the token
  using Clock = std::chrono::steady_clock;

  // `written` is the time of modification of the file before it was read.
  Authenticator(std::string path, Roles roles,
                std::filesystem::file_time_type written)
      : path_(std::move(path)), roles_(std::move(roles)), written_(written) {}

  static absl::StatusOr<Roles> ReadRoles(const std::string& path);
  void ReadAgainIfChanged() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Mutex mutex_;
  Roles roles_ ABSL_GUARDED_BY(mutex_);
  std::filesystem::file_time_type written_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point checked_ ABSL_GUARDED_BY(mutex_) = Clock::now();
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_
