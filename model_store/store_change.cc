// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_change.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"

namespace lmserve {
namespace {

// How long a change tries to get the lock of a model's directory, and how
// often.
constexpr std::chrono::seconds kLockPatience(10);
constexpr std::chrono::milliseconds kLockPause(50);

}  // namespace

StoreLoader::Outcome StoreChange::Step(StoreLoader& loader) {
  switch (stage_) {
    case Stage::kNew: {
      absl::Status status = Check(loader);
      if (!status.ok()) return status;
      Find(loader);
      return std::nullopt;
    }
    case Stage::kFinding:
      if (!answer_->has_value()) return Late(loader);
      if (!(*answer_)->ok()) return (*answer_)->status();
      number_ = ***answer_;
      if (!IsRemoval()) return Load(loader, /*again=*/false);
      Write(loader);
      return std::nullopt;
    case Stage::kLoading:
      return Load(loader, /*again=*/true);
    case Stage::kWriting:
      if (!answer_->has_value()) return Late(loader);
      return Written(loader, (*answer_)->status());
    case Stage::kLocked:
      if (Clock::now() >= retry_) Write(loader);
      return std::nullopt;
  }
  return std::nullopt;
}

absl::Status StoreChange::Check(const StoreLoader& loader) const {
  absl::Status status = CheckModelName(name_);
  if (status.ok() && alias_.has_value()) status = CheckAlias(alias_->name);
  if (status.ok() && loader.Hangs(name_)) status = loader.Hanging(name_);
  return status;
}

// Begins to wait for work on the disk.
void StoreChange::Ask(StoreLoader& loader, StoreLoader::VersionWork work,
                      std::function<void()> on_success) {
  asked_at_ = Clock::now();
  answer_ = std::make_shared<std::optional<absl::StatusOr<uint64_t>>>();
  work_ =
      loader.RunOnModel(name_, std::move(work),
                        [answer = answer_, on_success = std::move(on_success)](
                            absl::StatusOr<uint64_t> result) {
                          if (result.ok()) on_success();
                          *answer = std::move(result);
                        });
}

// Waits for work on the disk, but not forever.
StoreLoader::Outcome StoreChange::Late(StoreLoader& loader) {
  if (Clock::now() - asked_at_ < loader.options().disk_patience) {
    return std::nullopt;
  }
  const bool may_move =
      !loader.Cancel(name_, work_) && stage_ == Stage::kWriting;
  loader.Release(name_, number_);
  const absl::Status status = loader.Hanging(name_);
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(),
                   may_move ? "; the alias may move later" : ""));
}

// Finds the version on disk. Checks where the alias is before the version is
// loaded, which takes time; it is checked again when the alias is written.
void StoreChange::Find(StoreLoader& loader) {
  stage_ = Stage::kFinding;
  Ask(
      loader,
      [store = loader.options().directory, name = name_, version = version_,
       alias = alias_]() -> absl::StatusOr<uint64_t> {
        absl::StatusOr<uint64_t> found =
            version == 0 ? FindNewestVersion(store, name)
                         : FindVersion(store, VersionName(name, version));
        if (!found.ok()) return found;
        if (!alias.has_value() || !alias->expected.has_value()) return found;
        absl::Status status =
            CheckAliasIs(store, name, alias->name, *alias->expected);
        if (!status.ok()) return status;
        return found;
      },
      [] {});
}

StoreLoader::Outcome StoreChange::Load(StoreLoader& loader, bool again) {
  stage_ = Stage::kLoading;
  StoreLoader::Outcome outcome = loader.Hold(name_, number_, again);
  if (!outcome.has_value()) return outcome;
  if (!outcome->ok()) {
    loader.Release(name_, number_);
    return outcome;
  }
  if (alias_.has_value()) {
    Write(loader);
    return std::nullopt;
  }
  loader.Pin(name_, number_);
  return outcome;
}

// Writes the alias, unless another process holds the lock.
void StoreChange::Write(StoreLoader& loader) {
  stage_ = Stage::kWriting;
  Ask(
      loader,
      [store = loader.options().directory, name = name_, version = version_,
       alias = *alias_]() -> absl::StatusOr<uint64_t> {
        absl::Status status =
            version == 0
                ? RemoveAlias(store, name, alias.name, alias.expected, kNoWait)
                : SetAlias(store, name, alias.name, version, alias.expected,
                           kNoWait);
        if (!status.ok()) return status;
        return version;
      },
      [&loader, name = name_, number = number_, is_removal = IsRemoval()] {
        if (!is_removal) loader.AllowLoading(name, number);
      });
}

// If the lock is not free, tries again soon.
StoreLoader::Outcome StoreChange::Written(StoreLoader& loader,
                                          const absl::Status& status) {
  const Clock::time_point now = Clock::now();
  if (!lock_end_.has_value()) lock_end_ = now + kLockPatience;
  if (absl::IsUnavailable(status) && now < *lock_end_) {
    stage_ = Stage::kLocked;
    retry_ = now + kLockPause;
    return std::nullopt;
  }
  loader.Release(name_, number_);
  return status;
}

}  // namespace lmserve
