// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_loader.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/model_name.h"
#include "model_store/model_scan.h"
#include "model_store/reranker.h"
#include "model_store/status_context.h"
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

template <typename Result>
uint64_t StoreLoader::Run(const std::string& name,
                          std::function<absl::StatusOr<Result>()> work,
                          std::function<void(absl::StatusOr<Result>)> then) {
  ++pending_[name];
  const auto read = [work = std::move(work)]() -> absl::StatusOr<Result> {
    try {
      return work();
    } catch (const std::bad_alloc&) {
      return absl::ResourceExhaustedError("memory: too little");
    }
  };
  return hooks_.run(name, [this, name, read, then]() -> std::function<void()> {
    return [this, name, result = read(), then] {
      if (--pending_[name] == 0) pending_.erase(name);
      then(result);
    };
  });
}

std::shared_ptr<const StoreLoader::Sweep> StoreLoader::BeginSweep(
    bool skips_pending) {
  const auto sweep = std::make_shared<Sweep>();
  if (skips_pending && pending_.count("") > 0) return sweep;
  ++sweep->left;
  Run<ModelListing>(
      "", [directory = directory_] { return ListPossibleModels(directory); },
      [this, skips_pending, sweep](absl::StatusOr<ModelListing> listing) {
        OnListed(listing, skips_pending, sweep);
        --sweep->left;
      });
  return sweep;
}

void StoreLoader::OnListed(const absl::StatusOr<ModelListing>& listing,
                           bool skips_pending,
                           const std::shared_ptr<Sweep>& sweep) {
  sweep->status = CheckStore(listing);
  problem_ = WithoutStorePath(directory_, sweep->status);
  if (sweep->status.ok()) {
    std::set<std::string> names(listing->names.begin(), listing->names.end());
    for (const auto& entry : models_) names.insert(entry.first);
    for (const auto& entry : policy_.listed) names.insert(entry.first);
    for (const std::string& name : names) {
      if (skips_pending && pending_.count(name) > 0) continue;
      Scan(name, sweep);
    }
  }
  PublishSnapshot();
}

// Checks that a store without models is still the same directory as before: a
// directory in which a file system was mounted is another one afterwards.
absl::Status StoreLoader::CheckStore(
    const absl::StatusOr<ModelListing>& listing) {
  if (!listing.ok()) return listing.status();
  if (listing->names.empty() && listing->identity != identity_ &&
      !published_->models.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory_,
                     ": expected models, found another directory "
                     "without any: what was loaded stays"));
  }
  identity_ = listing->identity;
  return absl::OkStatus();
}

StoreLoader::Outcome StoreLoader::EndOf(const Sweep& sweep) const {
  if (sweep.left > 0) return std::nullopt;
  if (sweep.status.ok() && IsLoading()) return std::nullopt;
  return sweep.status;
}

// Scans a model, as a part of a sweep unless it is null.
void StoreLoader::Scan(const std::string& name,
                       const std::shared_ptr<Sweep>& sweep) {
  if (sweep != nullptr) ++sweep->left;
  const ModelVersions::ScanRequest request = BeginScan(name);
  Run<ModelScan>(
      name,
      [directory = directory_, name, follow_links = options_.follow_links,
       stamped = request.stamped] {
        return ScanModel(directory, name, follow_links, stamped);
      },
      [this, name, sweep, request](absl::StatusOr<ModelScan> scan) {
        SetScan(name, request, std::move(scan));
        OnLoaded(name);
        if (sweep != nullptr) --sweep->left;
      });
}

// A model that is missing is gone only if it was looked for in the directory
// that the store is known to be. Otherwise the store itself is missing: its
// file system was unmounted, or someone moves it.
void StoreLoader::SetScan(const std::string& name,
                          const ModelVersions::ScanRequest& request,
                          absl::StatusOr<ModelScan> scan) {
  if (scan.ok() && scan->listing.identity.empty() &&
      scan->listing.store_identity != identity_) {
    scan = absl::FailedPreconditionError(
        absl::StrCat(directory_, ": expected the directory that has ", name,
                     ", found another one without it: what was loaded stays"));
  }
  GetModel(name).SetScan(request, std::move(scan));
}

uint64_t StoreLoader::RunOnModel(
    const std::string& name, VersionWork work,
    std::function<void(absl::StatusOr<uint64_t>)> then) {
  using Result = std::pair<uint64_t, absl::StatusOr<ModelScan>>;
  const ModelVersions::ScanRequest request = BeginScan(name);
  return Run<Result>(
      name,
      [directory = directory_, name, follow_links = options_.follow_links,
       stamped = request.stamped,
       work = std::move(work)]() -> absl::StatusOr<Result> {
        const absl::StatusOr<uint64_t> version = work();
        if (!version.ok()) {
          return WithoutStorePath(directory, version.status());
        }
        std::set<uint64_t> all = stamped;
        if (*version != 0) all.insert(*version);
        return Result(*version, ScanModel(directory, name, follow_links, all));
      },
      [this, name, request,
       then = std::move(then)](absl::StatusOr<Result> result) {
        if (!result.ok()) return then(result.status());
        SetScan(name, request, std::move(result->second));
        then(result->first);
        OnLoaded(name);
      });
}

bool StoreLoader::Cancel(const std::string& name, uint64_t number) {
  if (!hooks_.cancel(name, number)) return false;
  if (--pending_[name] == 0) pending_.erase(name);
  return true;
}

absl::Status StoreLoader::DoesNotAnswer() const {
  return absl::DeadlineExceededError(absl::StrCat(
      "its directory: expected an answer within ",
      std::chrono::duration<double>(options_.disk_patience).count(),
      " s, found none: the file system hangs"));
}

absl::Status StoreLoader::Hanging(const std::string& name) const {
  return WithContext(name, DoesNotAnswer());
}

void StoreLoader::CheckDisk() {
  std::set<std::string> hanging;
  for (const auto& entry : pending_) {
    if (hooks_.hangs(entry.first)) hanging.insert(entry.first);
  }
  if (hanging == hanging_) return;
  hanging_ = std::move(hanging);
  PublishSnapshot();
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
      .try_emplace(name, ModelVersions::Options{directory_, name, hooks_.load,
                                                check_members,
                                                options_.incomplete_patience})
      .first->second;
}

ModelVersions::ScanRequest StoreLoader::BeginScan(
    const std::string& name) const {
  const auto model = models_.find(name);
  return model == models_.end() ? ModelVersions::ScanRequest()
                                : model->second.BeginScan();
}

void StoreLoader::RefreshModel(const std::string& name) {
  const auto find_members = [&] {
    std::set<uint64_t> members;
    for (const auto& [member, reranker] : FindMembers()) {
      if (member.first == name) members.insert(member.second);
    }
    return members;
  };
  const auto found = models_.find(name);
  if (found == models_.end()) return;
  ModelVersions& model = found->second;
  model.Refresh(policy_, find_members);
  if (model.TakeNeedsScan()) Scan(name, nullptr);
  if (model.empty()) models_.erase(found);
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

StoreLoader::Outcome StoreLoader::Hold(const std::string& name,
                                       uint64_t version, bool again) {
  const auto found = models_.find(name);
  if (found == models_.end()) {
    return absl::NotFoundError(
        absl::StrCat("model '", name, "' is no longer in the store"));
  }
  ModelVersions& model = found->second;
  Outcome outcome = model.Load(version, again);
  if (model.TakeNeedsScan()) Scan(name, nullptr);
  if (outcome.has_value() && outcome->ok()) {
    RefreshMembers();
    const absl::Status complete = CheckMembers(*model.Get(version));
    if (absl::IsUnavailable(complete)) {
      outcome = std::nullopt;
    } else if (!complete.ok()) {
      outcome = absl::Status(
          complete.code(),
          absl::StrCat(VersionName(name, version), ": ", complete.message()));
    }
  }
  PublishSnapshot();
  return outcome;
}

void StoreLoader::Release(const std::string& name, uint64_t version) {
  const auto model = models_.find(name);
  if (model == models_.end()) return;
  model->second.Release(version);
  OnLoaded(name);
}

void StoreLoader::Pin(const std::string& name, uint64_t version) {
  GetModel(name).Pin(version);
  Release(name, version);
}

void StoreLoader::AllowLoading(const std::string& name, uint64_t version) {
  GetModel(name).AllowLoading(version);
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

ServedModels StoreLoader::MakeSnapshot() const {
  ServedModels served;
  for (const std::string& name : hanging_) {
    served.refused.push_back({name, 0, DoesNotAnswer()});
  }
  if (!problem_.ok()) served.refused.push_back({"", 0, problem_});
  for (const auto& entry : models_) entry.second.AddTo(&served);
  std::stable_sort(
      served.refused.begin(), served.refused.end(),
      [](const auto& a, const auto& b) { return a.name < b.name; });
  return served;
}

void StoreLoader::PublishSnapshot() {
  ServedModels served = MakeSnapshot();
  if (served == *published_) return;
  published_ = std::make_shared<const ServedModels>(std::move(served));
  hooks_.publish(published_);
}

}  // namespace lmserve
