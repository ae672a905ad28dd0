// SPDX-License-Identifier: Apache-2.0
#include "model_store/loaded_version.h"

#include <chrono>
#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "model_store/manifest.h"
#include "model_store/reranker.h"
#include "model_store/self_test.h"
#include "model_store/sha256.h"
#include "model_store/stored_file.h"
#include "models/model_factory.h"

namespace lmserve {
namespace {

absl::Status Broken(absl::string_view file, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("file '", file, "': ", what));
}

// A payload of errors that IsIncomplete() knows.
constexpr char kIncomplete[] = "lmserve/incomplete";

absl::Status Incomplete(absl::Status error) {
  error.SetPayload(kIncomplete, absl::Cord());
  return error;
}

template <typename Value>
absl::Status Differs(absl::string_view file, absl::string_view field,
                     const Value& expected, const Value& found) {
  return Broken(
      file, absl::StrCat(field, ": expected ", expected, ", found ", found));
}

// Adds the name of a file to an error of reading it. That the file does not
// exist is damage, because the manifest names it.
absl::Status CannotRead(absl::string_view file, const absl::Status& status) {
  if (absl::IsNotFound(status)) {
    return Incomplete(Broken(file, status.message()));
  }
  if (!absl::IsUnavailable(status) && !absl::IsResourceExhausted(status)) {
    return Broken(file, status.message());
  }
  return absl::Status(status.code(),
                      absl::StrCat("file '", file, "': ", status.message()));
}

// Whether a file is JSON that is parsed as a whole, and therefore small.
bool IsSmall(absl::string_view file) {
  return file == kSelfTestFile || file == kRerankerFile;
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
  if (absl::IsResourceExhausted(model.status())) return model.status();
  return absl::DataLossError(model.status().message());
}

absl::StatusOr<lm::v1::Reranker> MakeReranker(const ModelFiles& files) {
  const absl::StatusOr<absl::string_view> json = FindFile(files, kRerankerFile);
  if (!json.ok()) return absl::DataLossError(json.status().message());
  return ParseReranker(*json);
}

absl::Status CheckSelfTest(const AnyModel& model, const ModelFiles& files,
                           const std::function<absl::Status()>& check) {
  lm::v1::SelfTest self_test;
  absl::Status status =
      FromJson(kSelfTestFile, files.find(kSelfTestFile)->second, &self_test);
  if (!status.ok()) return status;
  status = RunSelfTest(model, self_test, SelfTestTolerance(files), check);
  return absl::IsDataLoss(status) ? Broken(kSelfTestFile, status.message())
                                  : status;
}

}  // namespace

LoadedVersion::LoadedVersion(absl::string_view name, uint64_t version,
                             lm::v1::Manifest manifest, Files files,
                             Content content, double load_seconds)
    : name_(name),
      version_(version),
      manifest_(std::move(manifest)),
      files_(std::move(files)),
      content_(std::move(content)),
      load_seconds_(load_seconds),
      load_time_(absl::Now()) {}

ModelFiles LoadedVersion::files() const {
  ModelFiles files;
  for (const auto& [name, file] : files_) files[name] = file.bytes();
  return files;
}

uint64_t LoadedVersion::file_bytes() const {
  uint64_t bytes = 0;
  for (const lm::v1::ModelFile& file : manifest_.files()) bytes += file.size();
  return bytes;
}

// Loads one version, step by step. Lives for one call of LoadModel().
class VersionLoader {
 public:
  VersionLoader(absl::string_view store, absl::string_view name,
                uint64_t version, const LoadOptions& options)
      : name_(name),
        version_(version),
        directory_(absl::StrCat(store, "/", name, "/", version)),
        options_(options),
        links_({.follow_all = options.follow_links,
                .directories = {directory_, std::string(store)}}) {}

  absl::StatusOr<ModelHandle> Load() {
    const auto start = std::chrono::steady_clock::now();
    std::error_code ignored;
    if (!std::filesystem::is_directory(directory_, ignored)) {
      return absl::NotFoundError(absl::StrCat(
          "model '", name_, "' has no version ", version_, " in the store"));
    }
    absl::StatusOr<lm::v1::Manifest> manifest = ReadManifest();
    if (!manifest.ok()) return manifest.status();
    absl::Status status = ReadFiles(*manifest);
    if (!status.ok()) return status;
    absl::StatusOr<LoadedVersion::Content> content = MakeContent(*manifest);
    if (!content.ok()) return content.status();
    if (!options_.keep_files) {
      std::erase_if(
          files_, [](const auto& file) { return !IsReadInPlace(file.first); });
    }
    const std::chrono::duration<double> load_time =
        std::chrono::steady_clock::now() - start;
    return absl::WrapUnique(new LoadedVersion(
        name_, version_, *std::move(manifest), std::move(files_),
        *std::move(content), load_time.count()));
  }

 private:
  absl::StatusOr<lm::v1::Manifest> ReadManifest() const {
    absl::Status status = options_.check();
    if (!status.ok()) return status;
    const absl::StatusOr<PrivateMemory> json =
        ReadStoredFile(absl::StrCat(directory_, "/", kManifestFile),
                       kMaxSmallFileSize, links_);
    if (!json.ok()) return CannotRead(kManifestFile, json.status());
    absl::StatusOr<lm::v1::Manifest> manifest = ParseManifest(json->bytes());
    if (!json->bytes().empty()) return manifest;
    return Incomplete(manifest.status());
  }

  // Opens a file, if it has the size of the manifest.
  absl::StatusOr<StoredFile> OpenFile(const lm::v1::ModelFile& expected) const {
    absl::StatusOr<StoredFile> file = StoredFile::Open(
        absl::StrCat(directory_, "/", expected.name()), links_);
    if (!file.ok()) return CannotRead(expected.name(), file.status());
    if (file->size() == expected.size()) return file;
    absl::Status error =
        Differs(expected.name(), "size", expected.size(), file->size());
    return file->size() < expected.size() ? Incomplete(std::move(error))
                                          : error;
  }

  absl::Status ReadFiles(const lm::v1::Manifest& manifest) {
    for (const lm::v1::ModelFile& entry : manifest.files()) {
      absl::Status status = OpenFile(entry).status();
      if (!status.ok()) return status;
    }
    for (const lm::v1::ModelFile& entry : manifest.files()) {
      absl::StatusOr<LoadedVersion::FileBytes> file = ReadVerified(entry);
      if (!file.ok()) return file.status();
      files_.emplace(entry.name(), *std::move(file));
    }
    return absl::OkStatus();
  }

  // Reads a file and checks that it has the size and SHA-256 of the manifest.
  absl::StatusOr<LoadedVersion::FileBytes> ReadVerified(
      const lm::v1::ModelFile& expected) const {
    const absl::StatusOr<StoredFile> file = OpenFile(expected);
    if (!file.ok()) return file.status();
    if (IsSmall(expected.name()) && file->size() > kMaxSmallFileSize) {
      return Differs(expected.name(), "size",
                     absl::StrCat("at most ", kMaxSmallFileSize),
                     absl::StrCat(file->size()));
    }
    absl::Status stopped;
    Sha256Stream sha256;
    const auto verify = [&](absl::string_view piece) {
      sha256.Add(piece);
      stopped = options_.check();
      return stopped;
    };
    const bool map = options_.map_files && IsReadInPlace(expected.name());
    absl::StatusOr<LoadedVersion::FileBytes> bytes =
        map ? Bytes(file->Map(verify)) : Bytes(file->Read(verify));
    if (!stopped.ok()) return stopped;
    if (!bytes.ok()) return CannotRead(expected.name(), bytes.status());
    const std::string found = sha256.Finish();
    if (found != expected.sha256()) {
      return Differs(expected.name(), "SHA-256", expected.sha256(), found);
    }
    return bytes;
  }

  template <typename Memory>
  static absl::StatusOr<LoadedVersion::FileBytes> Bytes(
      absl::StatusOr<Memory> memory) {
    if (!memory.ok()) return memory.status();
    return LoadedVersion::FileBytes{*std::move(memory)};
  }

  absl::StatusOr<LoadedVersion::Content> MakeContent(
      const lm::v1::Manifest& manifest) const {
    ModelFiles files;
    for (const auto& [name, file] : files_) files[name] = file.bytes();
    if (manifest.family() == kRerankerFamily) return MakeReranker(files);
    absl::StatusOr<AnyModel> model = MakeModel(manifest.family(), files);
    if (!model.ok()) return model.status();
    absl::Status status = CheckSelfTest(*model, files, options_.check);
    if (!status.ok()) return status;
    return *std::move(model);
  }

  const absl::string_view name_;
  const uint64_t version_;
  const std::string directory_;
  const LoadOptions& options_;
  const LinkPolicy links_;
  LoadedVersion::Files files_;
};

// The only place where exceptions of loading are caught: memory that does not
// suffice, and errors of the libraries that compute.
absl::StatusOr<ModelHandle> LoadModel(absl::string_view store,
                                      absl::string_view name, uint64_t version,
                                      const LoadOptions& options) {
  constexpr absl::string_view kNoMemory =
      "memory: expected enough to load the version, found too little";
  try {
    return VersionLoader(store, name, version, options).Load();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(kNoMemory);
  } catch (const std::length_error&) {
    return absl::ResourceExhaustedError(kNoMemory);
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat("loading failed: ", absl::string_view(error.what())));
  }
}

bool IsIncomplete(const absl::Status& error) {
  return error.GetPayload(kIncomplete).has_value();
}

}  // namespace lmserve
