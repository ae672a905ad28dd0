// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_VERSIONS_H_
#define LMSERVE_MODEL_STORE_MODEL_VERSIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"
#include "model_store/model_name.h"
#include "model_store/model_scan.h"
#include "model_store/served_models.h"
#include "model_store/version_policy.h"

namespace lmserve {

// The versions of one model in a store: which exist on disk, which are loaded,
// and why others are not. Decides which versions to load and which to release,
// by what others have read: reads no file and no directory itself. Must be used
// by one thread at a time.
class ModelVersions {
 public:
  // Starts to load a version, or returns the result, like VersionLoads::Take().
  using LoadFunction = std::function<std::optional<absl::StatusOr<ModelHandle>>(
      const std::string& name, uint64_t version, const std::string& stamp)>;

  struct Options {
    std::string store;  // directory
    std::string name;   // of the model
    LoadFunction load;
    // Returns OK if a loaded version can answer; UNAVAILABLE if it waits for
    // another one that is being loaded; and any other error if it lacks one. A
    // version that cannot answer is not served and replaces no other.
    std::function<absl::Status(const LoadedVersion&)> check_complete;
    // How long an incomplete version whose files do not change counts as
    // incomplete, because someone may be copying it; then it is refused.
    std::chrono::milliseconds incomplete_patience{0};
  };

  explicit ModelVersions(Options options);
  ModelVersions(const ModelVersions&) = delete;
  ModelVersions& operator=(const ModelVersions&) = delete;

  // What a scan that begins now is asked.
  struct ScanRequest {
    std::set<uint64_t> stamped;  // the versions whose stamps it should have
    uint64_t doubts = 0;         // how many loads had failed for the first time
  };
  ScanRequest BeginScan() const;

  // Takes what the disk has of the model, for the functions below. If the
  // model's directory cannot be read, or if it was replaced by one without
  // versions, as when its file system was unmounted, Refresh() changes nothing
  // until the next scan.
  void SetScan(const ScanRequest& request, absl::StatusOr<ModelScan> scan);

  // Returns true, once, if Refresh() or Load() has waited for stamps that the
  // last scan does not have: the caller should scan the disk again soon.
  bool TakeNeedsScan() { return std::exchange(needs_scan_, false); }

  // Loads every version that an alias names, that is pinned, that is a member
  // of a loaded reranker, or that `policy` selects. Then releases all others.
  // `find_members` returns the members; it is called after the versions of the
  // aliases are loaded, which may be rerankers themselves. An alias moves only
  // when its new version is loaded, and what was served before stays while a
  // version that replaces it is being loaded.
  void Refresh(const VersionPolicy& policy,
               absl::FunctionRef<std::set<uint64_t>()> find_members);

  // Loads a version if it is not loaded or its directory has changed, and holds
  // it. Returns nullopt while the load is in progress: the caller then calls
  // again, with `again`, which does not retry a load that has failed. Fails
  // with the error of the load, after the name of the version, and with the one
  // of the scan if the directory cannot be read.
  std::optional<absl::Status> Load(uint64_t number, bool again);

  // Ends the effect of Load(): Refresh() releases the version unless there is
  // another reason to keep it.
  void Release(uint64_t number);

  // Keeps a version loaded until Unload().
  void Pin(uint64_t number);

  // Releases a version. Refresh() does not load it again until Pin() or
  // AllowLoading().
  void Unload(uint64_t number);
  void AllowLoading(uint64_t number);

  // True if the last scan found the version on disk.
  bool IsOnDisk(uint64_t number) const;

  // Returns null if the version is not loaded.
  ModelHandle Get(uint64_t number) const;

  // Returns all loaded versions, by ascending number.
  std::vector<ModelHandle> loaded() const;

  // Returns the loaded version that a name stands for, or null.
  ModelHandle Find(const ModelName& name) const;

  // True if a version is being loaded.
  bool IsLoading() const;

  // True if Refresh() may still load the version that a name stands for: it is
  // on disk, was not unloaded and has not failed.
  bool MayLoad(const ModelName& name) const;

  // True if there is nothing to remember: no version and no problem.
  bool empty() const { return versions_.empty() && problems_.empty(); }

  // Adds the loaded versions that can answer with their aliases, what is being
  // loaded, what is incomplete, and what was refused.
  void AddTo(ServedModels* served) const;

 private:
  using Aliases = std::map<std::string, uint64_t, std::less<>>;
  using Problems = std::vector<ServedModels::Refused>;

  struct Version {
    std::string stamp;     // of the directory when last read; empty: never
    ModelHandle handle;    // null if not loaded
    absl::Status problem;  // why the last load failed
    // When a load first failed with the directory as it is, and its stamp then.
    std::chrono::steady_clock::time_point failed_since = {};
    std::string failed_stamp;
    bool is_loading = false;  // a load was started and has not ended
    // Which of all first failures of the model its last one is, from 1; 0 if
    // its last load has succeeded or failed twice.
    uint64_t doubt = 0;
    // When a load that failed for want of memory, time, a working device or the
    // version itself is tried again, though the directory has not changed, and
    // the pause before.
    std::chrono::steady_clock::time_point retry = {};
    std::chrono::seconds pause{0};
    bool is_held = false;      // by Load()
    bool is_pinned = false;    // by Pin()
    bool is_unloaded = false;  // by Unload()
    bool is_gone = false;      // no longer on disk
  };

  // The state after a Refresh().
  struct Plan {
    std::set<uint64_t> versions;
    Aliases aliases;
    std::optional<uint64_t> default_version;
    Problems problems;
  };

  absl::Status CheckScan(const absl::StatusOr<ModelScan>& scan) const;
  Plan MakePlan(const VersionPolicy& policy,
                absl::FunctionRef<std::set<uint64_t>()> find_members);
  void PlanAliases(Plan* plan);
  void PlanPinned(Plan* plan);
  void PlanHeld(Plan* plan);
  void PlanNewest(size_t most, Plan* plan);
  void PlanListed(const std::set<uint64_t>& listed, Plan* plan);
  void KeepAlias(const std::string& alias, bool is_loading, Plan* plan);
  bool EnsureLoaded(uint64_t number, Plan* plan);
  bool CanAnswer(const Version& version) const;
  // Lets a version without stamp wait for the next scan.
  void WaitForScan(uint64_t number, Version* version);
  void LoadIfChanged(uint64_t number, Version* version);
  static bool IsRetryDue(const Version& version);
  bool MayBeCopied(const Version& version) const;
  void Apply(Plan plan);

  const Options options_;
  const std::string& store_ = options_.store;
  const std::string& name_ = options_.name;
  // Why the last scan counts for nothing.
  absl::Status scanned_ = absl::UnavailableError("not read yet");
  ModelScan disk_;                // the last scan that counts
  std::set<uint64_t> unstamped_;  // wanted, but disk_ has no stamp of them
  bool needs_scan_ = false;
  std::map<uint64_t, Version> versions_;
  Aliases aliases_;  // as served; may differ from those on disk
  // What NAME alone means: a version; 0, for the newest one that is served; or
  // unknown, because no aliases were read yet.
  std::optional<uint64_t> default_version_;
  Problems problems_;  // except those of versions_
  int loads_ended_ = 0;
  uint64_t doubts_ = 0;  // first failures of loads
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_VERSIONS_H_
