// SPDX-License-Identifier: Apache-2.0
#include "remote_store/remote_listing.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/sha256.h"
#include "model_store/status_context.h"
#include "model_store/store_directory.h"
#include "model_store/stored_file.h"

namespace lmserve {
namespace {

// Returns the number of a version, or 0 if the text is not one.
uint64_t ParseVersion(absl::string_view text) {
  uint64_t version = 0;
  if (!absl::SimpleAtoi(text, &version) || absl::StrCat(version) != text) {
    return 0;
  }
  return version;
}

void AddFile(const RemoteFile& file, RemoteModels* models) {
  const std::vector<std::string> parts = absl::StrSplit(file.path, '/');
  if (parts.size() < 2 || !CheckModelName(parts[0]).ok()) return;
  if (parts.size() == 2 && parts[1] == kAliasesFile) {
    (*models)[parts[0]].has_aliases = true;
    return;
  }
  const uint64_t version = ParseVersion(parts[1]);
  if (parts.size() != 3 || version == 0) return;
  (*models)[parts[0]].versions[version].files[parts[2]] = file.size;
}

}  // namespace

bool RemoteVersion::has_manifest() const {
  return files.contains(std::string(kManifestFile));
}

std::vector<std::string> RemoteVersion::claims() const {
  std::vector<std::string> claims;
  for (const auto& [name, size] : files) {
    if (absl::StartsWith(name, kClaimPrefix)) claims.push_back(name);
  }
  return claims;
}

std::vector<uint64_t> RemoteModel::whole_versions() const {
  std::vector<uint64_t> whole;
  for (const auto& [number, version] : versions) {
    if (version.has_manifest()) whole.push_back(number);
  }
  return whole;
}

absl::StatusOr<RemoteModels> ListRemote(Transport& transport,
                                        const std::vector<std::string>& names) {
  std::vector<std::string> folders = names;
  if (folders.empty()) folders.emplace_back();
  RemoteModels models;
  for (const std::string& folder : folders) {
    const absl::StatusOr<std::vector<RemoteFile>> files =
        transport.List(folder);
    if (!files.ok()) return files.status();
    for (const RemoteFile& file : *files) AddFile(file, &models);
  }
  return models;
}

absl::StatusOr<RemoteVersion> ListRemoteVersion(Transport& transport,
                                                absl::string_view name,
                                                uint64_t version) {
  const absl::StatusOr<std::vector<RemoteFile>> files =
      transport.List(absl::StrCat(name, "/", version));
  if (!files.ok()) return files.status();
  RemoteModels models;
  for (const RemoteFile& file : *files) AddFile(file, &models);
  return std::move(models[std::string(name)].versions[version]);
}

std::string RemotePath(absl::string_view name, uint64_t version,
                       absl::string_view file) {
  return absl::StrCat(name, "/", version, "/", file);
}

absl::StatusOr<std::string> ReadRemoteFile(Transport& transport,
                                           const std::string& path) {
  std::string bytes;
  absl::Status status =
      transport.Read(path, 0, [&](absl::string_view piece) -> absl::Status {
        if (bytes.size() + piece.size() > kMaxSmallFileSize) {
          return absl::DataLossError(
              absl::StrCat(path, ": size: expected at most ", kMaxSmallFileSize,
                           " bytes, found more"));
        }
        bytes.append(piece.data(), piece.size());
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return bytes;
}

absl::StatusOr<RemoteManifest> ReadRemoteManifest(Transport& transport,
                                                  absl::string_view name,
                                                  uint64_t version) {
  const std::string path = RemotePath(name, version, kManifestFile);
  absl::StatusOr<std::string> bytes = ReadRemoteFile(transport, path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<lm::v1::Manifest> manifest = ParseManifest(*bytes);
  if (!manifest.ok()) return WithContext(path, manifest.status());
  return RemoteManifest{*std::move(bytes), *std::move(manifest)};
}

absl::StatusOr<std::map<std::string, uint64_t>> ReadRemoteAliases(
    Transport& transport, absl::string_view name) {
  const std::string path = absl::StrCat(name, "/", kAliasesFile);
  const absl::StatusOr<std::string> json = ReadRemoteFile(transport, path);
  if (absl::IsNotFound(json.status())) {
    return std::map<std::string, uint64_t>();
  }
  if (!json.ok()) return json.status();
  absl::StatusOr<std::map<std::string, uint64_t>> aliases = ParseAliases(*json);
  if (!aliases.ok()) return WithContext(path, aliases.status());
  return aliases;
}

std::string ShortDigest(absl::string_view manifest_bytes) {
  return Sha256(manifest_bytes).substr(0, 16);
}

}  // namespace lmserve
