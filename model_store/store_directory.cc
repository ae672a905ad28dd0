// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_directory.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/stored_file.h"

namespace lmserve {
namespace {

// Which links in a directory are listed: those whose target is a directory or
// does not exist, so that they are reported instead of ignored; or all of them,
// without looking at the targets.
enum class Links { kToDirectories, kAll };

// Returns the names of the directories in a directory, and those of links.
absl::StatusOr<std::vector<std::string>> ListDirectories(
    const std::string& directory, Links links) {
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  std::vector<std::string> names;
  for (const auto end = std::filesystem::directory_iterator();
       !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    const bool is_link = entry->is_symlink(ignored);
    if ((is_link && links == Links::kAll) || entry->is_directory(ignored) ||
        (is_link && !entry->exists(ignored))) {
      names.push_back(entry->path().filename().string());
    }
  }
  if (error) return absl::ErrnoToStatus(error.value(), directory);
  return names;
}

// Returns a text that changes when the file changes. It includes the mode,
// because a change of permissions can make the file readable.
std::string Stamp(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::StrCat("error ", errno);
  return absl::StrCat(info.st_dev, " ", info.st_ino, " ", info.st_mode, " ",
                      info.st_size, " ", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec, "\n");
}

absl::StatusOr<std::vector<std::string>> ListNames(const std::string& store,
                                                   Links links) {
  absl::StatusOr<std::vector<std::string>> names =
      ListDirectories(store, links);
  if (!names.ok()) return names;
  names->erase(std::remove_if(names->begin(), names->end(),
                              [](const std::string& name) {
                                return !CheckModelName(name).ok();
                              }),
               names->end());
  std::sort(names->begin(), names->end());
  return names;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListModelNames(
    const std::string& store) {
  return ListNames(store, Links::kToDirectories);
}

absl::StatusOr<std::vector<std::string>> ListPossibleModels(
    const std::string& store) {
  return ListNames(store, Links::kAll);
}

absl::StatusOr<std::vector<uint64_t>> ReadVersions(const std::string& store,
                                                   absl::string_view name) {
  const std::string directory = absl::StrCat(store, "/", name);
  const absl::StatusOr<std::vector<std::string>> names =
      ListDirectories(directory, Links::kToDirectories);
  std::vector<uint64_t> versions;
  std::error_code ignored;
  const bool is_link = std::filesystem::is_symlink(directory, ignored);
  if (absl::IsNotFound(names.status()) && !is_link) return versions;
  const bool leads_to_file = is_link &&
                             std::filesystem::exists(directory, ignored) &&
                             !std::filesystem::is_directory(directory, ignored);
  if (!names.ok() && leads_to_file) return versions;
  if (!names.ok()) return names.status();
  for (const std::string& text : *names) {
    uint64_t version;
    // Rejects a sign and leading zeros.
    if (absl::SimpleAtoi(text, &version) && version > 0 &&
        absl::StrCat(version) == text) {
      versions.push_back(version);
    }
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

std::vector<uint64_t> ListVersions(const std::string& store,
                                   absl::string_view name) {
  const absl::StatusOr<std::vector<uint64_t>> versions =
      ReadVersions(store, name);
  return versions.ok() ? *versions : std::vector<uint64_t>();
}

std::string StampVersion(const std::string& store, absl::string_view name,
                         uint64_t version) {
  const std::string directory = absl::StrCat(store, "/", name, "/", version);
  std::set<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  for (const auto end = std::filesystem::directory_iterator();
       !error && entry != end; entry.increment(error)) {
    files.insert(entry->path().filename().string());
  }
  std::string stamp = Stamp(directory);
  for (const std::string& file : files) {
    absl::StrAppend(&stamp, file, " ",
                    Stamp(absl::StrCat(directory, "/", file)));
  }
  return stamp;
}

std::string IdentifyDirectory(const std::string& directory) {
  struct stat info;
  if (stat(directory.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_dev, " ", info.st_ino);
}

absl::StatusOr<std::map<std::string, uint64_t>> ReadAliases(
    const std::string& store, absl::string_view name, bool follow_links) {
  std::map<std::string, uint64_t> aliases;
  const std::string directory = absl::StrCat(store, "/", name);
  const absl::StatusOr<PrivateMemory> file = ReadStoredFile(
      absl::StrCat(directory, "/", kAliasesFile), kMaxSmallFileSize,
      {.follow_all = follow_links, .directories = {directory, store}});
  if (absl::IsNotFound(file.status())) return aliases;
  if (!file.ok()) {
    return absl::DataLossError(
        absl::StrCat(kAliasesFile, ": ", file.status().message()));
  }
  lm::v1::Aliases parsed;
  absl::Status status = FromJson(kAliasesFile, file->bytes(), &parsed);
  if (!status.ok()) return status;
  for (const auto& [alias, version] : parsed.versions()) {
    if (status = CheckAlias(alias); !status.ok()) {
      return absl::DataLossError(
          absl::StrCat(kAliasesFile, ": ", status.message()));
    }
    aliases[alias] = version;
  }
  return aliases;
}

absl::Status WithoutStorePath(const std::string& store,
                              const absl::Status& status) {
  if (status.ok()) return status;
  absl::string_view message = status.message();
  if (!absl::ConsumePrefix(&message, store)) return status;
  if (!absl::ConsumePrefix(&message, "/")) {
    return absl::Status(status.code(), absl::StrCat("the store", message));
  }
  return absl::Status(status.code(), message);
}

}  // namespace lmserve
