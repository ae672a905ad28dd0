#include "model_store/store_loader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "model_store/store_directory.h"

namespace lmserve {
namespace {

absl::Status About(absl::string_view what, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(what, ": ", status.message()));
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
  problem_ = WithoutPath(found.status());
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

StoreLoader::Model& StoreLoader::GetModel(const std::string& name) {
  Model& model = models_[name];
  model.name = name;
  return model;
}

// Loads what is wanted, and only then lets go of the rest.
void StoreLoader::RefreshModel(const std::string& name) {
  Model& model = GetModel(name);
  const absl::Status looked = LookForVersions(&model);
  if (looked.ok()) {
    Plan plan;
    PlanAliases(&model, &plan);
    PlanPinned(&model, &plan);
    PlanMembers(&model, &plan);
    policy_.listed.empty() ? PlanNewest(&model, &plan)
                           : PlanListed(&model, &plan);
    Apply(std::move(plan), &model);
  } else {
    model.problems = {{name, 0, WithoutPath(looked)}};
  }
  if (model.versions.empty() && model.problems.empty()) models_.erase(name);
  PublishSnapshot();
}

// Loads the members that rerankers have named since their own turn.
void StoreLoader::RefreshMembers() {
  std::set<std::string> names;
  for (const auto& [member, reranker] : Members()) {
    const auto& [name, number] = member;
    const auto model = models_.find(name);
    if (model == models_.end() || !IsOnDisk(model->second, number)) continue;
    if (model->second.versions.at(number).handle == nullptr) names.insert(name);
  }
  for (const std::string& name : names) RefreshModel(name);
}

bool StoreLoader::IsReranker(const ServedModels::Version& version) const {
  const auto model = models_.find(version.first);
  if (model == models_.end()) return false;
  const auto found = model->second.versions.find(version.second);
  return found != model->second.versions.end() &&
         found->second.handle != nullptr && found->second.handle->is_reranker();
}

// The versions that loaded rerankers name, with the rerankers.
std::multimap<ServedModels::Version, ServedModels::Version>
StoreLoader::Members() const {
  std::multimap<ServedModels::Version, ServedModels::Version> members;
  for (const auto& [name, model] : models_) {
    for (const auto& [number, version] : model.versions) {
      const ModelHandle& handle = version.handle;
      if (handle == nullptr || !handle->is_reranker()) continue;
      for (const auto& member : FixedMembers(handle->reranker())) {
        if (IsReranker(member)) continue;  // it cannot be a member
        members.emplace(member, ServedModels::Version(name, number));
      }
    }
  }
  return members;
}

bool StoreLoader::IsOnDisk(const Model& model, uint64_t number) {
  const auto found = model.versions.find(number);
  return found != model.versions.end() && !found->second.gone;
}

absl::Status StoreLoader::LookForVersions(Model* model) const {
  const absl::StatusOr<std::vector<uint64_t>> numbers =
      ReadVersions(directory_, model->name);
  if (!numbers.ok()) return numbers.status();
  for (auto& entry : model->versions) entry.second.gone = true;
  for (uint64_t number : *numbers) model->versions[number].gone = false;
  return absl::OkStatus();
}

// An alias moves to a good version alone; until there is one it stays.
void StoreLoader::PlanAliases(Model* model, Plan* plan) {
  const auto stay = [&](const std::string& alias) {
    const auto old = model->aliases.find(alias);
    if (old == model->aliases.end()) return;
    const Version& version = model->versions[old->second];
    if (version.handle == nullptr || version.gone) return;
    plan->versions.insert(old->second);
    plan->aliases.insert(*old);
  };
  const absl::StatusOr<std::map<std::string, uint64_t>> aliases =
      ReadAliases(directory_, model->name);
  if (!aliases.ok()) {
    plan->problems.push_back({model->name, 0, aliases.status()});
    for (const auto& entry : model->aliases) stay(entry.first);
    return;
  }
  for (const auto& [alias, number] : *aliases) {
    if (EnsureLoaded(model, number, plan)) {
      plan->aliases[alias] = number;
      continue;
    }
    stay(alias);
    if (plan->versions.count(number) > 0) continue;  // its problem tells all
    const bool there = IsOnDisk(*model, number);
    plan->problems.push_back(
        {model->name, number,
         About(absl::StrCat("alias '", alias, "'"),
               there ? absl::FailedPreconditionError("it was unloaded")
                     : absl::NotFoundError("there is no such version"))});
  }
}

void StoreLoader::PlanPinned(Model* model, Plan* plan) {
  for (const auto& [number, version] : model->versions) {
    if (version.pinned) EnsureLoaded(model, number, plan);
  }
}

void StoreLoader::PlanMembers(Model* model, Plan* plan) {
  for (const auto& [member, reranker] : Members()) {
    if (member.first == model->name) EnsureLoaded(model, member.second, plan);
  }
}

void StoreLoader::PlanNewest(Model* model, Plan* plan) {
  size_t count = 0;
  for (auto version = model->versions.rbegin();
       version != model->versions.rend() && count < policy_.newest; ++version) {
    const bool loaded = EnsureLoaded(model, version->first, plan);
    // One that was unloaded is not made up for by an older one.
    if (loaded || (version->second.out && !version->second.gone)) ++count;
  }
}

void StoreLoader::PlanListed(Model* model, Plan* plan) {
  const auto listed = policy_.listed.find(model->name);
  if (listed == policy_.listed.end()) return;
  for (uint64_t number : listed->second) {
    EnsureLoaded(model, number, plan);
    if (IsOnDisk(*model, number)) continue;
    plan->problems.push_back(
        {model->name, number, absl::NotFoundError("there is no such version")});
  }
}

// Whether the version is loaded, now or since long.
bool StoreLoader::EnsureLoaded(Model* model, uint64_t number, Plan* plan) {
  if (!IsOnDisk(*model, number)) return false;
  Version& version = model->versions[number];
  if (version.out) return false;
  plan->versions.insert(number);
  LoadIfChanged(model->name, number, &version);
  return version.handle != nullptr;
}

void StoreLoader::Apply(Plan plan, Model* model) {
  model->aliases = std::move(plan.aliases);
  model->problems = std::move(plan.problems);
  std::erase_if(model->versions,
                [](const auto& entry) { return entry.second.gone; });
  for (auto& [number, version] : model->versions) {
    if (plan.versions.count(number) > 0) continue;
    version.handle.reset();
    version.stamp.clear();
    version.problem = absl::OkStatus();
  }
}

// Where a directory has changed under a loaded version, and for the worse, the
// version serves on as it was.
void StoreLoader::LoadIfChanged(const std::string& name, uint64_t number,
                                Version* version) {
  std::string stamp = StampVersion(directory_, name, number);
  if (stamp == version->stamp) return;
  loading_ = {{name, number}};
  PublishSnapshot();
  absl::StatusOr<ModelHandle> loaded = hooks_.load(name, number);
  loading_.clear();
  version->stamp = std::move(stamp);
  version->problem = loaded.status();
  if (loaded.ok()) version->handle = *std::move(loaded);
}

absl::Status StoreLoader::LoadNow(const std::string& name, uint64_t number,
                                  Version* version) {
  if (version->handle == nullptr) version->stamp.clear();
  LoadIfChanged(name, number, version);
  if (!version->problem.ok()) {
    return About(VersionName(name, number), version->problem);
  }
  version->out = false;
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> StoreLoader::Find(const std::string& name,
                                           uint64_t version) const {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  const absl::StatusOr<uint64_t> found =
      FindVersion(directory_, version == 0 ? name : VersionName(name, version));
  if (!found.ok()) return WithoutPath(found.status());
  return found;
}

absl::Status StoreLoader::Load(const std::string& name, uint64_t version) {
  const absl::StatusOr<uint64_t> number = Find(name, version);
  if (!number.ok()) return number.status();
  Version& found = GetModel(name).versions[*number];
  const absl::Status status = LoadNow(name, *number, &found);
  if (status.ok()) found.pinned = true;
  RefreshMembers();
  PublishSnapshot();
  return status;
}

absl::Status StoreLoader::Unload(const std::string& name, uint64_t version) {
  absl::Status status = CheckModelName(name);
  if (!status.ok()) return status;
  const absl::StatusOr<ServedModels::Entry> entry =
      published_->GetEntry(VersionName(name, version));
  if (!entry.ok()) return entry.status();
  if (!entry->aliases.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        VersionName(name, version), ": it has aliases, which must move first: ",
        absl::StrJoin(entry->aliases, ", ")));
  }
  const auto members = Members();
  const auto member = members.find({name, version});
  if (member != members.end()) {
    const auto& [reranker, number] = member->second;
    return absl::FailedPreconditionError(absl::StrCat(
        VersionName(name, version), ": it is a member of the reranker ",
        VersionName(reranker, number), ", which must go first"));
  }
  Version& found = GetModel(name).versions[version];
  found = Version();
  found.out = true;
  PublishSnapshot();
  return absl::OkStatus();
}

absl::Status StoreLoader::SetAlias(const std::string& name,
                                   const std::string& alias, uint64_t version,
                                   std::optional<uint64_t> expected) {
  absl::Status status = CheckAlias(alias);
  if (!status.ok()) return status;
  const absl::StatusOr<uint64_t> number = Find(name, version);
  if (!number.ok()) return number.status();
  if (expected.has_value()) {
    // Before the work of loading; once more when the alias is written.
    status = CheckAliasIs(directory_, name, alias, *expected);
    if (!status.ok()) return WithoutPath(status);
  }
  status = version == 0 ? RemoveAlias(directory_, name, alias, expected)
                        : MoveAlias(name, alias, version, expected);
  RefreshModel(name);  // the alias moves, or the version goes again
  RefreshMembers();
  return WithoutPath(status);
}

absl::Status StoreLoader::MoveAlias(const std::string& name,
                                    const std::string& alias, uint64_t version,
                                    std::optional<uint64_t> expected) {
  Version& found = GetModel(name).versions[version];
  const bool was_out = found.out;
  absl::Status status = LoadNow(name, version, &found);
  if (!status.ok()) return status;
  status = lmserve::SetAlias(directory_, name, alias, version, expected);
  if (!status.ok()) found.out = was_out;
  return status;
}

// The path of the store is no business of those who ask the server.
absl::Status StoreLoader::WithoutPath(const absl::Status& status) const {
  if (status.ok()) return status;
  absl::string_view message = status.message();
  if (!absl::ConsumePrefix(&message, directory_)) return status;
  if (!absl::ConsumePrefix(&message, "/")) {
    return absl::Status(status.code(), absl::StrCat("the store", message));
  }
  return absl::Status(status.code(), message);
}

ServedModels StoreLoader::MakeSnapshot() const {
  ServedModels served;
  served.loading = loading_;
  if (!problem_.ok()) served.refused.push_back({"", 0, problem_});
  for (const auto& [name, model] : models_) {
    ServedModels::Model loaded;
    for (const auto& [number, version] : model.versions) {
      if (version.handle) loaded.versions[number] = version.handle;
    }
    for (const auto& [alias, version] : model.aliases) {
      if (loaded.versions.count(version)) loaded.aliases[alias] = version;
    }
    if (!loaded.versions.empty()) served.models[name] = std::move(loaded);
    served.refused.insert(served.refused.end(), model.problems.begin(),
                          model.problems.end());
    for (auto version = model.versions.rbegin();
         version != model.versions.rend(); ++version) {
      if (version->second.problem.ok()) continue;
      served.refused.push_back({name, version->first, version->second.problem});
    }
  }
  return served;
}

void StoreLoader::PublishSnapshot() {
  ServedModels served = MakeSnapshot();
  if (served == *published_) return;
  published_ = std::make_shared<const ServedModels>(std::move(served));
  hooks_.publish(published_);
}

}  // namespace lmserve
