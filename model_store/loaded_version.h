#ifndef LMSERVE_MODEL_STORE_LOADED_VERSION_H_
#define LMSERVE_MODEL_STORE_LOADED_VERSION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/manifest.pb.h"
#include "lm/v1/reranker.pb.h"
#include "model_store/mapped_file.h"
#include "models/any_model.h"
#include "models/model_files.h"

namespace lmserve {

// One version of a model, or of a reranker, verified and ready to answer. Owns
// the model and the mapped files it reads. Immutable: any number of threads may
// use one.
class LoadedVersion {
 public:
  const std::string& name() const { return name_; }
  uint64_t version() const { return version_; }

  bool is_reranker() const {
    return std::holds_alternative<lm::v1::Reranker>(content_);
  }

  // REQUIRES: !is_reranker().
  const AnyModel& model() const { return std::get<AnyModel>(content_); }

  // REQUIRES: is_reranker().
  const lm::v1::Reranker& reranker() const {
    return std::get<lm::v1::Reranker>(content_);
  }

  const lm::v1::Manifest& manifest() const { return manifest_; }

  // The files the manifest lists, verified; views that live as long as this.
  ModelFiles files() const;

  // How long loading took, verification and all.
  double load_seconds() const { return load_seconds_; }

  // Bytes of all of them.
  uint64_t file_bytes() const;

 private:
  friend absl::StatusOr<std::shared_ptr<const LoadedVersion>> LoadModel(
      absl::string_view store, absl::string_view name, uint64_t version,
      absl::FunctionRef<bool()> is_cancelled);

  using Content = std::variant<AnyModel, lm::v1::Reranker>;

  LoadedVersion(absl::string_view name, uint64_t version,
                lm::v1::Manifest manifest, std::vector<MappedFile> files,
                Content content, double load_seconds);

  static absl::StatusOr<Content> MakeContent(const lm::v1::Manifest& manifest,
                                             const ModelFiles& files);

  const std::string name_;
  const uint64_t version_;
  const lm::v1::Manifest manifest_;
  // The files in the order of the manifest. They outlive content_: a model
  // reads them in place.
  const std::vector<MappedFile> files_;
  const Content content_;
  const double load_seconds_;
};

// Keeps a version in memory for as long as somebody holds it.
using ModelHandle = std::shared_ptr<const LoadedVersion>;

// Loads <store>/<name>/<version>: reads the manifest, maps every file, checks
// its size and SHA-256, makes the model, runs the self-test; every page has
// then been touched, so the first request finds it warm. Of a reranker the
// members are not looked for: they come and go by themselves. Fails with
// NOT_FOUND where there is no such version, and with DATA_LOSS, naming file,
// offset, expected and found, where anything in it is not as it should be.
// CANCELLED where `is_cancelled`, asked again and again while files are
// verified, says so.
absl::StatusOr<ModelHandle> LoadModel(
    absl::string_view store, absl::string_view name, uint64_t version,
    absl::FunctionRef<bool()> is_cancelled = [] { return false; });

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_LOADED_VERSION_H_
