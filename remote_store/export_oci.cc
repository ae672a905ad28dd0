// SPDX-License-Identifier: Apache-2.0
#include "remote_store/export_oci.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "model_store/manifest.h"
#include "model_store/model_directory.h"
#include "model_store/sha256.h"
#include "model_store/status_context.h"
#include "model_store/stored_file.h"
#include "remote_store/tar_header.h"

namespace lmserve {
namespace {

// Keeps the order of keys, which is a part of the bytes.
using Json = nlohmann::ordered_json;

constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";

// What a manifest says of a blob.
Json Descriptor(const char* type, const std::string& digest, uint64_t size) {
  return {{"mediaType", type},
          {"digest", absl::StrCat("sha256:", digest)},
          {"size", size}};
}

// A new file whose digest is known at its end. Writes a tar file.
class LayerFile {
 public:
  static absl::StatusOr<std::unique_ptr<LayerFile>> Create(
      const std::string& path) {
    const int descriptor =
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor < 0) return absl::ErrnoToStatus(errno, path);
    return std::make_unique<LayerFile>(path, descriptor);
  }

  // Owns the descriptor.
  LayerFile(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  LayerFile(const LayerFile&) = delete;
  LayerFile& operator=(const LayerFile&) = delete;
  ~LayerFile() { close(descriptor_); }

  absl::Status Add(absl::string_view bytes) {
    size_ += bytes.size();
    sha256_.Add(bytes);
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return absl::ErrnoToStatus(errno, path_);
      bytes.remove_prefix(written);
    }
    return absl::OkStatus();
  }

  // Returns the descriptor of the blob, after which nothing can be added.
  absl::StatusOr<Json> Finish() {
    absl::Status status = Add(std::string(2 * kTarBlock, '\0'));
    if (!status.ok()) return status;
    if (fsync(descriptor_) != 0) return absl::ErrnoToStatus(errno, path_);
    return Descriptor(kLayerType, sha256_.Finish(), size_);
  }

 private:
  const std::string path_;
  const int descriptor_;
  uint64_t size_ = 0;
  Sha256Stream sha256_;
};

// Adds a file of a version, which must have these bytes, to a layer.
absl::Status AddFile(const std::string& directory, const std::string& folder,
                     const lm::v1::ModelFile& expected, const Pause& pause,
                     LayerFile& layer) {
  const absl::StatusOr<StoredFile> file =
      StoredFile::Open(absl::StrCat(directory, "/", expected.name()));
  if (!file.ok()) return WithContext(expected.name(), file.status());
  absl::Status status =
      layer.Add(TarHeader(absl::StrCat(folder, expected.name()), file->size()));
  if (!status.ok()) return status;
  Sha256Stream sha256;
  status = file->ReadPieces([&](absl::string_view piece) {
    sha256.Add(piece);
    absl::Status stopped = pause(std::chrono::milliseconds(0));
    return stopped.ok() ? layer.Add(piece) : stopped;
  });
  if (!status.ok()) return status;
  if (const std::string found = sha256.Finish(); found != expected.sha256()) {
    return absl::DataLossError(
        absl::StrCat(expected.name(), ": SHA-256: expected ", expected.sha256(),
                     ", found ", found));
  }
  return layer.Add(TarPadding(file->size()));
}

absl::Status AddManifest(const std::string& bytes, const std::string& folder,
                         LayerFile& layer) {
  absl::Status status =
      layer.Add(TarHeader(absl::StrCat(folder, kManifestFile), bytes.size()));
  if (status.ok()) status = layer.Add(bytes);
  return status.ok() ? layer.Add(TarPadding(bytes.size())) : status;
}

// Writes a version into the directory of a layout.
class LayoutWriter {
 public:
  LayoutWriter(std::string version_directory, absl::string_view name,
               uint64_t version, std::string layout, const Pause& pause)
      : directory_(std::move(version_directory)),
        name_(name),
        version_(version),
        layout_(std::move(layout)),
        blobs_(absl::StrCat(layout_, "/blobs/sha256")),
        pause_(pause) {}

  absl::Status Write() {
    const absl::StatusOr<PrivateMemory> json =
        ReadStoredFile(absl::StrCat(directory_, "/", kManifestFile));
    if (!json.ok()) return json.status();
    absl::StatusOr<lm::v1::Manifest> manifest = ParseManifest(json->bytes());
    if (!manifest.ok()) return manifest.status();
    absl::Status status = MakeDirectories(blobs_);
    if (!status.ok()) return status;
    const absl::StatusOr<Json> layer =
        WriteLayer(*manifest, std::string(json->bytes()));
    if (!layer.ok()) return layer.status();
    const Json config = {
        {"created", manifest->created()},
        {"architecture", "amd64"},
        {"os", "linux"},
        {"config", Json::object()},
        {"rootfs", {{"type", "layers"}, {"diff_ids", {(*layer)["digest"]}}}},
        {"history",
         {{{"created", manifest->created()},
           {"created_by", "lm_store export-oci"}}}}};
    const absl::StatusOr<Json> config_blob = WriteBlob(kConfigType, config);
    if (!config_blob.ok()) return config_blob.status();
    const Json image = {
        {"schemaVersion", 2},
        {"mediaType", kManifestType},
        {"config", *config_blob},
        {"layers", {*layer}},
        {"annotations",
         {{"org.opencontainers.image.created", manifest->created()},
          {"org.opencontainers.image.title", name_},
          {"org.opencontainers.image.version", absl::StrCat(version_)}}}};
    absl::StatusOr<Json> image_blob = WriteBlob(kManifestType, image);
    if (!image_blob.ok()) return image_blob.status();
    (*image_blob)["annotations"] = {
        {"org.opencontainers.image.ref.name", absl::StrCat(version_)}};
    const Json index = {{"schemaVersion", 2},
                        {"mediaType", kIndexType},
                        {"manifests", {*image_blob}}};
    status = WriteFile(absl::StrCat(layout_, "/index.json"), index.dump());
    if (!status.ok()) return status;
    return WriteFile(absl::StrCat(layout_, "/oci-layout"),
                     Json{{"imageLayoutVersion", "1.0.0"}}.dump());
  }

 private:
  absl::StatusOr<Json> WriteLayer(const lm::v1::Manifest& manifest,
                                  const std::string& manifest_bytes) {
    const std::string partial = absl::StrCat(layout_, "/layer");
    const absl::StatusOr<std::unique_ptr<LayerFile>> layer =
        LayerFile::Create(partial);
    if (!layer.ok()) return layer.status();
    std::string folder;
    for (const std::string& part :
         {std::string("models"), name_, absl::StrCat(version_)}) {
      absl::StrAppend(&folder, part, "/");
      absl::Status status = (*layer)->Add(TarHeader(folder, 0));
      if (!status.ok()) return status;
    }
    for (const lm::v1::ModelFile& file : manifest.files()) {
      absl::Status status = AddFile(directory_, folder, file, pause_, **layer);
      if (!status.ok()) return status;
    }
    absl::Status status = AddManifest(manifest_bytes, folder, **layer);
    if (!status.ok()) return status;
    absl::StatusOr<Json> descriptor = (*layer)->Finish();
    if (!descriptor.ok()) return descriptor;
    const std::string digest = (*descriptor)["digest"];
    const std::string blob =
        absl::StrCat(blobs_, "/", digest.substr(digest.find(':') + 1));
    if (rename(partial.c_str(), blob.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, blob);
    }
    return descriptor;
  }

  absl::StatusOr<Json> WriteBlob(const char* type, const Json& json) {
    const std::string bytes = json.dump();
    const std::string digest = Sha256(bytes);
    absl::Status status = WriteFile(absl::StrCat(blobs_, "/", digest), bytes);
    if (!status.ok()) return status;
    return Descriptor(type, digest, bytes.size());
  }

  const std::string directory_;
  const std::string name_;
  const uint64_t version_;
  const std::string layout_;
  const std::string blobs_;
  const Pause& pause_;
};

}  // namespace

absl::Status ExportOci(const std::string& store, absl::string_view name,
                       uint64_t version, const std::string& layout,
                       const Pause& pause) {
  std::error_code error;
  if (std::filesystem::exists(layout, error)) {
    return absl::AlreadyExistsError(
        absl::StrCat(layout, ": expected a path that does not exist"));
  }
  const std::filesystem::path parent =
      std::filesystem::absolute(layout, error).parent_path();
  absl::Status status = MakeDirectories(parent);
  if (!status.ok()) return status;
  const absl::StatusOr<std::unique_ptr<HiddenDirectory>> hidden =
      HiddenDirectory::Make(parent);
  if (!hidden.ok()) return hidden.status();
  status = LayoutWriter(absl::StrCat(store, "/", name, "/", version), name,
                        version, (*hidden)->path(), pause)
               .Write();
  if (!status.ok()) return status;
  const absl::StatusOr<bool> renamed = (*hidden)->RenameTo(layout);
  if (!renamed.ok()) return renamed.status();
  if (*renamed) return Sync(parent);
  return absl::AlreadyExistsError(
      absl::StrCat(layout, ": created meanwhile by another process"));
}

}  // namespace lmserve
