// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_STORE_CHANGE_H_
#define LMSERVE_MODEL_STORE_STORE_CHANGE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/store_loader.h"

namespace lmserve {

// A change of a store that somebody asks for: loading a version, or moving an
// alias. It takes several steps, between which it waits for the disk or for a
// load, while other models change. For the thread of the loader.
class StoreChange {
 public:
  // Where an alias should point, in the store and here.
  struct Alias {
    std::string name;
    // The version to which it must point on disk before; 0: the alias must not
    // exist.
    std::optional<uint64_t> expected;
  };

  // Loads a version and keeps it until Unload(), or, with an alias, loads it
  // and then points the alias to it. Version 0 means the newest one on disk,
  // and with an alias that the alias is removed.
  StoreChange(std::string name, uint64_t version, std::optional<Alias> alias)
      : name_(std::move(name)), version_(version), alias_(std::move(alias)) {}

  // Makes the next step. NOT_FOUND if the version does not exist; DATA_LOSS if
  // it cannot be verified; FAILED_PRECONDITION if the alias is not where it is
  // expected; UNAVAILABLE if another process holds the lock of the model's
  // directory for long; DEADLINE_EXCEEDED if the disk does not answer. Changes
  // nothing if it fails, except that an alias which was being written while the
  // disk did not answer may move later.
  StoreLoader::Outcome Step(StoreLoader& loader);

 private:
  using Clock = std::chrono::steady_clock;
  enum class Stage { kNew, kFinding, kLoading, kWriting, kLocked };

  bool IsRemoval() const { return alias_.has_value() && version_ == 0; }
  absl::Status Check(const StoreLoader& loader) const;
  void Ask(StoreLoader& loader, StoreLoader::VersionWork work,
           std::function<void()> on_success);
  StoreLoader::Outcome Late(StoreLoader& loader);
  void Find(StoreLoader& loader);
  StoreLoader::Outcome Load(StoreLoader& loader, bool again);
  void Write(StoreLoader& loader);
  StoreLoader::Outcome Written(StoreLoader& loader, const absl::Status& status);

  const std::string name_;
  const uint64_t version_;
  const std::optional<Alias> alias_;

  Stage stage_ = Stage::kNew;
  uint64_t number_ = 0;  // of the version that is loaded
  // The work on the disk for which it waits.
  uint64_t work_ = 0;
  Clock::time_point asked_at_;
  std::shared_ptr<std::optional<absl::StatusOr<uint64_t>>> answer_;
  // When it has waited long enough for a lock, and when it tries again.
  std::optional<Clock::time_point> lock_end_;
  Clock::time_point retry_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORE_CHANGE_H_
