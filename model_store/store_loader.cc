// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_loader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "model_store/store_directory.h"

namespace lmserve {
namespace {

absl::Status CannotUnload(const std::string& version,
                          absl::string_view reason) {
  return absl::FailedPreconditionError(
      absl::StrCat(version, " cannot be unloaded: ", reason));
}

}  // namespace

StoreLoader::StoreLoader(Options options, Hooks hooks)
    : options_(std::move(options)),
      hooks_(std::move(hooks)),
      published_(std::make_shared<const ServedModels>()) {}

absl::Status StoreLoader::Refresh() {
  const absl::StatusOr<std::vector<std::string>> found =
      ListModelNames(directory_);
  absl::Status status = CheckStore(found);
  problem_ = WithoutStorePath(directory_, status);
  if (status.ok()) {
    std::set<std::string> names(found->begin(), found->end());
    for (const auto& entry : models_) names.insert(entry.first);
    for (const auto& entry : policy_.listed) names.insert(entry.first);
    for (const std::string& name : names) RefreshModel(name);
    RefreshMembers();
  }
  PublishSnapshot();
  return status;
}

// Checks that a store without models is still the same directory as before: a
// directory in which a file system was mounted is another one afterwards.
absl::Status StoreLoader::CheckStore(
    const absl::StatusOr<std::vector<std::string>>& found) {
  if (!found.ok()) return found.status();
  std::string identity = IdentifyDirectory(directory_);
  if (found->empty() && identity != identity_ && !published_->models.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory_,
                     ": expected models, found another directory "
                     "without any: what was loaded stays"));
  }
  identity_ = std::move(identity);
  return absl::OkStatus();
}

void StoreLoader::OnLoaded(const std::string& name) {
  RefreshModel(name);
  RefreshMembers();
  PublishSnapshot();
}

bool StoreLoader::IsLoading() const {
  return std::any_of(models_.begin(), models_.end(), [](const auto& entry) {
    return entry.second.IsLoading();
  });
}

ModelVersions& StoreLoader::GetModel(const std::string& name) {
  const auto check_members = [this](const LoadedVersion& version) {
    return CheckMembers(version);
  };
  return models_
      .try_emplace(
          name, ModelVersions::Options{directory_, name, options_.follow_links,
                                       hooks_.load, check_members})
      .first->second;
}

void StoreLoader::RefreshModel(const std::string& name) {
  const auto find_members = [&] {
    std::set<uint64_t> members;
    for (const auto& [member, reranker] : FindMembers()) {
      if (member.first == name) members.insert(member.second);
    }
    return members;
  };
  ModelVersions& model = GetModel(name);
  model.Refresh(policy_, find_members);
  if (model.empty()) models_.erase(name);
  PublishSnapshot();
}

// Loads members of rerankers that were loaded after the models of the members
// had been refreshed.
void StoreLoader::RefreshMembers() {
  std::set<std::string> names;
  for (const auto& [member, reranker] : FindMembers()) {
    const auto& [name, number] = member;
    const auto model = models_.find(name);
    if (model == models_.end() || !model->second.IsOnDisk(number)) continue;
    if (model->second.Get(number) == nullptr) names.insert(name);
  }
  for (const std::string& name : names) RefreshModel(name);
}

bool StoreLoader::IsReranker(const ServedModels::Version& version) const {
  const auto model = models_.find(version.first);
  if (model == models_.end()) return false;
  const ModelHandle handle = model->second.Get(version.second);
  return handle != nullptr && handle->is_reranker();
}

// Returns OK if the version is a model, or a reranker whose members are all
// loaded; UNAVAILABLE if some are being loaded; FAILED_PRECONDITION if one is
// missing.
absl::Status StoreLoader::CheckMembers(const LoadedVersion& version) const {
  if (!version.is_reranker()) return absl::OkStatus();
  absl::Status status;
  for (const auto& member : version.reranker().members()) {
    const absl::StatusOr<ModelName> wanted = ParseModelName(member.model());
    const auto model = wanted.ok() ? models_.find(wanted->name) : models_.end();
    const bool is_known = model != models_.end();
    if (is_known && model->second.Find(*wanted) != nullptr) continue;
    if (!is_known || !model->second.MayLoad(*wanted)) {
      return absl::FailedPreconditionError(
          absl::StrCat("its member ", member.model(), " is not loaded"));
    }
    status = absl::UnavailableError(
        absl::StrCat("its member ", member.model(), " is being loaded"));
  }
  return status;
}

// Returns the versions that loaded rerankers name, each with the reranker.
std::multimap<ServedModels::Version, ServedModels::Version>
StoreLoader::FindMembers() const {
  std::multimap<ServedModels::Version, ServedModels::Version> members;
  for (const auto& [name, model] : models_) {
    for (const ModelHandle& handle : model.loaded()) {
      if (!handle->is_reranker()) continue;
      for (const auto& member : FixedMembers(handle->reranker())) {
        if (IsReranker(member)) continue;  // rerankers cannot be members
        members.emplace(member, ServedModels::Version(name, handle->version()));
      }
    }
  }
  return members;
}

absl::StatusOr<uint64_t> StoreLoader::FindOnDisk(const std::string& name,
                                                 uint64_t version) const {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  absl::StatusOr<uint64_t> found =
      version == 0 ? FindNewestVersion(directory_, name)
                   : FindVersion(directory_, VersionName(name, version));
  if (!found.ok()) return WithoutStorePath(directory_, found.status());
  return found;
}

StoreLoader::Outcome StoreLoader::Load(const std::string& name,
                                       uint64_t version, bool again) {
  const absl::StatusOr<uint64_t> number = FindOnDisk(name, version);
  if (!number.ok()) return number.status();
  ModelVersions& model = GetModel(name);
  Outcome outcome = LoadWithMembers(model, *number, again);
  if (outcome.has_value()) {
    if (outcome->ok()) model.Pin(*number);
    model.Release(*number);
  }
  PublishSnapshot();
  return outcome;
}

// Loads a version and, if it is a reranker, waits for its members.
StoreLoader::Outcome StoreLoader::LoadWithMembers(ModelVersions& model,
                                                  uint64_t number, bool again) {
  Outcome outcome = model.Load(number, again);
  if (!outcome.has_value() || !outcome->ok()) return outcome;
  RefreshMembers();
  const ModelHandle handle = model.Get(number);
  const absl::Status complete = CheckMembers(*handle);
  if (absl::IsUnavailable(complete)) return std::nullopt;
  if (complete.ok()) return outcome;
  return absl::Status(complete.code(),
                      absl::StrCat(VersionName(handle->name(), number), ": ",
                                   complete.message()));
}

absl::Status StoreLoader::Unload(const std::string& name, uint64_t version) {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  const std::string version_name = VersionName(name, version);
  const absl::StatusOr<ServedModels::Entry> entry =
      published_->GetEntry(version_name);
  if (!entry.ok()) return entry.status();
  if (!entry->aliases.empty()) {
    return CannotUnload(version_name,
                        absl::StrCat("move its aliases first: ",
                                     absl::StrJoin(entry->aliases, ", ")));
  }
  const auto members = FindMembers();
  const auto member = members.find({name, version});
  if (member != members.end()) {
    const auto& [reranker, number] = member->second;
    return CannotUnload(version_name,
                        absl::StrCat("unload its reranker first: ",
                                     VersionName(reranker, number)));
  }
  GetModel(name).Unload(version);
  PublishSnapshot();
  return absl::OkStatus();
}

StoreLoader::Outcome StoreLoader::SetAlias(const std::string& name,
                                           const std::string& alias,
                                           uint64_t version,
                                           std::optional<uint64_t> expected,
                                           bool again) {
  absl::Status status = CheckAlias(alias);
  if (!status.ok()) return status;
  const absl::StatusOr<uint64_t> number = FindOnDisk(name, version);
  if (!number.ok()) return number.status();
  if (expected.has_value()) {
    // Checked before the version is loaded, which takes time, and again when
    // the alias is written.
    status = CheckAliasIs(directory_, name, alias, *expected);
    if (!status.ok()) return WithoutStorePath(directory_, status);
  }
  Outcome outcome =
      version == 0 ? RemoveAlias(directory_, name, alias, expected, kNoWait)
                   : MoveAlias(name, alias, version, expected, again);
  PublishSnapshot();
  if (!outcome.has_value()) return outcome;
  RefreshModel(name);  // also releases the version if the alias did not move
  RefreshMembers();
  return WithoutStorePath(directory_, *outcome);
}

StoreLoader::Outcome StoreLoader::MoveAlias(const std::string& name,
                                            const std::string& alias,
                                            uint64_t version,
                                            std::optional<uint64_t> expected,
                                            bool again) {
  ModelVersions& model = GetModel(name);
  Outcome outcome = LoadWithMembers(model, version, again);
  if (outcome.has_value() && outcome->ok()) {
    outcome =
        lmserve::SetAlias(directory_, name, alias, version, expected, kNoWait);
    if (outcome->ok()) model.AllowLoading(version);
  }
  // If the lock is held by another process, the caller tries again soon.
  if (outcome.has_value() && !absl::IsUnavailable(*outcome)) {
    model.Release(version);
  }
  return outcome;
}

void StoreLoader::GiveUp(const std::string& name, uint64_t version) {
  GetModel(name).Release(version);
  OnLoaded(name);
}

ServedModels StoreLoader::MakeSnapshot() const {
  ServedModels served;
  if (!problem_.ok()) served.refused.push_back({"", 0, problem_});
  for (const auto& entry : models_) entry.second.AddTo(&served);
  return served;
}

void StoreLoader::PublishSnapshot() {
  ServedModels served = MakeSnapshot();
  if (served == *published_) return;
  published_ = std::make_shared<const ServedModels>(std::move(served));
  hooks_.publish(published_);
}

}  // namespace lmserve
