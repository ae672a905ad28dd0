#ifndef LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_
#define LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// What a client may do: ask models, or also change which are served.
enum class Role { kRead, kAdmin };

// Knows clients by the bearer tokens of a file, a line each: ROLE TOKEN, where
// the role is read or admin; blank lines and those that begin with # are passed
// over. The file is read anew where it changes; where it then is wrong, the
// tokens stay as they were. Any number of threads may use one.
class Authenticator {
 public:
  // Fails, with file and line, where the file cannot be read or is wrong.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(
      const std::string& path);

  // Checks what a call brings as `authorization`, "Bearer TOKEN":
  // UNAUTHENTICATED where it has no token of the file, PERMISSION_DENIED where
  // its role is less than what the call needs.
  absl::Status Check(absl::string_view authorization, Role needed);

 private:
  using Roles = std::map<std::string, Role>;  // by SHA-256 of the token

  explicit Authenticator(std::string path) : path_(std::move(path)) {}

  static absl::StatusOr<Roles> Read(const std::string& path);
  void ReadAgainIfChanged();

  const std::string path_;
  std::mutex mutex_;  // of what follows
  Roles roles_;
  std::filesystem::file_time_type written_;
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_
