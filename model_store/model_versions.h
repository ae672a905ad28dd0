// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_VERSIONS_H_
#define LMSERVE_MODEL_STORE_MODEL_VERSIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"
#include "model_store/served_models.h"
#include "model_store/version_policy.h"

namespace lmserve {

// The versions of one model in a store: which exist on disk, which are loaded,
// and why others are not. Decides which versions to load and which to release.
// Must be used by one thread at a time.
class ModelVersions {
 public:
  // Loads a version like LoadModel().
  using LoadFunction = std::function<absl::StatusOr<ModelHandle>(
      const std::string& name, uint64_t version)>;

  ModelVersions(std::string store, std::string name, LoadFunction load);

  // Scans the disk and loads every version that an alias names, that is pinned,
  // that is a member of a loaded reranker, or that `policy` selects. Then
  // releases all others. `find_members` returns the members; it is called after
  // the versions of the aliases are loaded, which may be rerankers themselves.
  // An alias moves only when its new version is loaded. If the model's
  // directory cannot be read, nothing changes.
  void Refresh(const VersionPolicy& policy,
               absl::FunctionRef<std::set<uint64_t>()> find_members);

  // Loads a version if it is not loaded or its directory has changed. Fails
  // with the error of the load, after the name of the version.
  absl::Status Load(uint64_t number);

  // Keeps a version loaded until Unload().
  void Pin(uint64_t number);

  // Releases a version. Refresh() does not load it again until Pin() or
  // AllowLoading().
  void Unload(uint64_t number);
  void AllowLoading(uint64_t number);

  // True if the last Refresh() found the version on disk.
  bool IsOnDisk(uint64_t number) const;

  // Returns null if the version is not loaded.
  ModelHandle Get(uint64_t number) const;

  // Returns all loaded versions, by ascending number.
  std::vector<ModelHandle> loaded() const;

  // True if there is nothing to remember: no version and no problem.
  bool empty() const { return versions_.empty() && problems_.empty(); }

  // Adds the loaded versions with their aliases, and what was refused.
  void AddTo(ServedModels* served) const;

 private:
  using Aliases = std::map<std::string, uint64_t, std::less<>>;
  using Problems = std::vector<ServedModels::Refused>;

  struct Version {
    std::string stamp;         // of the directory when last read; empty: never
    ModelHandle handle;        // null if not loaded
    absl::Status problem;      // why the last load failed
    bool is_pinned = false;    // by Pin()
    bool is_unloaded = false;  // by Unload()
    bool is_gone = false;      // no longer on disk
  };

  // The state after a Refresh().
  struct Plan {
    std::set<uint64_t> versions;
    Aliases aliases;
    Problems problems;
  };

  absl::Status ScanDirectory();
  void PlanAliases(Plan* plan);
  void PlanPinned(Plan* plan);
  void PlanNewest(size_t most, Plan* plan);
  void PlanListed(const std::set<uint64_t>& listed, Plan* plan);
  void KeepAlias(const std::string& alias, Plan* plan);
  bool EnsureLoaded(uint64_t number, Plan* plan);
  void LoadIfChanged(uint64_t number, Version* version);
  void Apply(Plan plan);

  const std::string store_;
  const std::string name_;
  const LoadFunction load_;
  std::map<uint64_t, Version> versions_;
  Aliases aliases_;    // as served; may differ from those on disk
  Problems problems_;  // except those of versions_
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_VERSIONS_H_
