// SPDX-License-Identifier: Apache-2.0
#include "remote_store/compare_stores.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/store_directory.h"
#include "model_store/stored_file.h"
#include "model_store/version_check.h"
#include "remote_store/download.h"
#include "remote_store/remote_listing.h"

namespace lmserve {
namespace {

using Aliases = std::map<std::string, uint64_t>;

class Comparison {
 public:
  Comparison(const std::string& store, Transport& transport,
             const Reporter& reporter, const Pause& pause)
      : store_(store),
        transport_(transport),
        reporter_(reporter),
        pause_(pause),
        problems_(&reporter_) {}

  absl::Status Run(const std::vector<std::string>& models) {
    const absl::StatusOr<std::vector<std::string>> local =
        ListModelNames(store_);
    if (!local.ok()) return local.status();
    const absl::StatusOr<RemoteModels> remote = ListRemote(transport_, models);
    if (!remote.ok()) return remote.status();
    std::set<std::string> names(models.begin(), models.end());
    if (models.empty()) {
      names.insert(local->begin(), local->end());
      for (const auto& [name, model] : *remote) names.insert(name);
    }
    if (names.empty()) return absl::NotFoundError("neither store has a model");
    for (const std::string& name : names) {
      const auto found = remote->find(name);
      absl::Status status = CompareModel(
          name, found == remote->end() ? RemoteModel() : found->second);
      if (!status.ok()) return status;
    }
    return problems_.first();
  }

 private:
  absl::Status CompareModel(const std::string& name,
                            const RemoteModel& remote) {
    const std::vector<uint64_t> here = ListVersions(store_, name);
    const std::vector<uint64_t> there = remote.whole_versions();
    std::set<uint64_t> versions(here.begin(), here.end());
    versions.insert(there.begin(), there.end());
    if (versions.empty()) {
      problems_.Add(name, absl::NotFoundError("in neither store"));
    }
    for (uint64_t version : versions) {
      const bool is_here =
          std::binary_search(here.begin(), here.end(), version);
      const bool is_there =
          std::binary_search(there.begin(), there.end(), version);
      absl::Status status = CompareVersion(name, version, is_here, is_there);
      if (absl::IsAborted(status)) return status;
    }
    CheckAliases(name, "here", ReadAliases(store_, name), here);
    if (remote.has_aliases) {
      CheckAliases(name, "remote", ReadRemoteAliases(transport_, name), there);
    }
    return absl::OkStatus();
  }

  absl::Status CompareVersion(const std::string& name, uint64_t version,
                              bool is_here, bool is_there) {
    absl::Status local, remote;
    if (is_here) local = CheckLocal(name, version);
    if (absl::IsAborted(local)) return local;
    if (is_there) remote = CheckRemote(name, version, is_here);
    if (absl::IsAborted(remote)) return remote;
    const std::string title = VersionName(name, version);
    if (!local.ok()) problems_.Add(absl::StrCat(title, ": here"), local);
    if (!remote.ok()) problems_.Add(absl::StrCat(title, ": remote"), remote);
    if (!local.ok() || !remote.ok()) return absl::OkStatus();
    absl::string_view where = "here only";
    if (is_there) where = is_here ? "here and remote" : "remote only";
    reporter_.done(absl::StrCat(title, "  whole, ", where));
    return absl::OkStatus();
  }

  absl::Status CheckStop() const {
    return pause_(std::chrono::milliseconds(0));
  }

  std::string Directory(const std::string& name, uint64_t version) const {
    return absl::StrCat(store_, "/", name, "/", version);
  }

  absl::Status CheckLocal(const std::string& name, uint64_t version) const {
    return CheckBytes(Directory(name, version), [this] { return CheckStop(); });
  }

  absl::Status CheckRemote(const std::string& name, uint64_t version,
                           bool is_here) const {
    const absl::StatusOr<RemoteManifest> manifest =
        ReadRemoteManifest(transport_, name, version);
    if (!manifest.ok()) return manifest.status();
    for (const lm::v1::ModelFile& file : manifest->manifest.files()) {
      absl::Status status =
          ReadChecked(transport_, RemotePath(name, version, file.name()), file,
                      [this](absl::string_view) { return CheckStop(); });
      if (!status.ok()) return status;
    }
    if (!is_here) return absl::OkStatus();
    const absl::StatusOr<PrivateMemory> here = ReadStoredFile(
        absl::StrCat(Directory(name, version), "/", kManifestFile));
    // That it cannot be read is a problem of the local version.
    if (!here.ok() || here->bytes() == manifest->bytes) {
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(
        "another version than the one here, with the same number");
  }

  void CheckAliases(const std::string& name, absl::string_view where,
                    const absl::StatusOr<Aliases>& aliases,
                    const std::vector<uint64_t>& versions) {
    if (!aliases.ok()) {
      problems_.Add(absl::StrCat(name, ": ", where), aliases.status());
      return;
    }
    for (const auto& [alias, version] : *aliases) {
      if (std::binary_search(versions.begin(), versions.end(), version)) {
        continue;
      }
      problems_.Add(
          absl::StrCat(name, "@", alias, ": ", where),
          absl::NotFoundError(absl::StrCat("it names version ", version,
                                           ", which does not exist")));
    }
  }

  const std::string& store_;
  Transport& transport_;
  const Reporter& reporter_;
  const Pause& pause_;
  Problems problems_;
};

}  // namespace

absl::Status CompareStores(const std::string& store, Transport& transport,
                           const std::vector<std::string>& models,
                           const Reporter& reporter, const Pause& pause) {
  return Comparison(store, transport, reporter, pause).Run(models);
}

}  // namespace lmserve
