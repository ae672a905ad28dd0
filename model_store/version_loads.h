// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_VERSION_LOADS_H_
#define LMSERVE_MODEL_STORE_VERSION_LOADS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// Loads versions, each on a thread of its own, in the order in which they were
// asked for. Normally one is loaded at a time. A load
// that has made no progress for Options::patience, because its device or file
// system hangs, does not hold up the next one. A load that does not end is
// abandoned: its thread stays until the operating system lets it end.
// Thread-safe, except for Stop().
class VersionLoads {
 public:
  // The most threads, with those that hang.
  static constexpr int kMostThreads = 16;

  using Version = std::pair<std::string, uint64_t>;  // name and version
  using Check = std::function<absl::Status()>;

  struct Options {
    // Loads a version like LoadModel() with LoadOptions::check. Called on any
    // thread, and may be called after the end of this object.
    std::function<absl::StatusOr<ModelHandle>(const Version&, const Check&)>
        load;
    // Called on any thread when a load has ended. May be called after the end
    // of this object.
    std::function<void(const Version&)> on_end;
    // A load fails with DEADLINE_EXCEEDED if it takes longer. 0: no limit.
    std::chrono::milliseconds timeout{0};
    // How long a load may make no progress before the next one starts.
    std::chrono::milliseconds patience{2'000};
  };

  explicit VersionLoads(Options options);
  ~VersionLoads();  // calls Stop()

  // Returns the result of loading a version, once, when the load has ended.
  // Until then returns nullopt, and starts a load if none was started. If
  // `stamp` differs from that of the load that is in progress, the files have
  // changed meanwhile: the load is cancelled and another one starts.
  std::optional<absl::StatusOr<ModelHandle>> Take(const Version& version,
                                                  const std::string& stamp);

  // Drops the result of a load that has ended if nobody took it.
  void Drop(const Version& version);

  // Starts loads that had to wait for one that makes no progress. Returns the
  // versions whose time is over, for which Take() has a result. Must be called
  // from time to time while IsBusy().
  std::vector<Version> Tick();

  // Whether loads are waiting or in progress.
  bool IsBusy() const;

  // Whether IsBusy() and no load has made progress for `patience`.
  bool IsStalled(std::chrono::milliseconds patience) const;

  // Loads that start after this call have the lowest priority.
  void LowerPriority();

  // Cancels all loads, waits at most `patience` until they have ended, and
  // abandons the others. Take() returns nullopt from now on. Returns whether
  // all threads have ended.
  bool Stop(std::chrono::milliseconds patience);

 private:
  struct Load;
  struct State;

  const std::shared_ptr<State> state_;  // shared with the threads
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_VERSION_LOADS_H_
