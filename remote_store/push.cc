// SPDX-License-Identifier: Apache-2.0
#include "remote_store/push.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "model_store/manifest.h"
#include "model_store/model_directory.h"
#include "model_store/model_name.h"
#include "model_store/store_directory.h"
#include "model_store/stored_file.h"
#include "model_store/version_check.h"
#include "remote_store/remote_listing.h"

namespace lmserve {
namespace {

using Aliases = std::map<std::string, uint64_t>;

// Pushes one version.
class VersionPush {
 public:
  VersionPush(const std::string& store, std::string name, uint64_t version,
              Transport& transport, const Pause& pause)
      : name_(std::move(name)),
        version_(version),
        directory_(absl::StrCat(store, "/", name_, "/", version)),
        transport_(transport),
        pause_(pause) {}

  // Returns whether the remote store did not have the version before.
  absl::StatusOr<bool> Run(const RemoteVersion& listed) {
    const absl::StatusOr<PrivateMemory> manifest =
        ReadStoredFile(absl::StrCat(directory_, "/", kManifestFile));
    if (!manifest.ok()) return manifest.status();
    manifest_ = std::string(manifest->bytes());
    claim_ = absl::StrCat(kClaimPrefix, ShortDigest(manifest_));
    absl::Status status;
    if (listed.has_manifest()) {
      status = CheckSame();
      const bool is_claimed = listed.files.contains(claim_);
      if (status.ok() && is_claimed) status = Withdraw();
      // An earlier push can have ended while it wrote the manifest.
      if (!absl::IsDataLoss(status) || !is_claimed) {
        if (!status.ok()) return status;
        return false;
      }
    }
    // Bytes that are damaged here must not become a version elsewhere.
    status = CheckBytes(directory_, [this] { return CheckStop(); });
    if (status.ok()) status = Claim();
    if (status.ok()) status = WriteFiles();
    if (status.ok()) {
      status = transport_.Write(absl::StrCat(directory_, "/", kManifestFile),
                                Remote(kManifestFile));
    }
    if (status.ok()) status = CheckSame();
    if (status.ok()) status = Withdraw();
    if (!status.ok()) return status;
    return true;
  }

 private:
  absl::Status CheckStop() const {
    return pause_(std::chrono::milliseconds(0));
  }

  std::string Remote(absl::string_view file) const {
    return RemotePath(name_, version_, file);
  }

  // Compares the manifests. DATA_LOSS if the remote one is damaged.
  absl::Status CheckSame() const {
    const absl::StatusOr<RemoteManifest> found =
        ReadRemoteManifest(transport_, name_, version_);
    if (!found.ok()) return found.status();
    if (found->bytes == manifest_) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "the store and the remote store have different versions of this "
        "number; neither is changed");
  }

  // Writes the claim, and withdraws it if there is another one.
  absl::Status Claim() {
    absl::Status status = transport_.Write(
        absl::StrCat(directory_, "/", kManifestFile), Remote(claim_));
    if (!status.ok()) return status;
    const absl::StatusOr<RemoteVersion> listed =
        ListRemoteVersion(transport_, name_, version_);
    if (!listed.ok()) return listed.status();
    for (const std::string& claim : listed->claims()) {
      if (claim == claim_) continue;
      Withdraw().IgnoreError();
      return absl::FailedPreconditionError(absl::StrCat(
          "another process pushes another version of this number; if it has "
          "ended, delete its claim ",
          Remote(claim), " in the remote store"));
    }
    if (!listed->has_manifest()) return absl::OkStatus();
    // It is the same, is what an earlier push has cut, or came meanwhile.
    status = CheckSame();
    if (status.ok() || absl::IsDataLoss(status)) return absl::OkStatus();
    Withdraw().IgnoreError();
    return status;
  }

  absl::Status Withdraw() { return transport_.Delete(Remote(claim_)); }

  absl::Status WriteFiles() {
    const absl::StatusOr<lm::v1::Manifest> manifest = ParseManifest(manifest_);
    if (!manifest.ok()) return manifest.status();
    for (const lm::v1::ModelFile& file : manifest->files()) {
      absl::Status status = CheckStop();
      if (!status.ok()) return status;
      status = transport_.Write(absl::StrCat(directory_, "/", file.name()),
                                Remote(file.name()));
      if (!status.ok()) return status;
    }
    const absl::StatusOr<RemoteVersion> listed =
        ListRemoteVersion(transport_, name_, version_);
    if (!listed.ok()) return listed.status();
    for (const lm::v1::ModelFile& file : manifest->files()) {
      const auto found = listed->files.find(file.name());
      if (found != listed->files.end() && found->second == file.size()) {
        continue;
      }
      return absl::UnavailableError(absl::StrCat(
          Remote(file.name()), ": expected ", file.size(),
          " bytes in the remote store after writing them, found ",
          found == listed->files.end() ? "no file"
                                       : absl::StrCat(found->second)));
    }
    return absl::OkStatus();
  }

  const std::string name_;
  const uint64_t version_;
  const std::string directory_;
  Transport& transport_;
  const Pause& pause_;
  std::string manifest_;
  std::string claim_;
};

// Pushes the models of a store.
class StorePush {
 public:
  StorePush(const std::string& store, Transport& transport,
            const PushOptions& options, const Reporter& reporter,
            const Pause& pause)
      : store_(store),
        transport_(transport),
        options_(options),
        reporter_(reporter),
        pause_(pause),
        problems_(&reporter_) {}

  absl::Status Run() {
    absl::StatusOr<std::vector<std::string>> names = options_.models;
    if (names->empty()) names = ListModelNames(store_);
    if (!names.ok()) return names.status();
    if (names->empty()) return absl::NotFoundError("the store has no model");
    const absl::StatusOr<RemoteModels> remote = ListRemote(transport_, *names);
    if (!remote.ok()) return remote.status();
    for (const std::string& name : *names) {
      const auto found = remote->find(name);
      absl::Status status = PushModel(
          name, found == remote->end() ? RemoteModel() : found->second);
      if (absl::IsAborted(status)) return status;
      if (!status.ok()) problems_.Add(name, status);
    }
    return problems_.first();
  }

 private:
  absl::Status PushModel(const std::string& name, const RemoteModel& remote) {
    const absl::StatusOr<VersionListing> listing = ReadVersions(store_, name);
    if (!listing.ok()) return listing.status();
    if (listing->versions.empty()) {
      return absl::NotFoundError("not in the store");
    }
    const absl::StatusOr<Aliases> aliases = ReadAliases(store_, name);
    if (!aliases.ok()) return aliases.status();
    const std::vector<uint64_t> whole = remote.whole_versions();
    std::set<uint64_t> there(whole.begin(), whole.end());
    for (uint64_t version : Wanted(listing->versions, *aliases)) {
      const auto listed = remote.versions.find(version);
      const absl::StatusOr<bool> is_new =
          VersionPush(store_, name, version, transport_, pause_)
              .Run(listed == remote.versions.end() ? RemoteVersion()
                                                   : listed->second);
      if (absl::IsAborted(is_new.status())) return is_new.status();
      if (!is_new.ok()) {
        problems_.Add(VersionName(name, version), is_new.status());
        continue;
      }
      there.insert(version);
      if (*is_new) {
        reporter_.done(absl::StrCat("pushed ", VersionName(name, version)));
      }
    }
    return options_.aliases && !aliases->empty()
               ? PushAliases(name, *aliases, there)
               : absl::OkStatus();
  }

  std::vector<uint64_t> Wanted(const std::vector<uint64_t>& versions,
                               const Aliases& aliases) const {
    std::set<uint64_t> wanted;
    const size_t count = options_.newest == 0
                             ? versions.size()
                             : std::min(options_.newest, versions.size());
    wanted.insert(versions.end() - static_cast<int64_t>(count), versions.end());
    for (const auto& [alias, version] : aliases) {
      if (std::binary_search(versions.begin(), versions.end(), version)) {
        wanted.insert(version);
      }
    }
    return {wanted.begin(), wanted.end()};
  }

  absl::Status PushAliases(const std::string& name, const Aliases& aliases,
                           const std::set<uint64_t>& there) {
    for (const auto& [alias, version] : aliases) {
      if (there.contains(version)) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "the aliases were not pushed: the remote store lacks the version ",
          version, " of ", name, "@", alias));
    }
    const absl::StatusOr<Aliases> remote = ReadRemoteAliases(transport_, name);
    if (!remote.ok() && !absl::IsDataLoss(remote.status())) {
      return remote.status();
    }
    if (remote.ok() && *remote == aliases) return absl::OkStatus();
    // The file in the store may have changed since it was read.
    const absl::StatusOr<std::unique_ptr<HiddenDirectory>> directory =
        HiddenDirectory::Make(std::filesystem::temp_directory_path());
    if (!directory.ok()) return directory.status();
    const std::string local =
        absl::StrCat((*directory)->path(), "/", kAliasesFile);
    lm::v1::Aliases message;
    message.mutable_versions()->insert(aliases.begin(), aliases.end());
    absl::Status status = WriteFile(local, ToJson(message));
    if (status.ok()) {
      status = transport_.Write(local, absl::StrCat(name, "/", kAliasesFile));
    }
    if (status.ok()) {
      reporter_.done(absl::StrCat("pushed the aliases of ", name));
    }
    return status;
  }

  const std::string& store_;
  Transport& transport_;
  const PushOptions& options_;
  const Reporter& reporter_;
  const Pause& pause_;
  Problems problems_;
};

}  // namespace

absl::Status Push(const std::string& store, Transport& transport,
                  const PushOptions& options, const Reporter& reporter,
                  const Pause& pause) {
  return StorePush(store, transport, options, reporter, pause).Run();
}

}  // namespace lmserve
