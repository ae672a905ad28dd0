// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_
#define LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/mutex.h"

namespace lmserve {

// What a client may do: call the models, or also change which are served.
enum class Role { kRead, kAdmin };

// Knows clients by the bearer tokens in a file. Each line of the file is
// ROLE TOKEN or ROLE TOKEN NAME, with the role read or admin; the name is for
// the log. Blank lines and lines that begin with # are ignored. The file must
// be a regular file of at most 1 MiB with one token or more.
//
// A thread reads the file at every check interval, whatever its time of
// modification. Half a file is not believed: new bytes count when two checks
// have found the same ones, and only after kUnendedChecks checks if the last
// line has no LF. Until the file is valid again, the old tokens stay valid; the
// log says so once per reason. Thread-safe.
class Authenticator {
 public:
  // What the file says about a token.
  struct Client {
    Role role;
    std::string name;  // empty: none
  };
  using Clients = std::map<std::string, Client>;  // by SHA-256 of the token

  static constexpr int kUnendedChecks = 10;

  // Returns an error with the file and the line if the file cannot be read or
  // has an error.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Create(
      const std::string& path,
      std::chrono::milliseconds check_interval = std::chrono::seconds(1));
  // Waits for the thread that reads the file again.
  ~Authenticator();

  // Ends that thread, and waits until it has ended, at most `limit`. Returns
  // whether it has; it may hang on a dead file system.
  bool Stop(std::chrono::milliseconds limit);
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;

  // Checks the header `authorization` of a call, "Bearer TOKEN". Returns
  // UNAUTHENTICATED if it has no token of the file, and PERMISSION_DENIED if
  // the call needs kAdmin and the token has kRead. Reads no file.
  absl::Status Check(absl::string_view authorization, Role needed) const;

  // How many checks of the file have found bytes that are not believed and have
  // an error, or could not read it, and when the last check ended.
  uint64_t failures() const { return failures_; }
  std::chrono::system_clock::time_point checked() const { return checked_; }

  // Returns the name of the token in such a header, or an empty string if it
  // has none or is not known.
  std::string NameOf(absl::string_view authorization) const;

  // Watches the token of a call as long as it lives, which the authenticator
  // must outlive.
  class Watch {
   public:
    // `on_revoked` is called at every check of the file, on the thread of the
    // authenticator, while the file does not have the token with the role that
    // the call needs. It may destroy the watch.
    Watch(Authenticator& authenticator, absl::string_view authorization,
          Role needed, std::function<void()> on_revoked);
    // Waits for `on_revoked` to return, unless that calls the destructor.
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // The same as Check() at this moment.
    absl::Status Check() const;

   private:
    friend class Authenticator;

    Authenticator& authenticator_;
    const std::string hash_;
    const Role needed_;
    const std::function<void()> on_revoked_;
  };

 private:
  // `bytes` are those of the file, and `clients` what they say.
  Authenticator(std::string path, std::chrono::milliseconds check_interval,
                std::string bytes, Clients clients);

  absl::Status CheckHash(const std::string& hash, Role needed) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  // Reads the file, and takes its tokens if they are to be believed.
  void ReadAgain();
  void TakeIfValid(const std::string& bytes);
  void OnError(const absl::Status& error);
  void EndRevoked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  const std::chrono::milliseconds check_interval_;
  std::atomic<uint64_t> failures_ = 0;
  std::atomic<std::chrono::system_clock::time_point> checked_ =
      std::chrono::system_clock::now();

  // What the thread has seen; no other thread uses it.
  std::string believed_;    // bytes of the file that were judged
  std::string last_;        // bytes of the previous check
  int checks_of_last_ = 0;  // how many checks have found them
  std::string logged_;      // the last error in the log

  mutable Mutex mutex_;
  Clients clients_ ABSL_GUARDED_BY(mutex_);
  std::set<Watch*> watches_ ABSL_GUARDED_BY(mutex_);
  // The watch whose function is running, without the mutex.
  const Watch* ending_ ABSL_GUARDED_BY(mutex_) = nullptr;
  ConditionVariable ended_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool thread_ended_ ABSL_GUARDED_BY(mutex_) = false;
  ConditionVariable stop_;
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_AUTHENTICATOR_H_
