#include "model_store/store_directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model_store/manifest.h"
#include "model_store/mapped_file.h"
#include "model_store/model_name.h"

namespace lmserve {
namespace {

// The names of the directories in a directory.
absl::StatusOr<std::vector<std::string>> Directories(
    const std::string& directory) {
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  std::vector<std::string> names;
  for (const auto end = std::filesystem::directory_iterator();
       !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored)) {
      names.push_back(entry->path().filename().string());
    }
  }
  if (error) return absl::ErrnoToStatus(error.value(), directory);
  return names;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListModelNames(
    const std::string& store) {
  absl::StatusOr<std::vector<std::string>> names = Directories(store);
  if (!names.ok()) return names;
  names->erase(std::remove_if(names->begin(), names->end(),
                              [](const std::string& name) {
                                return !CheckModelName(name).ok();
                              }),
               names->end());
  std::sort(names->begin(), names->end());
  return names;
}

std::vector<uint64_t> ListVersions(const std::string& store,
                                   absl::string_view name) {
  const absl::StatusOr<std::vector<std::string>> names =
      Directories(absl::StrCat(store, "/", name));
  std::vector<uint64_t> versions;
  if (!names.ok()) return versions;
  for (const std::string& text : *names) {
    uint64_t version;
    // The decimal form alone: no sign, no zero before it.
    if (absl::SimpleAtoi(text, &version) && version > 0 &&
        absl::StrCat(version) == text) {
      versions.push_back(version);
    }
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

absl::StatusOr<std::map<std::string, uint64_t>> ReadAliases(
    const std::string& store, absl::string_view name) {
  std::map<std::string, uint64_t> aliases;
  const absl::StatusOr<MappedFile> file =
      MappedFile::Open(absl::StrCat(store, "/", name, "/", kAliasesFile));
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

}  // namespace lmserve
