// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_loader.h"

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

StoreLoader::StoreLoader(std::string directory, VersionPolicy policy,
                         Hooks hooks)
    : directory_(std::move(directory)),
      policy_(std::move(policy)),
      hooks_(std::move(hooks)),
      published_(std::make_shared<const ServedModels>()) {}

absl::Status StoreLoader::Refresh() {
  const absl::StatusOr<std::vector<std::string>> found =
      ListModelNames(directory_);
  problem_ = WithoutStorePath(directory_, found.status());
  if (found.ok()) {
    std::set<std::string> names(found->begin(), found->end());
    for (const auto& entry : models_) names.insert(entry.first);
    for (const auto& entry : policy_.listed) names.insert(entry.first);
    for (const std::string& name : names) RefreshModel(name);
    RefreshMembers();
  }
  PublishSnapshot();
  return found.status();
}

ModelVersions& StoreLoader::GetModel(const std::string& name) {
  const auto load = [this](const std::string& model, uint64_t version) {
    return LoadVersion(model, version);
  };
  return models_.try_emplace(name, directory_, name, load).first->second;
}

// Lists the version as loading in the snapshots while it is being loaded.
absl::StatusOr<ModelHandle> StoreLoader::LoadVersion(const std::string& name,
                                                     uint64_t version) {
  loading_ = {{name, version}};
  PublishSnapshot();
  absl::StatusOr<ModelHandle> loaded = hooks_.load(name, version);
  loading_.clear();
  return loaded;
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
  const absl::StatusOr<uint64_t> found =
      FindVersion(directory_, version == 0 ? name : VersionName(name, version));
  if (!found.ok()) return WithoutStorePath(directory_, found.status());
  return found;
}

absl::Status StoreLoader::Load(const std::string& name, uint64_t version) {
  const absl::StatusOr<uint64_t> number = FindOnDisk(name, version);
  if (!number.ok()) return number.status();
  ModelVersions& model = GetModel(name);
  const absl::Status status = model.Load(*number);
  if (status.ok()) model.Pin(*number);
  RefreshMembers();
  PublishSnapshot();
  return status;
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

absl::Status StoreLoader::SetAlias(const std::string& name,
                                   const std::string& alias, uint64_t version,
                                   std::optional<uint64_t> expected) {
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
  status = version == 0 ? RemoveAlias(directory_, name, alias, expected)
                        : MoveAlias(name, alias, version, expected);
  RefreshModel(name);  // also releases the version if the alias did not move
  RefreshMembers();
  return WithoutStorePath(directory_, status);
}

absl::Status StoreLoader::MoveAlias(const std::string& name,
                                    const std::string& alias, uint64_t version,
                                    std::optional<uint64_t> expected) {
  ModelVersions& model = GetModel(name);
  absl::Status status = model.Load(version);
  if (!status.ok()) return status;
  status = lmserve::SetAlias(directory_, name, alias, version, expected);
  if (status.ok()) model.AllowLoading(version);
  return status;
}

ServedModels StoreLoader::MakeSnapshot() const {
  ServedModels served;
  served.loading = loading_;
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
