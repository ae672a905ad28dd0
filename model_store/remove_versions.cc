// SPDX-License-Identifier: Apache-2.0
#include "model_store/remove_versions.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

namespace lmserve {
namespace {

// The start of the hidden name of a version that is being deleted.
constexpr absl::string_view kRemovedPrefix = ".removed-";

// Whether nobody can read a version now: it is damaged or being written.
bool IsUnreadable(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsDataLoss(status);
}

// Returns the versions of `name` that a version of a reranker names as members;
// none for another kind of version or one that is damaged.
absl::StatusOr<std::vector<uint64_t>> ReadMembers(const std::string& directory,
                                                  absl::string_view name) {
  std::vector<uint64_t> members;
  const absl::StatusOr<lm::v1::Manifest> manifest = ReadManifest(directory);
  if (IsUnreadable(manifest.status())) return members;
  if (!manifest.ok()) return manifest.status();
  if (manifest->family() != kRerankerFamily) return members;
  const absl::StatusOr<PrivateMemory> json =
      ReadStoredFile(absl::StrCat(directory, "/", kRerankerFile));
  const absl::StatusOr<lm::v1::Reranker> reranker =
      json.ok() ? ParseReranker(json->bytes())
                : WithContext(kRerankerFile, json.status());
  if (IsUnreadable(reranker.status())) return members;
  if (!reranker.ok()) return reranker.status();
  for (const auto& [model, version] : FixedMembers(*reranker)) {
    if (model == name) members.push_back(version);
  }
  return members;
}

// Why versions of a model are in use: for each version the aliases and the
// rerankers that name it.
using Uses = std::multimap<uint64_t, std::string>;

absl::Status AddRerankers(const std::string& store, absl::string_view name,
                          Uses* uses) {
  const absl::StatusOr<std::vector<std::string>> models = ListModelNames(store);
  if (!models.ok()) return models.status();
  for (const std::string& model : *models) {
    for (uint64_t version : ListVersions(store, model)) {
      const std::string reranker = VersionName(model, version);
      const absl::StatusOr<std::vector<uint64_t>> members =
          ReadMembers(absl::StrCat(store, "/", model, "/", version), name);
      if (!members.ok()) return WithContext(reranker, members.status());
      for (uint64_t member : *members) {
        uses->emplace(member, absl::StrCat("a member of ", reranker));
      }
    }
  }
  return absl::OkStatus();
}

std::string JoinUses(const Uses& uses, uint64_t version) {
  const auto [begin, end] = uses.equal_range(version);
  return absl::StrJoin(begin, end, ", ", [](std::string* out, const auto& use) {
    absl::StrAppend(out, use.second);
  });
}

// Deletes what an earlier call has left under hidden names.
absl::Status DeleteLeftovers(const std::string& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> leftovers;
  for (const auto& entry :
       std::filesystem::directory_iterator(directory, error)) {
    if (absl::StartsWith(entry.path().filename().string(), kRemovedPrefix)) {
      leftovers.push_back(entry.path());
    }
  }
  for (const std::filesystem::path& path : leftovers) {
    if (!error) std::filesystem::remove_all(path, error);
  }
  return error ? absl::ErrnoToStatus(error.value(), directory)
               : absl::OkStatus();
}

absl::Status DeleteVersion(const std::string& directory, uint64_t version) {
  const std::string path = absl::StrCat(directory, "/", version);
  const std::string hidden =
      absl::StrCat(directory, "/", kRemovedPrefix, version);
  if (rename(path.c_str(), hidden.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, path);
  }
  absl::Status status = Sync(directory);
  if (!status.ok()) return status;
  std::error_code error;
  std::filesystem::remove_all(hidden, error);
  return error ? absl::ErrnoToStatus(error.value(), hidden) : absl::OkStatus();
}

// Decides which versions to remove and which to leave. *removal gets what is to
// be done.
absl::Status Plan(const std::string& store, absl::string_view name,
                  const RemoveOptions& options,
                  const std::map<std::string, uint64_t>& aliases,
                  VersionRemoval* removal) {
  Uses uses;
  for (const auto& [alias, version] : aliases) {
    uses.emplace(version, absl::StrCat("alias ", alias));
  }
  absl::Status status = AddRerankers(store, name, &uses);
  if (!status.ok()) return status;
  const absl::StatusOr<VersionListing> found = ReadVersions(store, name);
  if (!found.ok()) return found.status();
  const std::vector<uint64_t>& versions = found->versions;
  size_t kept = 0;
  for (auto version = versions.rbegin(); version != versions.rend();
       ++version) {
    absl::Status complete =
        CheckIsComplete(absl::StrCat(store, "/", name, "/", *version));
    if (!complete.ok() && !IsUnreadable(complete)) return complete;
    if (!complete.ok()) {
      removal->left.push_back(
          {*version, absl::StrCat("not complete: ", complete.message())});
    } else if (kept < options.keep) {
      ++kept;
    } else if (uses.contains(*version) && !options.force) {
      removal->left.push_back({*version, JoinUses(uses, *version)});
    } else {
      removal->removed.push_back(*version);
    }
  }
  std::reverse(removal->left.begin(), removal->left.end());
  std::reverse(removal->removed.begin(), removal->removed.end());
  return absl::OkStatus();
}

// Removes the aliases of the versions that are to be removed.
absl::Status RemoveAliases(const std::string& store, absl::string_view name,
                           std::map<std::string, uint64_t> aliases,
                           const RemoveOptions& options,
                           VersionRemoval* removal) {
  const auto is_removed = [&](const auto& alias) {
    return std::binary_search(removal->removed.begin(), removal->removed.end(),
                              alias.second);
  };
  std::vector<std::string> removed;
  for (const auto& alias : aliases) {
    if (is_removed(alias)) removed.push_back(alias.first);
  }
  if (!removed.empty() && !options.dry_run) {
    std::erase_if(aliases, is_removed);
    absl::Status status = WriteAliases(store, name, aliases);
    if (!status.ok()) return status;
  }
  removal->removed_aliases = std::move(removed);
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveVersions(const std::string& store, absl::string_view name,
                            const RemoveOptions& options,
                            VersionRemoval* removal) {
  *removal = VersionRemoval();
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  const absl::StatusOr<VersionListing> found = ReadVersions(store, name);
  if (!found.ok()) return found.status();
  if (found->versions.empty()) return FindVersion(store, name).status();
  if (options.keep == 0) {
    return absl::InvalidArgumentError(
        "keep: expected at least 1 version to keep, found 0");
  }
  const absl::StatusOr<std::unique_ptr<DirectoryLock>> lock =
      DirectoryLock::Take(store, name, kLockWait);
  if (!lock.ok()) return lock.status();
  const absl::StatusOr<std::map<std::string, uint64_t>> aliases =
      ReadAliases(store, name, /*follow_links=*/true);
  if (!aliases.ok()) return aliases.status();
  VersionRemoval plan;
  status = Plan(store, name, options, *aliases, &plan);
  if (!status.ok()) return status;
  removal->left = plan.left;
  const std::string directory = absl::StrCat(store, "/", name);
  if (!options.dry_run) status = DeleteLeftovers(directory);
  if (!status.ok()) return status;
  status = RemoveAliases(store, name, *aliases, options, &plan);
  if (!status.ok()) return status;
  removal->removed_aliases = plan.removed_aliases;
  for (uint64_t version : plan.removed) {
    if (!options.dry_run) status = DeleteVersion(directory, version);
    if (!status.ok()) return status;
    removal->removed.push_back(version);
  }
  return absl::OkStatus();
}

}  // namespace lmserve
