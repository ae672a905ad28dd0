// SPDX-License-Identifier: Apache-2.0
#include "model_store/loaded_version.h"

#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model_store/manifest.h"
#include "model_store/reranker.h"
#include "model_store/self_test.h"
#include "model_store/sha256.h"
#include "models/model_factory.h"

namespace lmserve {
namespace {

absl::Status Broken(absl::string_view file, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("file '", file, "': ", what));
}

template <typename Value>
absl::Status Differs(absl::string_view file, absl::string_view field,
                     const Value& expected, const Value& found) {
  return Broken(
      file, absl::StrCat(field, ": expected ", expected, ", found ", found));
}

absl::StatusOr<MappedFile> Map(const std::string& directory,
                               absl::string_view name) {
  absl::StatusOr<MappedFile> file =
      MappedFile::Open(absl::StrCat(directory, "/", name));
  if (!file.ok()) return Broken(name, file.status().message());
  return file;
}

absl::StatusOr<lm::v1::Manifest> ReadManifest(const std::string& directory) {
  const absl::StatusOr<MappedFile> file = Map(directory, kManifestFile);
  if (!file.ok()) return file.status();
  return ParseManifest(file->bytes());
}

// Maps a file and checks that it has the size and SHA-256 of the manifest.
absl::StatusOr<MappedFile> MapVerified(const std::string& directory,
                                       const lm::v1::ModelFile& expected,
                                       absl::FunctionRef<bool()> is_cancelled) {
  absl::StatusOr<MappedFile> file = Map(directory, expected.name());
  if (!file.ok()) return file;
  const uint64_t size = file->bytes().size();
  if (size != expected.size()) {
    return Differs(expected.name(), "size", expected.size(), size);
  }
  const std::optional<std::string> sha256 = Sha256(file->bytes(), is_cancelled);
  if (!sha256.has_value()) return absl::CancelledError("loading was cancelled");
  if (*sha256 != expected.sha256()) {
    return Differs(expected.name(), "SHA-256", expected.sha256(), *sha256);
  }
  return file;
}

absl::StatusOr<AnyModel> MakeModel(const std::string& family,
                                   const ModelFiles& files) {
  absl::StatusOr<AnyModel> model = CreateModel(family, files);
  if (model.ok()) return model;
  // NOT_FOUND means an unknown family, which the manifest names. Other errors
  // name their file.
  if (absl::IsNotFound(model.status())) {
    return Broken(kManifestFile, model.status().message());
  }
  return absl::DataLossError(model.status().message());
}

absl::StatusOr<lm::v1::Reranker> MakeReranker(const ModelFiles& files) {
  const absl::StatusOr<absl::string_view> json = FindFile(files, kRerankerFile);
  if (!json.ok()) return absl::DataLossError(json.status().message());
  return ParseReranker(*json);
}

absl::Status CheckSelfTest(const AnyModel& model, const ModelFiles& files) {
  lm::v1::SelfTest self_test;
  absl::Status status =
      FromJson(kSelfTestFile, files.find(kSelfTestFile)->second, &self_test);
  if (!status.ok()) return status;
  status = RunSelfTest(model, self_test);
  return status.ok() ? status : Broken(kSelfTestFile, status.message());
}

ModelFiles FilesByName(const lm::v1::Manifest& manifest,
                       absl::Span<const MappedFile> mapped) {
  ModelFiles files;
  for (int i = 0; i < manifest.files_size(); ++i) {
    files[manifest.files(i).name()] = mapped[i].bytes();
  }
  return files;
}

}  // namespace

LoadedVersion::LoadedVersion(absl::string_view name, uint64_t version,
                             lm::v1::Manifest manifest,
                             std::vector<MappedFile> files, Content content,
                             double load_seconds)
    : name_(name),
      version_(version),
      manifest_(std::move(manifest)),
      files_(std::move(files)),
      content_(std::move(content)),
      load_seconds_(load_seconds) {}

ModelFiles LoadedVersion::files() const {
  return FilesByName(manifest_, files_);
}

absl::StatusOr<LoadedVersion::Content> LoadedVersion::MakeContent(
    const lm::v1::Manifest& manifest, const ModelFiles& files) {
  if (manifest.family() == kRerankerFamily) return MakeReranker(files);
  absl::StatusOr<AnyModel> model = MakeModel(manifest.family(), files);
  if (!model.ok()) return model.status();
  absl::Status status = CheckSelfTest(*model, files);
  if (!status.ok()) return status;
  return *std::move(model);
}

uint64_t LoadedVersion::file_bytes() const {
  uint64_t bytes = 0;
  for (const lm::v1::ModelFile& file : manifest_.files()) bytes += file.size();
  return bytes;
}

absl::StatusOr<ModelHandle> LoadModel(absl::string_view store,
                                      absl::string_view name, uint64_t version,
                                      absl::FunctionRef<bool()> is_cancelled) {
  const auto start = std::chrono::steady_clock::now();
  const std::string directory = absl::StrCat(store, "/", name, "/", version);
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) {
    return absl::NotFoundError(absl::StrCat(
        "model '", name, "' has no version ", version, " in the store"));
  }
  absl::StatusOr<lm::v1::Manifest> manifest = ReadManifest(directory);
  if (!manifest.ok()) return manifest.status();

  std::vector<MappedFile> files;
  for (const lm::v1::ModelFile& entry : manifest->files()) {
    absl::StatusOr<MappedFile> file =
        MapVerified(directory, entry, is_cancelled);
    if (!file.ok()) return file.status();
    files.push_back(*std::move(file));
  }
  absl::StatusOr<LoadedVersion::Content> content =
      LoadedVersion::MakeContent(*manifest, FilesByName(*manifest, files));
  if (!content.ok()) return content.status();
  const std::chrono::duration<double> load_time =
      std::chrono::steady_clock::now() - start;
  return absl::WrapUnique(
      new LoadedVersion(name, version, *std::move(manifest), std::move(files),
                        *std::move(content), load_time.count()));
}

}  // namespace lmserve
