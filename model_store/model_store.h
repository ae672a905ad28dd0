#ifndef LMSERVE_MODEL_STORE_MODEL_STORE_H_
#define LMSERVE_MODEL_STORE_MODEL_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_model.h"

namespace lmserve {

// The models of a store that are in memory, by name. Loaded are, of each model,
// the newest version that verifies and every version that an alias names.
// Immutable once opened: any number of threads may use one at a time.
class ModelStore {
 public:
  // A version that was not loaded, and why.
  struct Refused {
    std::string name;
    uint64_t version;
    absl::Status reason;
  };

  // A loaded version with what the store says of it.
  struct Entry {
    ModelHandle handle;
    std::vector<std::string> aliases;  // that name it, sorted
    bool is_default;                   // what the bare name stands for
  };

  // Opens a store directory (see FORMAT.md). A version that does not verify is
  // left out and listed in refused(); the rest is served. Fails only where the
  // directory itself cannot be read.
  static absl::StatusOr<std::unique_ptr<const ModelStore>> Open(
      const std::string& directory);

  // Finds NAME (its newest good version), NAME@VERSION or NAME@ALIAS. Fails
  // with INVALID_ARGUMENT where the text has another form, and with NOT_FOUND,
  // telling the names there are, where nothing of that name is loaded.
  absl::StatusOr<ModelHandle> Get(absl::string_view spec) const;

  // Like Get(), with aliases.
  absl::StatusOr<Entry> GetEntry(absl::string_view spec) const;

  // All loaded versions, by name, then version.
  std::vector<Entry> List() const;

  const std::vector<Refused>& refused() const { return refused_; }

 private:
  struct Model {
    std::map<uint64_t, ModelHandle> versions;
    std::map<std::string, uint64_t, std::less<>> aliases;
  };

  ModelStore() = default;

  void LoadVersions(const std::string& directory, const std::string& name);
  static Entry MakeEntry(const Model& model, uint64_t version);

  std::map<std::string, Model, std::less<>> models_;
  std::vector<Refused> refused_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_STORE_H_
