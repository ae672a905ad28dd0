// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_STORE_LOADER_H_
#define LMSERVE_MODEL_STORE_STORE_LOADER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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
// The members of loaded rerankers stay loaded like versions that an alias
// names; those of a new reranker are loaded right after it. A reranker is
// served while all its members are. A version that
// failed to load is tried again when its directory has changed, or, if memory,
// time or a device failed, after a pause.
//
// Does not wait for loads, which go on elsewhere: OnLoaded() continues. Must be
// used by one thread at a time.
class StoreLoader {
 public:
  struct Hooks {
    // Starts to load a version, or returns the result.
    ModelVersions::LoadFunction load;
    // Receives every new snapshot that differs from the previous one.
    std::function<void(std::shared_ptr<const ServedModels>)> publish;
  };

  struct Options {
    std::string directory;
    VersionPolicy policy;
    bool follow_links;  // see ReadAliases()
  };

  // The end of a change, or nullopt if it has to wait for a load. The caller
  // then makes the same call again, with `again`, after the next OnLoaded().
  using Outcome = std::optional<absl::Status>;

  StoreLoader(Options options, Hooks hooks);
  StoreLoader(const StoreLoader&) = delete;
  StoreLoader& operator=(const StoreLoader&) = delete;

  // Scans the disk, starts to load new versions and releases old ones. Fails if
  // the store directory cannot be read, or if it was replaced by one without
  // models, as when its file system was unmounted; then nothing changes.
  absl::Status Refresh();

  // Continues with a model after the load of a version has ended.
  void OnLoaded(const std::string& name);

  // True if a version is being loaded.
  bool IsLoading() const;

  // Loads a version and keeps it until Unload(). Version 0 means the newest one
  // on disk. NOT_FOUND if the version does not exist; DATA_LOSS if it cannot be
  // verified.
  Outcome Load(const std::string& name, uint64_t version, bool again);

  // Releases a version and keeps it from being loaded until Load() or
  // SetAlias(). Newer versions are still loaded by Refresh(). NOT_FOUND if the
  // version is not loaded; FAILED_PRECONDITION if an alias or a loaded reranker
  // names it.
  absl::Status Unload(const std::string& name, uint64_t version);

  // Loads a version, then points an alias to it, in the store and here. Version
  // 0 removes the alias. Fails with the errors of Load(), with
  // FAILED_PRECONDITION if `expected` is given and the alias does not point to
  // it on disk, where 0 means that the alias must not exist, and with
  // UNAVAILABLE if another process holds the lock of the model's directory.
  // Changes nothing if it fails.
  Outcome SetAlias(const std::string& name, const std::string& alias,
                   uint64_t version, std::optional<uint64_t> expected,
                   bool again);

  // Ends a SetAlias() that failed with UNAVAILABLE and is not tried again: what
  // it has loaded is released, unless there is another reason to keep it.
  void GiveUp(const std::string& name, uint64_t version);

 private:
  ModelVersions& GetModel(const std::string& name);
  absl::Status CheckStore(
      const absl::StatusOr<std::vector<std::string>>& found);
  void RefreshModel(const std::string& name);
  void RefreshMembers();
  bool IsReranker(const ServedModels::Version& version) const;
  absl::Status CheckMembers(const LoadedVersion& version) const;
  std::multimap<ServedModels::Version, ServedModels::Version> FindMembers()
      const;
  absl::StatusOr<uint64_t> FindOnDisk(const std::string& name,
                                      uint64_t version) const;
  Outcome LoadWithMembers(ModelVersions& model, uint64_t number, bool again);
  Outcome MoveAlias(const std::string& name, const std::string& alias,
                    uint64_t version, std::optional<uint64_t> expected,
                    bool again);
  ServedModels MakeSnapshot() const;
  void PublishSnapshot();

  const Options options_;
  const std::string& directory_ = options_.directory;
  const VersionPolicy& policy_ = options_.policy;
  const Hooks hooks_;
  std::string identity_;  // of the directory, see IdentifyDirectory()
  std::map<std::string, ModelVersions> models_;
  absl::Status problem_;  // why the store directory cannot be read
  std::shared_ptr<const ServedModels> published_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORE_LOADER_H_
