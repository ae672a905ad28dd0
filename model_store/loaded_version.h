// SPDX-License-Identifier: Apache-2.0
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

// A verified version of a model or a reranker, in memory. Owns the model and
// the mapped files that it reads. Immutable and thread-safe.
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

  // Returns the files that the manifest lists. The views are valid as long as
  // this object.
  ModelFiles files() const;

  // Returns the duration of loading, including verification.
  double load_seconds() const { return load_seconds_; }

  // Returns the size of all files in bytes.
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
  // In the order of the manifest. Declared before content_, because a model
  // reads the mapped files.
  const std::vector<MappedFile> files_;
  const Content content_;
  const double load_seconds_;
};

// Shares the ownership of a version, which stays in memory while a handle
// exists.
using ModelHandle = std::shared_ptr<const LoadedVersion>;

// Loads <store>/<name>/<version>: reads the manifest, maps every file, checks
// its size and SHA-256, creates the model and runs the self-test. Every page
// has then been read, so that the first request is not slower. Does not check
// whether the members of a reranker exist. Errors: NOT_FOUND if the version
// does not exist; DATA_LOSS, with file, offset, expected and found, if a check
// fails; CANCELLED if `is_cancelled` returns true, which is called regularly
// during verification. Thread-safe.
absl::StatusOr<ModelHandle> LoadModel(
    absl::string_view store, absl::string_view name, uint64_t version,
    absl::FunctionRef<bool()> is_cancelled = [] { return false; });

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_LOADED_VERSION_H_
