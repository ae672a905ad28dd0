// SPDX-License-Identifier: Apache-2.0
#include "model_store/version_check.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model_store/manifest.h"
#include "model_store/sha256.h"
#include "model_store/status_context.h"
#include "model_store/stored_file.h"

namespace lmserve {
namespace {

// Opens a file of the manifest, if it has its size.
absl::StatusOr<StoredFile> OpenComplete(const std::string& directory,
                                        const lm::v1::ModelFile& expected) {
  absl::StatusOr<StoredFile> file =
      StoredFile::Open(absl::StrCat(directory, "/", expected.name()));
  if (!file.ok()) return WithContext(expected.name(), file.status());
  if (file->size() == expected.size()) return file;
  return absl::DataLossError(absl::StrCat(expected.name(), ": expected ",
                                          expected.size(), " bytes, found ",
                                          file->size()));
}

}  // namespace

absl::StatusOr<lm::v1::Manifest> ReadManifest(const std::string& directory) {
  const absl::StatusOr<PrivateMemory> json =
      ReadStoredFile(absl::StrCat(directory, "/", kManifestFile));
  if (!json.ok()) return WithContext(kManifestFile, json.status());
  return ParseManifest(json->bytes());
}

absl::Status CheckIsComplete(const std::string& directory) {
  const absl::StatusOr<lm::v1::Manifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return manifest.status();
  for (const lm::v1::ModelFile& expected : manifest->files()) {
    absl::Status status = OpenComplete(directory, expected).status();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckFileBytes(const std::string& directory,
                            const lm::v1::ModelFile& expected,
                            const std::function<absl::Status()>& check) {
  const absl::StatusOr<StoredFile> file = OpenComplete(directory, expected);
  if (!file.ok()) return file.status();
  Sha256Stream sha256;
  absl::Status stopped;
  const absl::Status status = file->ReadPieces([&](absl::string_view piece) {
    sha256.Add(piece);
    stopped = check();
    return stopped;
  });
  if (!stopped.ok()) return stopped;
  if (!status.ok()) return WithContext(expected.name(), status);
  const std::string found = sha256.Finish();
  if (found == expected.sha256()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(expected.name(), ": SHA-256: expected ", expected.sha256(),
                   ", found ", found));
}

absl::Status CheckBytes(const std::string& directory,
                        const std::function<absl::Status()>& check) {
  const absl::StatusOr<lm::v1::Manifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return manifest.status();
  for (const lm::v1::ModelFile& expected : manifest->files()) {
    absl::Status status = CheckFileBytes(directory, expected, check);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace lmserve
