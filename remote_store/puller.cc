// SPDX-License-Identifier: Apache-2.0
#include "remote_store/puller.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model_store/durable_file.h"
#include "model_store/manifest.h"
#include "model_store/model_directory.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "model_store/status_context.h"
#include "model_store/store_directory.h"
#include "model_store/stored_file.h"
#include "model_store/version_check.h"
#include "remote_store/download.h"
#include "remote_store/pull_directory.h"

namespace lmserve {
namespace {

namespace fs = std::filesystem;

// The start of the name of a directory that collects a version.
constexpr absl::string_view kCollected = ".pulled-";

std::string CollectedName(uint64_t version, const RemoteManifest& manifest) {
  return absl::StrCat(kCollected, version, "-", ShortDigest(manifest.bytes));
}

// Returns the version that ".pulled-VERSION-DIGEST" collects; 0 for other
// names.
uint64_t CollectedVersion(absl::string_view name) {
  if (!absl::StartsWith(name, kCollected)) return 0;
  name.remove_prefix(kCollected.size());
  uint64_t version = 0;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(name, absl::MaxSplits('-', 1));
  return absl::SimpleAtoi(parts.first, &version) ? version : 0;
}

absl::Status CheckSameManifest(const std::string& directory,
                               const std::string& expected) {
  const absl::StatusOr<PrivateMemory> found =
      ReadStoredFile(absl::StrCat(directory, "/", kManifestFile));
  if (!found.ok()) return found.status();
  if (found->bytes() == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "the store and the remote store have different versions of this number; "
      "neither is changed");
}

// Removes the files of a directory that a manifest does not list. The manifest
// stays: another process may be about to rename the directory.
absl::Status RemoveStrangers(const std::string& directory,
                             const lm::v1::Manifest& manifest) {
  std::set<std::string> names = {std::string(kManifestFile)};
  for (const lm::v1::ModelFile& file : manifest.files()) {
    names.insert(file.name());
  }
  std::error_code error;
  std::vector<fs::path> strangers;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (!names.contains(entry.path().filename())) {
      strangers.push_back(entry.path());
    }
  }
  for (const fs::path& path : strangers) {
    if (!error) fs::remove_all(path, error);
  }
  return error ? absl::ErrnoToStatus(error.value(), directory)
               : absl::OkStatus();
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, to);
}

}  // namespace

Puller::Puller(std::string store, Transport* transport, PullOptions options,
               Reporter reporter, Pause pause)
    : store_(std::move(store)),
      transport_(*transport),
      options_(std::move(options)),
      reporter_(std::move(reporter)),
      pause_(std::move(pause)) {}

std::string Puller::Path(absl::string_view name) const {
  return absl::StrCat(store_, "/", name);
}

absl::Status Puller::CheckStop() const {
  return pause_(std::chrono::milliseconds(0));
}

absl::Status Puller::Pull() {
  Problems problems(&reporter_);
  visited_.clear();
  absl::Status status = MakeDirectories(store_);
  if (!status.ok()) return status;
  absl::StatusOr<RemoteModels> remote = ListRemote(transport_, options_.models);
  if (!remote.ok()) return remote.status();
  models_.clear();
  for (const auto& [name, model] : *remote) models_.push_back(name);
  if (models_.empty()) {
    return absl::NotFoundError(
        options_.models.empty()
            ? "the remote store has no model; is its address correct?"
            : "the remote store has none of the models of --model");
  }
  for (const std::string& name : options_.models) {
    if (!remote->contains(name)) {
      problems.Add(name, absl::NotFoundError("not in the remote store"));
    }
  }
  status = PullModels(&*remote, &problems);
  return status.ok() ? problems.first() : status;
}

// Only the errors that concern everything are returned.
absl::Status Puller::PullModels(RemoteModels* remote, Problems* problems) {
  std::map<std::string, Aliases> all_aliases;
  for (auto& [name, model] : *remote) {
    if (!options_.aliases || !model.has_aliases) continue;
    absl::StatusOr<Aliases> aliases = ReadRemoteAliases(transport_, name);
    if (absl::IsAborted(aliases.status())) return aliases.status();
    if (!aliases.ok()) {
      problems->Add(name, aliases.status());
      continue;
    }
    // A version may be newer than the listing.
    for (const auto& [alias, version] : *aliases) {
      if (model.versions.contains(version)) continue;
      absl::StatusOr<RemoteVersion> listed =
          ListRemoteVersion(transport_, name, version);
      if (!listed.ok()) return listed.status();
      model.versions[version] = *std::move(listed);
    }
    all_aliases[name] = *std::move(aliases);
  }
  for (const auto& [name, model] : *remote) {
    RemoveLeftovers(name, model);
    const auto aliases = all_aliases.find(name);
    for (uint64_t version :
         Wanted(model,
                aliases == all_aliases.end() ? Aliases() : aliases->second)) {
      absl::Status status = PullVersion(name, version);
      if (absl::IsAborted(status)) return status;
      if (!status.ok()) problems->Add(VersionName(name, version), status);
    }
  }
  // Those that could not be read stay as they are here.
  for (const auto& [name, aliases] : all_aliases) {
    absl::Status status = UpdateAliases(name, aliases, problems);
    if (!status.ok()) problems->Add(name, status);
  }
  return absl::OkStatus();
}

std::vector<uint64_t> Puller::Wanted(const RemoteModel& model,
                                     const Aliases& aliases) const {
  const std::vector<uint64_t> whole = model.whole_versions();
  std::set<uint64_t, std::greater<>> wanted;
  for (auto version = whole.rbegin(); version != whole.rend(); ++version) {
    if (options_.newest != 0 && wanted.size() >= options_.newest) break;
    wanted.insert(*version);
  }
  for (const auto& [alias, version] : aliases) {
    if (std::binary_search(whole.begin(), whole.end(), version)) {
      wanted.insert(version);
    }
  }
  return {wanted.begin(), wanted.end()};
}

absl::Status Puller::PullVersion(const std::string& name, uint64_t version) {
  const auto [visit, is_new] =
      visited_.emplace(std::pair(name, version), absl::OkStatus());
  if (is_new) visit->second = PullNewVersion(name, version);
  return visit->second;
}

absl::Status Puller::PullNewVersion(const std::string& name, uint64_t version) {
  absl::Status status = CheckStop();
  if (!status.ok()) return status;
  const absl::StatusOr<bool> is_here = IsHere(name, version);
  if (!is_here.ok()) return is_here.status();
  if (*is_here) return absl::OkStatus();
  const absl::StatusOr<RemoteManifest> manifest =
      ReadRemoteManifest(transport_, name, version);
  if (!manifest.ok()) return manifest.status();
  if (manifest->manifest.family() == kRerankerFamily) {
    status = PullMembers(name, version);
    if (!status.ok()) return status;
  }
  return Fetch(name, version, *manifest);
}

absl::StatusOr<bool> Puller::IsHere(const std::string& name, uint64_t version) {
  const std::string directory = absl::StrCat(Path(name), "/", version);
  std::error_code error;
  if (!fs::exists(directory, error)) return false;
  absl::Status status = CheckIsComplete(directory);
  if (!status.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the version in the store is not complete (",
                     status.message(), "); it is pulled once it is removed"));
  }
  if (compared_.contains({name, version})) return true;
  const absl::StatusOr<std::string> manifest =
      ReadRemoteFile(transport_, RemotePath(name, version, kManifestFile));
  if (!manifest.ok()) return manifest.status();
  status = CheckSameManifest(directory, *manifest);
  if (!status.ok()) return status;
  compared_.emplace(name, version);
  return true;
}

absl::Status Puller::Fetch(const std::string& name, uint64_t version,
                           const RemoteManifest& manifest) {
  const std::string parent = Path(name);
  const std::string collected =
      absl::StrCat(parent, "/", CollectedName(version, manifest));
  absl::Status status = MakeDirectories(collected);
  if (!status.ok()) return status;
  status = FetchFiles(name, version, manifest, collected);
  const std::string path = absl::StrCat(parent, "/", version);
  std::error_code error;
  if (!status.ok() && !absl::IsAborted(status) && fs::exists(path, error)) {
    // Another process was faster, and has renamed the directory.
    return CheckSameManifest(path, manifest.bytes);
  }
  if (!status.ok()) return status;
  // Removes the directory if another process was faster.
  HiddenDirectory hidden(collected);
  const absl::StatusOr<bool> is_new = hidden.RenameTo(path);
  if (!is_new.ok() && !fs::exists(path, error)) return is_new.status();
  if (!is_new.ok() || !*is_new) return CheckSameManifest(path, manifest.bytes);
  for (const std::string& changed : {parent, store_}) {
    if (status = Sync(changed); !status.ok()) return status;
  }
  compared_.emplace(name, version);
  reporter_.done(absl::StrCat("pulled ", VersionName(name, version)));
  return absl::OkStatus();
}

absl::Status Puller::FetchFiles(const std::string& name, uint64_t version,
                                const RemoteManifest& manifest,
                                const std::string& directory) {
  const absl::StatusOr<std::unique_ptr<PullDirectory>> work =
      PullDirectory::Make(Path(name));
  if (!work.ok()) return work.status();
  absl::Status status = RemoveStrangers(directory, manifest.manifest);
  if (!status.ok()) return status;
  for (const lm::v1::ModelFile& file : manifest.manifest.files()) {
    const auto check = [this] { return CheckStop(); };
    status = CheckFileBytes(directory, file, check);
    if (absl::IsAborted(status)) return status;
    if (status.ok()) continue;  // an earlier pull has it
    const std::string local = absl::StrCat((*work)->path(), "/", file.name());
    status = Download(transport_, RemotePath(name, version, file.name()), file,
                      local, options_.attempts, pause_);
    if (!status.ok()) return status;
    status = Rename(local, absl::StrCat(directory, "/", file.name()));
    if (!status.ok()) return status;
  }
  const std::string local = absl::StrCat((*work)->path(), "/", kManifestFile);
  status = WriteFile(local, manifest.bytes);
  if (status.ok()) {
    status = Rename(local, absl::StrCat(directory, "/", kManifestFile));
  }
  return status.ok() ? Sync(directory) : status;
}

absl::Status Puller::PullMembers(const std::string& name, uint64_t version) {
  const absl::StatusOr<std::string> json =
      ReadRemoteFile(transport_, RemotePath(name, version, kRerankerFile));
  if (!json.ok()) return json.status();
  const absl::StatusOr<lm::v1::Reranker> reranker = ParseReranker(*json);
  if (!reranker.ok()) return reranker.status();
  for (const auto& [member, number] : FixedMembers(*reranker)) {
    absl::Status status = PullVersion(member, number);
    if (absl::IsAborted(status)) return status;
    if (!status.ok()) {
      return WithContext(
          absl::StrCat("its member ", VersionName(member, number)), status);
    }
  }
  return absl::OkStatus();
}

absl::Status Puller::UpdateAliases(const std::string& name,
                                   const Aliases& remote, Problems* problems) {
  const std::string parent = Path(name);
  std::error_code error;
  if (!fs::is_directory(parent, error)) {
    return remote.empty() ? absl::OkStatus()
                          : absl::NotFoundError("no version was pulled");
  }
  const absl::StatusOr<std::unique_ptr<DirectoryLock>> lock =
      DirectoryLock::Take(store_, name, kLockWait);
  if (!lock.ok()) return lock.status();
  // Damaged aliases are replaced.
  const Aliases old = ReadAliases(store_, name).value_or(Aliases());
  const auto is_whole = [&](uint64_t version) {
    return CheckIsComplete(absl::StrCat(parent, "/", version)).ok();
  };
  Aliases aliases;
  for (const auto& [alias, version] : remote) {
    if (is_whole(version)) {
      aliases[alias] = version;
      continue;
    }
    problems->Add(
        absl::StrCat(name, "@", alias),
        absl::UnavailableError(absl::StrCat("the version ", version,
                                            " is not in the store, so the "
                                            "alias stays as it was")));
    const auto before = old.find(alias);
    if (before != old.end() && is_whole(before->second)) {
      aliases[alias] = before->second;
    }
  }
  if (aliases == old) return absl::OkStatus();
  absl::Status status = WriteAliases(store_, name, aliases);
  if (!status.ok()) return status;
  for (const auto& [alias, version] : aliases) {
    const auto before = old.find(alias);
    if (before != old.end() && before->second == version) continue;
    reporter_.done(
        absl::StrCat(name, "@", alias, " = ", VersionName(name, version)));
  }
  for (const auto& [alias, version] : old) {
    if (!aliases.contains(alias)) {
      reporter_.done(absl::StrCat("removed ", name, "@", alias));
    }
  }
  return absl::OkStatus();
}

void Puller::RemoveLeftovers(const std::string& name,
                             const RemoteModel& model) const {
  const std::string parent = Path(name);
  RemoveAbandonedPulls(parent);
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const uint64_t version = CollectedVersion(entry.path().filename().string());
    if (version == 0) continue;
    const auto found = model.versions.find(version);
    const bool is_needed =
        found != model.versions.end() && found->second.has_manifest() &&
        !fs::exists(absl::StrCat(parent, "/", version), error);
    if (!is_needed) leftovers.push_back(entry.path());
  }
  for (const fs::path& path : leftovers) fs::remove_all(path, error);
}

}  // namespace lmserve
