// SPDX-License-Identifier: Apache-2.0
#include "model_store/publish.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model_store/durable_file.h"
#include "model_store/manifest.h"
#include "model_store/mapped_file.h"
#include "model_store/model_directory.h"
#include "model_store/model_name.h"
#include "model_store/reranker.h"
#include "model_store/self_test.h"
#include "model_store/sha256.h"
#include "model_store/store_directory.h"

namespace lmserve {
namespace {

// Renames the directory to the first unused version. A version is never an
// empty directory, so a rename cannot replace one.
absl::StatusOr<uint64_t> TakeVersion(const std::string& store,
                                     absl::string_view name,
                                     HiddenDirectory& directory) {
  const std::vector<uint64_t> versions = ListVersions(store, name);
  for (uint64_t version = versions.empty() ? 1 : versions.back() + 1;;
       ++version) {
    if (version == 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("model '", name, "' has version 2^64 - 1, the last"));
    }
    const absl::StatusOr<bool> taken =
        directory.RenameTo(absl::StrCat(store, "/", name, "/", version));
    if (!taken.ok()) return taken.status();
    if (*taken) return version;
  }
}

// Returns the content of manifest.json. Fails if a reader would reject it.
absl::StatusOr<std::string> MakeManifest(const NewVersion& version,
                                         const ModelFiles& files) {
  lm::v1::Manifest manifest;
  manifest.set_format_version(kFormatVersion);
  manifest.set_family(version.family);
  manifest.set_tokenizer(std::string(kTokenizer));
  manifest.mutable_properties()->insert(version.properties.begin(),
                                        version.properties.end());
  manifest.set_created(
      absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()));
  for (const auto& [name, bytes] : files) {
    lm::v1::ModelFile& file = *manifest.add_files();
    file.set_name(name);
    file.set_size(bytes.size());
    file.set_sha256(Sha256(bytes));
  }
  std::string json = ToJson(manifest);
  if (const auto parsed = ParseManifest(json); !parsed.ok()) {
    return absl::InvalidArgumentError(parsed.status().message());
  }
  return json;
}

// Returns the content of selftest.json, after checking that the model passes
// the test as a reader would parse it.
absl::StatusOr<std::string> MakeSelfTestFile(const AnyModel& model,
                                             const NewVersion& version) {
  std::string json =
      ToJson(MakeSelfTest(model, version.self_test, version.self_test_sources));
  lm::v1::SelfTest self_test;
  absl::Status status = FromJson(kSelfTestFile, json, &self_test);
  if (status.ok()) status = RunSelfTest(model, self_test);
  if (!status.ok()) return absl::InvalidArgumentError(status.message());
  return json;
}

// Checks that the version can be loaded, and adds the self-test, whose content
// *self_test owns, to the files of a model.
absl::Status CompleteFiles(const NewVersion& version, std::string* self_test,
                           ModelFiles* files) {
  if (version.family == kRerankerFamily) {
    const absl::StatusOr<absl::string_view> json =
        FindFile(*files, kRerankerFile);
    return json.ok() ? ParseReranker(*json).status() : json.status();
  }
  const absl::StatusOr<AnyModel> model = CreateModel(version.family, *files);
  if (!model.ok()) return model.status();
  absl::StatusOr<std::string> made = MakeSelfTestFile(*model, version);
  if (!made.ok()) return made.status();
  *self_test = *std::move(made);
  (*files)[std::string(kSelfTestFile)] = *self_test;
  return absl::OkStatus();
}

// Gives a file a second name. Returns false if the file system cannot.
bool Link(const std::string& from, const std::string& to) {
  return link(from.c_str(), to.c_str()) == 0;
}

absl::Status WriteVersion(const std::string& directory,
                          const std::string& manifest, const ModelFiles& files,
                          const std::map<std::string, std::string>& paths) {
  for (const auto& [name, bytes] : files) {
    const std::string to = absl::StrCat(directory, "/", name);
    const auto path = paths.find(name);
    const bool is_linked = path != paths.end() && Link(path->second, to);
    absl::Status status = is_linked ? Sync(to) : WriteFile(to, bytes);
    if (!status.ok()) return status;
  }
  absl::Status status =
      WriteFile(absl::StrCat(directory, "/", kManifestFile), manifest);
  return status.ok() ? Sync(directory) : status;
}

std::string DescribeVersion(uint64_t version) {
  return version == 0 ? "none" : absl::StrCat("version ", version);
}

absl::Status CheckAliasIs(const std::map<std::string, uint64_t>& aliases,
                          absl::string_view name, absl::string_view alias,
                          uint64_t expected) {
  const auto found = aliases.find(std::string(alias));
  const uint64_t version = found == aliases.end() ? 0 : found->second;
  if (version == expected) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "alias '", alias, "' of model '", name, "': expected ",
      DescribeVersion(expected), ", found ", DescribeVersion(version)));
}

absl::Status NoSuchModel(const std::string& store, absl::string_view name) {
  const absl::StatusOr<ModelListing> models = ListPossibleModels(store);
  if (!models.ok()) return models.status();
  return absl::NotFoundError(absl::StrCat(
      "model '", name,
      "' is not in the store; found: ", absl::StrJoin(models->names, ", ")));
}

// Points an alias to a version; without a version, removes it.
absl::Status ChangeAlias(const std::string& store, absl::string_view name,
                         absl::string_view alias,
                         std::optional<uint64_t> version,
                         std::optional<uint64_t> expected,
                         std::chrono::milliseconds wait) {
  const absl::StatusOr<std::unique_ptr<DirectoryLock>> lock =
      DirectoryLock::Take(store, name, wait);
  if (!lock.ok()) return lock.status();
  absl::Status status;
  // Under the lock, because versions are removed under it, too.
  if (version.has_value()) {
    status = FindVersion(store, VersionName(name, *version)).status();
  }
  if (!status.ok()) return status;
  absl::StatusOr<std::map<std::string, uint64_t>> aliases =
      ReadAliases(store, name);
  if (!aliases.ok()) return aliases.status();
  if (expected.has_value()) {
    status = CheckAliasIs(*aliases, name, alias, *expected);
    if (!status.ok()) return status;
  }
  if (version.has_value()) {
    (*aliases)[std::string(alias)] = *version;
  } else if (aliases->erase(std::string(alias)) == 0) {
    return absl::NotFoundError(
        absl::StrCat("model '", name, "' has no alias '", alias, "'"));
  }
  return WriteAliases(store, name, *aliases);
}

}  // namespace

absl::StatusOr<uint64_t> Publish(const std::string& store,
                                 absl::string_view name,
                                 const NewVersion& version) {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  std::string self_test;
  ModelFiles files = version.files;
  std::vector<MappedFile> mapped;
  for (const auto& [file, path] : version.paths) {
    absl::StatusOr<MappedFile> opened = MappedFile::Open(path);
    if (!opened.ok()) return opened.status();
    mapped.push_back(*std::move(opened));
    files[file] = mapped.back().bytes();
  }
  status = CompleteFiles(version, &self_test, &files);
  if (!status.ok()) return status;
  const absl::StatusOr<std::string> manifest = MakeManifest(version, files);
  if (!manifest.ok()) return manifest.status();

  const std::string parent = absl::StrCat(store, "/", name);
  if (status = MakeDirectories(parent); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<HiddenDirectory>> directory =
      HiddenDirectory::Make(parent);
  if (!directory.ok()) return directory.status();
  status = WriteVersion((*directory)->path(), *manifest, files, version.paths);
  if (!status.ok()) return status;
  absl::StatusOr<uint64_t> number = TakeVersion(store, name, **directory);
  if (!number.ok()) return number;
  // The store is synced too, because the model's directory may be new.
  for (const std::string& changed : {parent, store}) {
    if (status = Sync(changed); !status.ok()) return status;
  }
  return number;
}

absl::Status CheckCanPublish(const std::string& store, absl::string_view name) {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  // The first directory of the path that exists will have the others.
  std::error_code error;
  std::filesystem::path path =
      std::filesystem::absolute(store, error) / std::string(name);
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) {
    path = path.parent_path();
  }
  if (!std::filesystem::is_directory(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path.string(), ": expected a directory, found a file"));
  }
  if (access(path.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno,
                             absl::StrCat(path.string(), ": cannot write"));
}

absl::Status CheckAliasIs(const std::string& store, absl::string_view name,
                          absl::string_view alias, uint64_t expected) {
  absl::Status status = CheckAlias(alias);
  if (!status.ok()) return status;
  const absl::StatusOr<std::map<std::string, uint64_t>> aliases =
      ReadAliases(store, name);
  if (!aliases.ok()) return aliases.status();
  return CheckAliasIs(*aliases, name, alias, expected);
}

absl::Status SetAlias(const std::string& store, absl::string_view name,
                      absl::string_view alias, uint64_t version,
                      std::optional<uint64_t> expected,
                      std::chrono::milliseconds wait) {
  absl::Status status = CheckModelName(name);
  if (status.ok()) status = CheckAlias(alias);
  if (!status.ok()) return status;
  return ChangeAlias(store, name, alias, version, expected, wait);
}

absl::Status RemoveAlias(const std::string& store, absl::string_view name,
                         absl::string_view alias,
                         std::optional<uint64_t> expected,
                         std::chrono::milliseconds wait) {
  absl::Status status = CheckModelName(name);
  if (status.ok()) status = CheckAlias(alias);
  if (!status.ok()) return status;
  return ChangeAlias(store, name, alias, std::nullopt, expected, wait);
}

absl::StatusOr<uint64_t> FindNewestVersion(const std::string& store,
                                           absl::string_view name) {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  const std::vector<uint64_t> versions = ListVersions(store, name);
  if (versions.empty()) return NoSuchModel(store, name);
  return versions.back();
}

absl::StatusOr<uint64_t> FindVersion(const std::string& store,
                                     absl::string_view spec) {
  const absl::StatusOr<ModelName> wanted = ParseModelName(spec);
  if (!wanted.ok()) return wanted.status();
  const std::vector<uint64_t> versions = ListVersions(store, wanted->name);
  if (versions.empty()) return NoSuchModel(store, wanted->name);
  uint64_t version = wanted->version;
  if (version == 0) {
    const bool is_bare = wanted->alias.empty();
    const absl::StatusOr<std::map<std::string, uint64_t>> aliases =
        ReadAliases(store, wanted->name);
    if (!aliases.ok()) return aliases.status();
    const auto found =
        aliases->find(is_bare ? std::string(kDefaultAlias) : wanted->alias);
    if (found != aliases->end()) {
      version = found->second;
    } else if (is_bare) {
      version = versions.back();
    }
  }
  if (std::binary_search(versions.begin(), versions.end(), version)) {
    return version;
  }
  return absl::NotFoundError(
      absl::StrCat("model '", wanted->name, "' has no version or alias '",
                   spec.substr(wanted->name.size() + 1),
                   "'; versions: ", absl::StrJoin(versions, ", ")));
}

}  // namespace lmserve
