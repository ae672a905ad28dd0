// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_SERVED_MODELS_H_
#define LMSERVE_MODEL_STORE_SERVED_MODELS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// A snapshot of what a store serves. A plain value: StoreLoader fills it, then
// publishes it as const. The const functions are thread-safe.
struct ServedModels {
  // The loaded versions of a model, at least one, and the aliases that stand
  // for them.
  struct Model {
    std::map<uint64_t, ModelHandle> versions;
    std::map<std::string, uint64_t, std::less<>> aliases;
    // What NAME alone stands for. It may be a version that is not loaded, if
    // the alias "default" names it, or 0 if the aliases cannot be read.
    uint64_t default_version = 0;

    bool operator==(const Model& other) const = default;
  };

  // Something that could not be loaded, and the reason: a version; with version
  // 0, the aliases or the directory of a model; with an empty name, the store.
  struct Refused {
    std::string name;
    uint64_t version;
    absl::Status reason;

    bool operator==(const Refused& other) const = default;
  };

  // A loaded version and the names that stand for it.
  struct Entry {
    ModelHandle handle;
    std::vector<std::string> aliases;  // sorted
    bool is_default;                   // NAME alone stands for this version
  };

  using Version = std::pair<std::string, uint64_t>;  // name and version

  // Finds a model by NAME (the version of the alias "default", and without one
  // the newest), NAME@VERSION or NAME@ALIAS. INVALID_ARGUMENT if `spec` has
  // another form; NOT_FOUND, with the names that exist, if it is not loaded;
  // FAILED_PRECONDITION if it is a reranker.
  absl::StatusOr<ModelHandle> Get(absl::string_view spec) const;

  // Like Get(), for a reranker. FAILED_PRECONDITION if it is a model.
  absl::StatusOr<ModelHandle> GetReranker(absl::string_view spec) const;

  // Finds a model or a reranker, with its aliases.
  absl::StatusOr<Entry> GetEntry(absl::string_view spec) const;

  // Returns all loaded versions, sorted by name, then by version.
  std::vector<Entry> List() const;

  // Returns the names of the models of which a version is loaded or was
  // refused, sorted. GetEntry() fails for those whose name stands for no loaded
  // version.
  std::vector<std::string> Names() const;

  bool operator==(const ServedModels& other) const = default;

  std::map<std::string, Model, std::less<>> models;
  std::vector<Refused> refused;  // sorted by name
  // Versions that someone may still be copying; sorted by name.
  std::vector<Refused> incomplete;
  std::vector<Version> loading;  // being read and verified

 private:
  // A model and one of its versions.
  struct Found {
    const Model& model;
    uint64_t version;
  };
  absl::StatusOr<Found> Find(absl::string_view spec) const;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_SERVED_MODELS_H_
