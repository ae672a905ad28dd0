// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_LOADED_VERSION_H_
#define LMSERVE_MODEL_STORE_LOADED_VERSION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lm/v1/manifest.pb.h"
#include "lm/v1/reranker.pb.h"
#include "model_store/mapped_file.h"
#include "model_store/private_memory.h"
#include "models/any_model.h"
#include "models/model_files.h"

namespace lmserve {

struct LoadOptions {
  // Called regularly by the thread that loads, between steps that are bounded.
  // Loading ends with its error if it fails.
  std::function<absl::Status()> check = [] { return absl::OkStatus(); };
  // Whether files may be symbolic links that lead out of the version's
  // directory and out of the store.
  bool follow_links = false;
  // Whether LoadedVersion::files() has all files. If false, the memory of files
  // that the model does not read in place is freed.
  bool keep_files = true;
  // Whether files that the model reads in place are mapped instead of copied,
  // so that processes on a machine share their memory. Then nobody may change
  // the files of the version while it is loaded; to remove them is harmless.
  bool map_files = false;
};

// A verified version of a model or a reranker, in memory. Owns the model and
// the contents of the files that it reads. Immutable and thread-safe.
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

  // Returns the files that the manifest lists and that are still in memory (see
  // LoadOptions::keep_files). The views are valid as long as this object.
  ModelFiles files() const;

  // Returns the duration of loading, including verification.
  double load_seconds() const { return load_seconds_; }

  // Returns when loading ended, by the wall clock.
  absl::Time load_time() const { return load_time_; }

  // Returns the size of all files in bytes.
  uint64_t file_bytes() const;

 private:
  friend class VersionLoader;

  // The bytes of one file.
  struct FileBytes {
    absl::string_view bytes() const {
      return std::visit([](const auto& memory) { return memory.bytes(); },
                        memory);
    }
    std::variant<PrivateMemory, MappedFile> memory;
  };
  using Files = std::map<std::string, FileBytes, std::less<>>;
  using Content = std::variant<AnyModel, lm::v1::Reranker>;

  LoadedVersion(absl::string_view name, uint64_t version,
                lm::v1::Manifest manifest, Files files, Content content,
                double load_seconds);

  const std::string name_;
  const uint64_t version_;
  const lm::v1::Manifest manifest_;
  // Declared before content_, because a model reads the files in place.
  const Files files_;
  const Content content_;
  const double load_seconds_;
  const absl::Time load_time_;
};

// Shares the ownership of a version, which stays in memory while a handle
// exists.
using ModelHandle = std::shared_ptr<const LoadedVersion>;

// Loads <store>/<name>/<version>: reads the manifest, reads every file into
// private memory, checks its size and SHA-256, creates the model and runs the
// self-test. What was verified is what is served, whatever happens to the files
// later. Does not check whether the members of a reranker exist. Errors:
// NOT_FOUND if the version does not exist; DATA_LOSS, with file, offset,
// expected and found, if a check fails; UNAVAILABLE if a file cannot be read;
// RESOURCE_EXHAUSTED if memory does not suffice; the error of `options.check`.
// IsIncomplete() knows a version that someone may still be copying. Sizes are
// checked before any file is read. Thread-safe.
absl::StatusOr<ModelHandle> LoadModel(absl::string_view store,
                                      absl::string_view name, uint64_t version,
                                      const LoadOptions& options = {});

// Whether an error of LoadModel() says that files are missing or too short:
// manifest.json does not exist or is empty, or a file of the manifest does not
// exist or is shorter than the manifest says. Everything else is damage.
bool IsIncomplete(const absl::Status& error);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_LOADED_VERSION_H_
