// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_STORE_LOADER_H_
#define LMSERVE_MODEL_STORE_STORE_LOADER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"
#include "model_store/model_versions.h"
#include "model_store/served_models.h"
#include "model_store/version_policy.h"

namespace lmserve {

// Keeps what is served in line with a store directory. It publishes a new
// snapshot after every step, and each snapshot can be served:
//  - A version is served after it was loaded and verified.
//  - A version or alias is served until its replacement is, so a version that
//    fails to load replaces nothing.
//  - A version that is no longer on disk, or no longer wanted, is released.
//  - A version that is incomplete, because someone copies it, is listed as
//    incomplete while its files change, and a while longer; all others that
//    fail to load are refused.
//  - A directory that does not answer, because its file system hangs, is listed
//    as refused, and changes nothing of what is served.
// The members of loaded rerankers stay loaded like versions that an alias
// names; those of a new reranker are loaded right after it. A reranker is
// served while all its members are. A version that
// failed to load is tried again when its directory has changed, or, if memory,
// time or a device failed, after a pause.
//
// Waits neither for loads nor for the disk: both go on elsewhere, and
// OnLoaded() and the results of Hooks::run continue. Must be used by one thread
// at a time.
class StoreLoader {
 public:
  // Work on the disk, which may be called on any thread. Returns a function for
  // the thread of the loader.
  using DiskTask = std::function<std::function<void()>()>;

  struct Hooks {
    // Starts to load a version, or returns the result.
    ModelVersions::LoadFunction load;
    // Queues work on the directory of a model or, if the name is empty, of the
    // store, and returns its number, like DiskWork::Post(). If the loader no
    // longer exists when the work ends, its function must not be called.
    std::function<uint64_t(const std::string& name, DiskTask task)> run;
    // Drops such work if it has not begun. Returns whether it has dropped it.
    std::function<bool(const std::string& name, uint64_t number)> cancel;
    // Whether such work hangs.
    std::function<bool(const std::string& name)> hangs;
    // Receives every new snapshot that differs from the previous one.
    std::function<void(std::shared_ptr<const ServedModels>)> publish;
  };

  struct Options {
    std::string directory;
    VersionPolicy policy;
    bool follow_links;  // see ReadAliases()
    // After this time, work on the disk hangs.
    std::chrono::milliseconds disk_patience;
    // See ModelVersions::Options.
    std::chrono::milliseconds incomplete_patience{0};
  };

  // A scan of the store directory and of all models.
  struct Sweep {
    int left = 0;         // scans that have not ended
    absl::Status status;  // why the store directory cannot be read
  };

  // The end of something, or nullopt if it has to wait. The caller then asks
  // again after the next OnLoaded(), after results of Hooks::run, and from time
  // to time.
  using Outcome = std::optional<absl::Status>;

  StoreLoader(Options options, Hooks hooks);
  StoreLoader(const StoreLoader&) = delete;
  StoreLoader& operator=(const StoreLoader&) = delete;

  // Begins to scan the disk; then starts to load new versions and releases old
  // ones. If the store directory cannot be read, or if it was replaced by one
  // without models, as when its file system was unmounted, nothing changes. If
  // `skips_pending`, it does not scan what is being scanned anyway.
  std::shared_ptr<const Sweep> BeginSweep(bool skips_pending);

  // The end of a sweep and of the loads that it has started. Fails if the store
  // directory cannot be read or was replaced.
  Outcome EndOf(const Sweep& sweep) const;

  // Finds out which directories hang now. To be called from time to time.
  void CheckDisk();

  // Continues with a model after the load of a version has ended.
  void OnLoaded(const std::string& name);

  // True if a version is being loaded.
  bool IsLoading() const;

  // Releases a version and keeps it from being loaded until Pin() or
  // AllowLoading(). Newer versions are still loaded. NOT_FOUND if the version
  // is not loaded; FAILED_PRECONDITION if an alias or a loaded reranker names
  // it.
  absl::Status Unload(const std::string& name, uint64_t version);

  // The parts of a StoreChange. All names of models must be valid.

  const Options& options() const { return options_; }

  // Work on the directory of a model, for any thread. Returns a version.
  using VersionWork = std::function<absl::StatusOr<uint64_t>()>;

  // Queues work. After its end, if it succeeds, scans the model with the
  // version that it returns; then calls `then` with its result, and refreshes
  // the model. Returns the number of the work.
  uint64_t RunOnModel(const std::string& name, VersionWork work,
                      std::function<void(absl::StatusOr<uint64_t>)> then);

  // Drops work if it has not begun. Returns whether it has dropped it.
  bool Cancel(const std::string& name, uint64_t number);

  // Whether the directory of a model does not answer, and the error that says
  // so.
  bool Hangs(const std::string& name) const { return hanging_.count(name) > 0; }
  absl::Status Hanging(const std::string& name) const;

  // Loads a version, holds it and, if it is a reranker, waits for its members.
  // See ModelVersions::Load().
  Outcome Hold(const std::string& name, uint64_t version, bool again);

  // Ends Hold(). What it has loaded is released, unless there is another reason
  // to keep it.
  void Release(const std::string& name, uint64_t version);

  // Ends Hold() and keeps the version loaded until Unload().
  void Pin(const std::string& name, uint64_t version);

  // Ends the effect of Unload().
  void AllowLoading(const std::string& name, uint64_t version);

 private:
  // Runs work on the disk, and then `then` with its result.
  template <typename Result>
  uint64_t Run(const std::string& name,
               std::function<absl::StatusOr<Result>()> work,
               std::function<void(absl::StatusOr<Result>)> then);
  ModelVersions& GetModel(const std::string& name);
  ModelVersions::ScanRequest BeginScan(const std::string& name) const;
  absl::Status CheckStore(const absl::StatusOr<ModelListing>& listing);
  void OnListed(const absl::StatusOr<ModelListing>& listing, bool skips_pending,
                const std::shared_ptr<Sweep>& sweep);
  void Scan(const std::string& name, const std::shared_ptr<Sweep>& sweep);
  void SetScan(const std::string& name,
               const ModelVersions::ScanRequest& request,
               absl::StatusOr<ModelScan> scan);
  void RefreshModel(const std::string& name);
  void RefreshMembers();
  absl::Status DoesNotAnswer() const;
  bool IsReranker(const ServedModels::Version& version) const;
  absl::Status CheckMembers(const LoadedVersion& version) const;
  std::multimap<ServedModels::Version, ServedModels::Version> FindMembers()
      const;
  ServedModels MakeSnapshot() const;
  void PublishSnapshot();

  const Options options_;
  const std::string& directory_ = options_.directory;
  const VersionPolicy& policy_ = options_.policy;
  const Hooks hooks_;
  std::string identity_;  // of the directory when it was last listed
  std::map<std::string, ModelVersions> models_;
  absl::Status problem_;  // why the store directory cannot be read
  // How much work on the disk is pending, by name as in Hooks::run.
  std::map<std::string, int> pending_;
  std::set<std::string> hanging_;  // the names whose work hangs, as published
  std::shared_ptr<const ServedModels> published_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORE_LOADER_H_
