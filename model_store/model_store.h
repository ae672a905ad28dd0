// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_STORE_H_
#define LMSERVE_MODEL_STORE_MODEL_STORE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/background_thread.h"
#include "model_store/loaded_version.h"
#include "model_store/mutex.h"
#include "model_store/served_models.h"
#include "model_store/store_loader.h"
#include "model_store/version_policy.h"

namespace lmserve {

struct StoreOptions {
  // The versions that the store keeps in memory.
  VersionPolicy keep = {};
  // The pause between two scans of the directory. 0: the store scans it only in
  // Open() and Refresh().
  std::chrono::milliseconds poll{0};
};

// The models of a store directory that are in memory, found by name, while the
// directory changes. StoreLoader says which versions are loaded and when. A
// ModelHandle keeps its version in memory, so a call finishes on the version
// that it started with, even if that version is no longer served. Thread-safe,
// except for Stop().
//
// One background thread of the lowest priority loads versions and destroys
// those that nobody uses any more. Refresh(), Load(), Unload() and SetAlias()
// queue their work on that thread and return at once. The thread calls `done`
// when the change is served or has failed, in the order of the calls. After
// Stop() `done` gets UNAVAILABLE; it may then be called in the caller's thread.
class ModelStore {
 public:
  using Refused = ServedModels::Refused;
  using Entry = ServedModels::Entry;
  using Done = std::function<void(const absl::Status&)>;

  // Opens a store directory (see FORMAT.md) and loads the versions that
  // `options.keep` selects. A version that cannot be verified is not served and
  // is listed in refused(). Fails only if the directory itself cannot be read.
  static absl::StatusOr<std::unique_ptr<ModelStore>> Open(
      const std::string& directory, const StoreOptions& options = {});

  ~ModelStore();

  // Returns what is served at this moment.
  std::shared_ptr<const ServedModels> served() const;

  // Like the functions of ServedModels, on what is served at this moment.
  absl::StatusOr<ModelHandle> Get(absl::string_view spec) const;
  absl::StatusOr<Entry> GetEntry(absl::string_view spec) const;

  // Returns all loaded versions, sorted by name, then by version.
  std::vector<Entry> List() const { return served()->List(); }

  std::vector<Refused> refused() const { return served()->refused; }

  // Calls `function` now and after every change of what is served. Calls do not
  // overlap. A null function ends the calls. Must not be called from
  // `function`.
  void OnChange(std::function<void()> function);

  // Like the functions of StoreLoader, on the background thread.
  void Refresh(Done done);
  void Load(const std::string& name, uint64_t version, Done done);
  void Unload(const std::string& name, uint64_t version, Done done);
  void SetAlias(const std::string& name, const std::string& alias,
                uint64_t version, std::optional<uint64_t> expected, Done done);

  // Stops scanning the directory, cancels a load that is in progress and waits
  // for it to end. Must not be called by two threads at once.
  void Stop();

 private:
  ModelStore(const std::string& directory, const StoreOptions& options);

  absl::StatusOr<ModelHandle> LoadUnlessStopped(const std::string& name,
                                                uint64_t version) const;
  void Publish(std::shared_ptr<const ServedModels> served);
  void Post(std::function<absl::Status()> change, const Done& done);

  const std::string directory_;
  mutable Mutex mutex_;
  std::shared_ptr<const ServedModels> served_ ABSL_GUARDED_BY(mutex_);
  Mutex on_change_mutex_;  // held while on_change_ runs
  std::function<void()> on_change_ ABSL_GUARDED_BY(on_change_mutex_);
  std::atomic<bool> stopped_ = false;
  // Shared with the handles, which post the destruction of their version to it.
  const std::shared_ptr<BackgroundThread> thread_;
  StoreLoader loader_;  // used by Open(), afterwards only by the thread
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_STORE_H_
