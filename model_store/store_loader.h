#ifndef LMSERVE_MODEL_STORE_STORE_LOADER_H_
#define LMSERVE_MODEL_STORE_STORE_LOADER_H_

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
#include "model_store/served_models.h"
#include "model_store/version_policy.h"

namespace lmserve {

// Brings what is served in line with what is on disk. What it makes of the two
// it publishes, step by step, and each step is fit to be served:
//  - a version is served once it is loaded and verified;
//  - what is served stays until what takes its place is, so a bad version or
//    alias unseats nothing;
//  - what is gone from the disk, or no longer wanted, is let go.
// Versions that are members of a loaded reranker are kept as aliased ones are;
// those of a new one are loaded right after it.
// A version that was refused is tried again when its directory has changed.
// One thread at a time.
class StoreLoader {
 public:
  struct Hooks {
    // Loads a version, as LoadModel() does.
    std::function<absl::StatusOr<ModelHandle>(const std::string& name,
                                              uint64_t version)>
        load;
    // Gets what is served from now on, whenever that changes.
    std::function<void(std::shared_ptr<const ServedModels>)> publish;
  };

  StoreLoader(std::string directory, VersionPolicy policy, Hooks hooks);

  // Looks at the disk. Fails where the store cannot be read; then all stays as
  // it is.
  absl::Status Refresh();

  // Loads a version, version 0 being the newest on disk, and keeps it until
  // Unload(). NOT_FOUND where there is none, DATA_LOSS where it is bad.
  absl::Status Load(const std::string& name, uint64_t version);

  // Lets a version go, and keeps it out until Load() or SetAlias() wants it; a
  // newer one is loaded as ever. NOT_FOUND where it is not loaded,
  // FAILED_PRECONDITION where an alias or a reranker names it.
  absl::Status Unload(const std::string& name, uint64_t version);

  // Loads a version, then lets an alias name it, here and on disk; version 0
  // takes the alias away. Where this fails nothing has changed: as Load(), and
  // with FAILED_PRECONDITION where the alias does not name `expected` on disk,
  // if that is given; 0 stands for no such alias.
  absl::Status SetAlias(const std::string& name, const std::string& alias,
                        uint64_t version, std::optional<uint64_t> expected);

 private:
  using Aliases = std::map<std::string, uint64_t, std::less<>>;
  using Problems = std::vector<ServedModels::Refused>;

  // A version on disk.
  struct Version {
    std::string stamp;     // of the directory, when last read; empty: never
    ModelHandle handle;    // null: not loaded
    absl::Status problem;  // why the directory, as it is, was refused
    bool pinned = false;   // by Load()
    bool out = false;      // by Unload()
    bool gone = false;     // from the disk
  };
  struct Model {
    std::string name;
    std::map<uint64_t, Version> versions;
    Aliases aliases;    // as they serve, so maybe not as they are on disk
    Problems problems;  // not those of versions
  };
  // What becomes of a model once all of it is loaded.
  struct Plan {
    std::set<uint64_t> versions;
    Aliases aliases;
    Problems problems;
  };

  Model& GetModel(const std::string& name);
  absl::StatusOr<uint64_t> Find(const std::string& name,
                                uint64_t version) const;
  void RefreshModel(const std::string& name);
  absl::Status LookForVersions(Model* model) const;
  void RefreshMembers();
  bool IsReranker(const ServedModels::Version& version) const;
  std::multimap<ServedModels::Version, ServedModels::Version> Members() const;
  static bool IsOnDisk(const Model& model, uint64_t number);
  void PlanAliases(Model* model, Plan* plan);
  void PlanPinned(Model* model, Plan* plan);
  void PlanMembers(Model* model, Plan* plan);
  void PlanNewest(Model* model, Plan* plan);
  void PlanListed(Model* model, Plan* plan);
  bool EnsureLoaded(Model* model, uint64_t number, Plan* plan);
  static void Apply(Plan plan, Model* model);
  void LoadIfChanged(const std::string& name, uint64_t number,
                     Version* version);
  absl::Status LoadNow(const std::string& name, uint64_t number,
                       Version* version);
  absl::Status MoveAlias(const std::string& name, const std::string& alias,
                         uint64_t version, std::optional<uint64_t> expected);
  absl::Status WithoutPath(const absl::Status& status) const;
  ServedModels MakeSnapshot() const;
  void PublishSnapshot();

  const std::string directory_;
  const VersionPolicy policy_;
  const Hooks hooks_;
  std::map<std::string, Model> models_;
  absl::Status problem_;  // of the store itself
  std::vector<ServedModels::Version> loading_;
  std::shared_ptr<const ServedModels> published_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORE_LOADER_H_
