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

// What a store serves at one moment: a value, which those who build it fill in
// and those who ask it only read.
struct ServedModels {
  // The versions of a model that are loaded, one at least, and its aliases,
  // which name no others.
  struct Model {
    std::map<uint64_t, ModelHandle> versions;
    std::map<std::string, uint64_t, std::less<>> aliases;

    bool operator==(const Model& other) const = default;
  };

  // What was not loaded, and why: a version, or, of version 0, the aliases of a
  // model; without a name, too, the store.
  struct Refused {
    std::string name;
    uint64_t version;
    absl::Status reason;

    bool operator==(const Refused& other) const = default;
  };

  // A loaded version with what the store says of it.
  struct Entry {
    ModelHandle handle;
    std::vector<std::string> aliases;  // that name it, sorted
    bool is_default;                   // what the bare name stands for
  };

  using Version = std::pair<std::string, uint64_t>;  // of a model

  // Finds NAME (its newest loaded version), NAME@VERSION or NAME@ALIAS. Fails
  // with INVALID_ARGUMENT where the text has another form, with NOT_FOUND,
  // telling the names there are, where nothing of that name is loaded, and with
  // FAILED_PRECONDITION where it is a reranker.
  absl::StatusOr<ModelHandle> Get(absl::string_view spec) const;

  // The same of a reranker, where it is no model.
  absl::StatusOr<ModelHandle> GetReranker(absl::string_view spec) const;

  // Either of them, with aliases.
  absl::StatusOr<Entry> GetEntry(absl::string_view spec) const;

  // All loaded versions, by name, then version.
  std::vector<Entry> List() const;

  bool operator==(const ServedModels& other) const = default;

  std::map<std::string, Model, std::less<>> models;
  std::vector<Refused> refused;  // by name
  std::vector<Version> loading;  // read and verified at this moment

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
