// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

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

// An open directory. It stays the same directory when its path gets another
// meaning, so that what is found in it belongs together.
class Directory {
 public:
  static absl::StatusOr<Directory> Open(const std::string& path) {
    return Open(AT_FDCWD, path, path);
  }

  // Opens a directory in this one.
  absl::StatusOr<Directory> OpenChild(const std::string& name) const {
    return Open(descriptor(), name, absl::StrCat(path_, "/", name));
  }

  // Whether there is no entry of this name, or a link to a file.
  bool HasNoChild(const std::string& name) const {
    struct stat info;
    if (fstatat(descriptor(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT;
    }
    return S_ISLNK(info.st_mode) &&
           fstatat(descriptor(), name.c_str(), &info, 0) == 0 &&
           !S_ISDIR(info.st_mode);
  }
  absl::StatusOr<std::string> Identity() const {
    struct stat info;
    if (fstat(descriptor(), &info) != 0) {
      return absl::ErrnoToStatus(errno, path_);
    }
    return absl::StrCat(info.st_dev, " ", info.st_ino);
  }

  // Returns the names of the directories in it, and those of links.
  absl::StatusOr<std::vector<std::string>> ListDirectories(Links links) {
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* const entry = readdir(stream_.get());
      if (entry == nullptr) break;
      const absl::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (IsListed(*entry, links)) names.emplace_back(name);
    }
    if (errno != 0) return absl::ErrnoToStatus(errno, path_);
    return names;
  }

 private:
  struct Close {
    void operator()(DIR* stream) const { closedir(stream); }
  };

  Directory(std::string path, DIR* stream)
      : path_(std::move(path)), stream_(stream) {}

  static absl::StatusOr<Directory> Open(int parent, const std::string& name,
                                        const std::string& path) {
    const int descriptor =
        openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return absl::ErrnoToStatus(errno, path);
    DIR* const stream = fdopendir(descriptor);
    if (stream != nullptr) return Directory(path, stream);
    const int error = errno;
    close(descriptor);
    return absl::ErrnoToStatus(error, path);
  }

  int descriptor() const { return dirfd(stream_.get()); }

  // Looks at an entry itself only if the listing does not have its type,
  // because a file system that is mounted there may hang.
  bool IsListed(const dirent& entry, Links links) const {
    struct stat info;
    bool is_link = entry.d_type == DT_LNK;
    if (entry.d_type == DT_UNKNOWN) {
      if (fstatat(descriptor(), entry.d_name, &info, AT_SYMLINK_NOFOLLOW) !=
          0) {
        return false;
      }
      is_link = S_ISLNK(info.st_mode);
      if (!is_link) return S_ISDIR(info.st_mode);
    }
    if (!is_link) return entry.d_type == DT_DIR;
    if (links == Links::kAll) return true;
    return fstatat(descriptor(), entry.d_name, &info, 0) != 0 ||
           S_ISDIR(info.st_mode);
  }

  std::string path_;  // for messages
  std::unique_ptr<DIR, Close> stream_;
};

// Returns a text that changes when the file changes. It includes the mode,
// because a change of permissions can make the file readable.
std::string Stamp(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::StrCat("error ", errno);
  return absl::StrCat(info.st_dev, " ", info.st_ino, " ", info.st_mode, " ",
                      info.st_size, " ", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec, "\n");
}

absl::StatusOr<ModelListing> ListModels(const std::string& store, Links links) {
  absl::StatusOr<Directory> directory = Directory::Open(store);
  if (!directory.ok()) return directory.status();
  absl::StatusOr<std::vector<std::string>> names =
      directory->ListDirectories(links);
  if (!names.ok()) return names.status();
  absl::StatusOr<std::string> identity = directory->Identity();
  if (!identity.ok()) return identity.status();
  std::erase_if(*names, [](const std::string& name) {
    return !CheckModelName(name).ok();
  });
  std::sort(names->begin(), names->end());
  return ModelListing{*std::move(names), *std::move(identity)};
}

std::vector<uint64_t> VersionNumbers(const std::vector<std::string>& names) {
  std::vector<uint64_t> versions;
  for (const std::string& text : names) {
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

}  // namespace

absl::StatusOr<std::vector<std::string>> ListModelNames(
    const std::string& store) {
  absl::StatusOr<ModelListing> listing =
      ListModels(store, Links::kToDirectories);
  if (!listing.ok()) return listing.status();
  return std::move(listing->names);
}

absl::StatusOr<ModelListing> ListPossibleModels(const std::string& store) {
  return ListModels(store, Links::kAll);
}

absl::StatusOr<VersionListing> ReadVersions(const std::string& store,
                                            absl::string_view name) {
  const absl::StatusOr<Directory> parent = Directory::Open(store);
  if (!parent.ok()) return parent.status();
  absl::StatusOr<std::string> store_identity = parent->Identity();
  if (!store_identity.ok()) return store_identity.status();
  VersionListing listing = {.versions = {},
                            .store_identity = *std::move(store_identity)};
  absl::StatusOr<Directory> directory = parent->OpenChild(std::string(name));
  if (!directory.ok()) {
    if (parent->HasNoChild(std::string(name))) return listing;
    return directory.status();
  }
  const absl::StatusOr<std::vector<std::string>> names =
      directory->ListDirectories(Links::kToDirectories);
  if (!names.ok()) return names.status();
  absl::StatusOr<std::string> identity = directory->Identity();
  if (!identity.ok()) return identity.status();
  listing.versions = VersionNumbers(*names);
  listing.identity = *std::move(identity);
  return listing;
}

std::vector<uint64_t> ListVersions(const std::string& store,
                                   absl::string_view name) {
  absl::StatusOr<VersionListing> listing = ReadVersions(store, name);
  if (!listing.ok()) return {};
  return std::move(listing->versions);
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

absl::StatusOr<std::map<std::string, uint64_t>> ReadAliases(
    const std::string& store, absl::string_view name, bool follow_links) {
  const std::string directory = absl::StrCat(store, "/", name);
  const absl::StatusOr<PrivateMemory> file = ReadStoredFile(
      absl::StrCat(directory, "/", kAliasesFile), kMaxSmallFileSize,
      {.follow_all = follow_links, .directories = {directory, store}});
  if (absl::IsNotFound(file.status())) {
    return std::map<std::string, uint64_t>();
  }
  if (!file.ok()) {
    return absl::DataLossError(
        absl::StrCat(kAliasesFile, ": ", file.status().message()));
  }
  return ParseAliases(file->bytes());
}

absl::StatusOr<std::map<std::string, uint64_t>> ParseAliases(
    absl::string_view json) {
  lm::v1::Aliases parsed;
  absl::Status status = FromJson(kAliasesFile, json, &parsed);
  if (!status.ok()) return status;
  std::map<std::string, uint64_t> aliases;
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
