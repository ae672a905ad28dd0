#ifndef LMSERVE_MODEL_STORE_MODEL_STORE_H_
#define LMSERVE_MODEL_STORE_MODEL_STORE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/background_thread.h"
#include "model_store/loaded_version.h"
#include "model_store/served_models.h"
#include "model_store/store_loader.h"
#include "model_store/version_policy.h"

namespace lmserve {

struct StoreOptions {
  VersionPolicy keep = {};
  // How often the directory is looked at; 0: when it is opened, and when
  // Refresh() says so.
  std::chrono::milliseconds poll{0};
};

// The models of a store that are in memory, by name, while the store changes
// (see StoreLoader for what then happens). A handle keeps its version: who has
// taken one finishes on it, whatever is served by then. Any number of threads
// may use one at a time.
//
// Loading, and the end of what was let go, are the work of one thread of the
// lowest priority. What changes something is asked of that thread: the call
// returns at once, and `done` is called there, in the order of the calls, once
// the change is served or has failed. After Stop() it gets UNAVAILABLE, and
// that in the caller's thread.
class ModelStore {
 public:
  using Refused = ServedModels::Refused;
  using Entry = ServedModels::Entry;
  using Done = std::function<void(const absl::Status&)>;

  // Opens a store directory (see FORMAT.md), and loads what is to be kept. A
  // version that does not verify is left out and listed in refused(); the rest
  // is served. Fails only where the directory itself cannot be read.
  static absl::StatusOr<std::unique_ptr<ModelStore>> Open(
      const std::string& directory, const StoreOptions& options = {});

  ~ModelStore();

  // What is served at this moment.
  std::shared_ptr<const ServedModels> served() const;

  // As those of ServedModels, of what is served at this moment.
  absl::StatusOr<ModelHandle> Get(absl::string_view spec) const;
  absl::StatusOr<Entry> GetEntry(absl::string_view spec) const;

  // All loaded versions, by name, then version.
  std::vector<Entry> List() const { return served()->List(); }

  std::vector<Refused> refused() const { return served()->refused; }

  // Calls a function now and after every change, never twice at a time; a null
  // one ends that. Not from the function.
  void OnChange(std::function<void()> function);

  // As those of StoreLoader.
  void Refresh(Done done);
  void Load(const std::string& name, uint64_t version, Done done);
  void Unload(const std::string& name, uint64_t version, Done done);
  void SetAlias(const std::string& name, const std::string& alias,
                uint64_t version, std::optional<uint64_t> expected, Done done);

  // Looks at the directory no more, and waits for a load that is under way. One
  // thread at a time.
  void Stop();

 private:
  ModelStore(const std::string& directory, const StoreOptions& options);

  absl::StatusOr<ModelHandle> LoadUnlessStopped(const std::string& name,
                                                uint64_t version) const;
  void Publish(std::shared_ptr<const ServedModels> served);
  void Post(std::function<absl::Status()> change, Done done);

  const std::string directory_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ServedModels> served_;  // guarded by mutex_
  std::mutex on_change_mutex_;                  // held while it is called
  std::function<void()> on_change_;
  std::atomic<bool> stopped_ = false;
  // Outlives the store where a handle does: it ends there.
  const std::shared_ptr<BackgroundThread> thread_;
  StoreLoader loader_;  // of Open(), then of the thread
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_STORE_H_
