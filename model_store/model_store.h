// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_STORE_H_
#define LMSERVE_MODEL_STORE_MODEL_STORE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_version.h"
#include "model_store/served_models.h"
#include "model_store/version_policy.h"

namespace lmserve {

struct StoreOptions {
  // The versions that the store keeps in memory.
  VersionPolicy keep = {};
  // The pause between two scans of the directory. 0: the store scans it only in
  // Open() and Refresh().
  std::chrono::milliseconds poll{0};
  // A version whose loading takes longer is refused. 0: no limit.
  std::chrono::milliseconds load_timeout{0};
  // How long a load may make no progress before others start.
  std::chrono::milliseconds load_patience{2'000};
  // How long the file system of a directory may not answer. After this time the
  // directory is refused, and changes of it fail.
  std::chrono::milliseconds disk_patience{10'000};
  // How long an incomplete version whose files do not change is listed as
  // incomplete, because someone may be copying it, before it is refused.
  std::chrono::milliseconds incomplete_patience{0};
  // How long neither loads nor the file system may make progress before Open()
  // returns without what they hold up.
  std::chrono::milliseconds open_patience{30'000};
  // Whether files may be symbolic links that lead out of the store.
  bool follow_links = false;
  // Called regularly by Open(), which ends with CANCELLED if it returns true.
  std::function<bool()> is_cancelled = [] { return false; };
  // Loads a version. For tests.
  std::function<absl::StatusOr<ModelHandle>(
      absl::string_view store, absl::string_view name, uint64_t version,
      const LoadOptions& options)>
      load = LoadModel;
  // Called before each work on the directory of a model or, with an empty name,
  // of the store, on the thread of the work. For tests.
  std::function<void(const std::string& name)> on_disk_work =
      [](const std::string&) {};
};

// The models of a store directory that are in memory, found by name, while the
// directory changes. StoreLoader says which versions are loaded and when. A
// ModelHandle keeps its version in memory, so a call finishes on the version
// that it started with, even if that version is no longer served. Thread-safe,
// except for Stop().
//
// One background thread of the lowest priority decides what is served, and
// destroys versions that nobody uses any more. It waits for no file:
// directories are read and written on other threads (DiskWork), and versions
// loaded on others again (VersionLoads), so that one that hangs holds up no
// other model. Refresh(), Load(), Unload() and SetAlias() queue their work and
// return at once; `done` is called in the background thread when the change is
// served or has failed. Changes take effect in the order of the calls, except
// for those that wait for a directory or a load. After Stop() `done` gets
// UNAVAILABLE; it may then be called in the caller's thread.
class ModelStore {
 public:
  using Refused = ServedModels::Refused;
  using Entry = ServedModels::Entry;
  using Done = std::function<void(const absl::Status&)>;

  // Opens a store directory (see FORMAT.md) and loads the versions that
  // `options.keep` selects. A version that cannot be verified is not served and
  // is listed in refused(). Waits for all loads, except for those that make no
  // progress. These loads have the priority of the caller. Fails only if the
  // directory itself cannot be read, or with CANCELLED.
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

  // Scans the directory, and waits for the loads that this starts. Fails if the
  // directory cannot be read, or if it was replaced by one without models, as
  // when its file system was unmounted.
  void Refresh(Done done);

  // Like StoreChange and StoreLoader::Unload().
  void Load(const std::string& name, uint64_t version, Done done);
  void Unload(const std::string& name, uint64_t version, Done done);
  void SetAlias(const std::string& name, const std::string& alias,
                uint64_t version, std::optional<uint64_t> expected, Done done);

  // Stops scanning the directory, cancels loads that are in progress and waits
  // for their end, but not longer than about a second: a thread that hangs in a
  // system call is abandoned. Returns whether all threads have ended; if not,
  // the process should end without destroying what they may use. Must not be
  // called by two threads at once.
  bool Stop();

 private:
  class Core;

  explicit ModelStore(std::shared_ptr<Core> core);

  const std::shared_ptr<Core> core_;  // shared with the threads
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_STORE_H_
