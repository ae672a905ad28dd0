// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_versions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/status_context.h"
#include "model_store/store_directory.h"

namespace lmserve {
namespace {

absl::Status NoSuchVersion() {
  return absl::NotFoundError("the version does not exist");
}

}  // namespace

ModelVersions::ModelVersions(Options options) : options_(std::move(options)) {}

absl::Status ModelVersions::CheckScan(
    const absl::StatusOr<ModelScan>& scan) const {
  if (!scan.ok()) return scan.status();
  const VersionListing& found = scan->listing;
  if (found.versions.empty() && !found.identity.empty() &&
      found.identity != disk_.listing.identity && !loaded().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        name_,
        ": expected versions, found another directory without any: what "
        "was loaded stays"));
  }
  return absl::OkStatus();
}

// A scan that began before a load failed for the first time does not say
// whether the version is still there.
void ModelVersions::SetScan(const ScanRequest& request,
                            absl::StatusOr<ModelScan> scan) {
  scanned_ = WithoutStorePath(store_, CheckScan(scan));
  if (!scanned_.ok()) {
    // Whatever is being loaded is loaded again after the next scan.
    for (auto& entry : versions_) entry.second.is_loading = false;
    unstamped_.clear();
    return;
  }
  disk_ = *std::move(scan);
  for (auto& entry : versions_) entry.second.is_gone = true;
  for (uint64_t number : disk_.listing.versions)
    versions_[number].is_gone = false;
  for (const auto& [number, version] : versions_) {
    if (version.doubt > request.doubts) disk_.stamps.erase(number);
  }
  for (const auto& entry : disk_.stamps) unstamped_.erase(entry.first);
}

ModelVersions::ScanRequest ModelVersions::BeginScan() const {
  ScanRequest request = {unstamped_, doubts_};
  for (const auto& [number, version] : versions_) {
    if (version.handle != nullptr || !version.problem.ok() ||
        version.is_loading || version.is_held || version.is_pinned) {
      request.stamped.insert(number);
    }
  }
  return request;
}

// Releases versions only after all others are loaded.
void ModelVersions::Refresh(
    const VersionPolicy& policy,
    absl::FunctionRef<std::set<uint64_t>()> find_members) {
  if (!scanned_.ok()) {
    problems_ = {{name_, 0, scanned_}};
    return;
  }
  // If a load ends while a plan is made, the plan has missed its version.
  Plan plan;
  int before;
  do {
    before = loads_ended_;
    plan = MakePlan(policy, find_members);
  } while (loads_ended_ != before);
  Apply(std::move(plan));
}

ModelVersions::Plan ModelVersions::MakePlan(
    const VersionPolicy& policy,
    absl::FunctionRef<std::set<uint64_t>()> find_members) {
  Plan plan;
  PlanAliases(&plan);
  PlanPinned(&plan);
  PlanHeld(&plan);
  for (uint64_t number : find_members()) EnsureLoaded(number, &plan);
  if (policy.listed.empty()) {
    PlanNewest(policy.newest, &plan);
  } else if (const auto listed = policy.listed.find(name_);
             listed != policy.listed.end()) {
    PlanListed(listed->second, &plan);
  }
  return plan;
}

void ModelVersions::PlanAliases(Plan* plan) {
  const absl::StatusOr<std::map<std::string, uint64_t>>& aliases =
      disk_.aliases;
  if (!aliases.ok()) {
    plan->problems.push_back({name_, 0, aliases.status()});
    for (const auto& entry : aliases_) KeepAlias(entry.first, false, plan);
    plan->default_version = default_version_;
    return;
  }
  plan->default_version = 0;
  for (const auto& [alias, number] : *aliases) {
    if (EnsureLoaded(number, plan)) {
      plan->aliases[alias] = number;
      continue;
    }
    const auto version = versions_.find(number);
    KeepAlias(alias, version != versions_.end() && version->second.is_loading,
              plan);
    // The version itself has a problem, which is reported anyway.
    if (plan->versions.count(number) > 0) continue;
    plan->problems.push_back(
        {name_, number,
         WithContext(absl::StrCat("alias '", alias, "'"),
                     IsOnDisk(number) ? absl::FailedPreconditionError(
                                            "the version was unloaded")
                                      : NoSuchVersion())});
  }
  // If NAME is fixed to a version that cannot be loaded, it means no other one
  // than before.
  const auto wanted = aliases->find(std::string(kDefaultAlias));
  if (wanted == aliases->end()) return;
  const auto served = plan->aliases.find(kDefaultAlias);
  plan->default_version =
      served == plan->aliases.end() ? wanted->second : served->second;
}

// Lets an alias stand for what it stands for now, if that can still be served,
// or as long as its new version is being loaded.
void ModelVersions::KeepAlias(const std::string& alias, bool is_loading,
                              Plan* plan) {
  const auto current = aliases_.find(alias);
  if (current == aliases_.end()) return;
  const Version& version = versions_[current->second];
  if (version.handle == nullptr || (version.is_gone && !is_loading)) return;
  plan->versions.insert(current->second);
  plan->aliases.insert(*current);
}

void ModelVersions::PlanPinned(Plan* plan) {
  for (const auto& [number, version] : versions_) {
    if (version.is_pinned) EnsureLoaded(number, plan);
  }
}

void ModelVersions::PlanHeld(Plan* plan) {
  for (const auto& [number, version] : versions_) {
    if (version.is_held && !version.is_gone) plan->versions.insert(number);
  }
}

// While a version is being loaded, older ones that are loaded stay, but none is
// loaded in its place.
void ModelVersions::PlanNewest(size_t most, Plan* plan) {
  size_t count = 0, loading = 0;
  for (auto version = versions_.rbegin();
       version != versions_.rend() && count < most; ++version) {
    if (version->second.handle == nullptr && loading >= most - count) continue;
    const bool is_loaded = EnsureLoaded(version->first, plan);
    // An unloaded version counts, so that no older one replaces it.
    const bool is_unloaded =
        version->second.is_unloaded && !version->second.is_gone;
    if (is_loaded || is_unloaded) {
      ++count;
    } else if (version->second.is_loading) {
      ++loading;
    }
  }
}

void ModelVersions::PlanListed(const std::set<uint64_t>& listed, Plan* plan) {
  for (uint64_t number : listed) {
    EnsureLoaded(number, plan);
    if (IsOnDisk(number)) continue;
    plan->problems.push_back({name_, number, NoSuchVersion()});
  }
}

// Adds a version to the plan, unless it is not on disk or was unloaded, and
// loads it. Returns whether it can answer now.
bool ModelVersions::EnsureLoaded(uint64_t number, Plan* plan) {
  if (!IsOnDisk(number)) return false;
  Version& version = versions_[number];
  if (version.is_unloaded) return false;
  plan->versions.insert(number);
  LoadIfChanged(number, &version);
  return CanAnswer(version);
}

bool ModelVersions::CanAnswer(const Version& version) const {
  return version.handle != nullptr &&
         options_.check_complete(*version.handle).ok();
}

// Whether a load failed for a reason that may be gone by now.
bool ModelVersions::IsRetryDue(const Version& version) {
  const bool is_temporary = absl::IsNotFound(version.problem) ||
                            absl::IsResourceExhausted(version.problem) ||
                            absl::IsDeadlineExceeded(version.problem) ||
                            absl::IsUnavailable(version.problem);
  return is_temporary && std::chrono::steady_clock::now() >= version.retry;
}

void ModelVersions::WaitForScan(uint64_t number, Version* version) {
  needs_scan_ |= unstamped_.insert(number).second;
  version->is_loading |= version->handle == nullptr;
}

// If the directory of a loaded version has changed and can no longer be loaded,
// the version that was loaded before stays. A version without stamp waits for
// the next scan. So does one whose load has failed for the first time, because
// someone may have removed or changed it, or moved the store away, since the
// last scan. If a scan that begins now still finds it, it is loaded once more,
// and a second failure counts: a version that is being copied fails until it is
// complete.
void ModelVersions::LoadIfChanged(uint64_t number, Version* version) {
  constexpr std::chrono::seconds kFirstPause(1), kLongestPause(64);
  const auto found = disk_.stamps.find(number);
  if (found == disk_.stamps.end()) return WaitForScan(number, version);
  const std::string stamp = found->second;
  if (!version->is_loading && stamp == version->stamp &&
      !IsRetryDue(*version)) {
    return;
  }
  const auto loaded = options_.load(name_, number, stamp);
  version->is_loading = !loaded.has_value();
  if (!loaded.has_value()) return;
  if (!loaded->ok() && version->problem.ok() && version->doubt == 0) {
    version->doubt = ++doubts_;
    disk_.stamps.erase(found);
    version->is_loading = true;
    return WaitForScan(number, version);
  }
  version->doubt = 0;
  ++loads_ended_;
  version->stamp = stamp;
  version->problem = loaded->status();
  if (!loaded->ok() && version->failed_stamp != stamp) {
    version->failed_stamp = stamp;
    version->failed_since = std::chrono::steady_clock::now();
  }
  if (loaded->ok()) version->handle = **loaded;
  version->pause =
      version->problem.ok()
          ? std::chrono::seconds(0)
          : std::clamp(2 * version->pause, kFirstPause, kLongestPause);
  version->retry = std::chrono::steady_clock::now() + version->pause;
}

// While a version is being loaded, all others stay, because one of them may be
// what it replaces.
void ModelVersions::Apply(Plan plan) {
  aliases_ = std::move(plan.aliases);
  default_version_ = plan.default_version;
  problems_ = std::move(plan.problems);
  const auto is_planned = [&](uint64_t number) {
    return plan.versions.count(number) > 0;
  };
  for (auto& [number, version] : versions_) {
    if (!is_planned(number)) version.is_loading = false;
  }
  const bool is_loading = IsLoading();
  std::erase_if(versions_, [&](const auto& entry) {
    const Version& version = entry.second;
    return version.is_gone && !(is_loading && version.handle != nullptr);
  });
  for (auto& [number, version] : versions_) {
    if (is_planned(number) || (is_loading && version.handle != nullptr)) {
      continue;
    }
    version.handle.reset();
    version.stamp.clear();
    version.problem = absl::OkStatus();
  }
}

std::optional<absl::Status> ModelVersions::Load(uint64_t number, bool again) {
  if (!scanned_.ok()) return scanned_;
  if (!IsOnDisk(number)) {
    return WithContext(VersionName(name_, number), NoSuchVersion());
  }
  Version& version = versions_[number];
  version.is_held = true;
  if (!again && version.handle == nullptr) version.stamp.clear();  // try again
  LoadIfChanged(number, &version);
  if (version.is_loading) return std::nullopt;
  if (version.problem.ok()) return absl::OkStatus();
  return WithContext(VersionName(name_, number), version.problem);
}

void ModelVersions::Release(uint64_t number) {
  const auto found = versions_.find(number);
  if (found != versions_.end()) found->second.is_held = false;
}

void ModelVersions::Pin(uint64_t number) {
  versions_[number].is_pinned = true;
  AllowLoading(number);
}

void ModelVersions::Unload(uint64_t number) {
  versions_[number] = Version();
  versions_[number].is_unloaded = true;
}

void ModelVersions::AllowLoading(uint64_t number) {
  versions_[number].is_unloaded = false;
}

bool ModelVersions::IsOnDisk(uint64_t number) const {
  const auto found = versions_.find(number);
  return found != versions_.end() && !found->second.is_gone;
}

ModelHandle ModelVersions::Get(uint64_t number) const {
  const auto found = versions_.find(number);
  return found == versions_.end() ? nullptr : found->second.handle;
}

bool ModelVersions::IsLoading() const {
  return std::any_of(versions_.begin(), versions_.end(),
                     [](const auto& entry) { return entry.second.is_loading; });
}

ModelHandle ModelVersions::Find(const ModelName& name) const {
  if (name.version != 0) return Get(name.version);
  if (!name.alias.empty()) {
    const auto alias = aliases_.find(name.alias);
    return alias == aliases_.end() ? nullptr : Get(alias->second);
  }
  if (default_version_ != 0) return Get(default_version_.value_or(0));
  const std::vector<ModelHandle> handles = loaded();
  return handles.empty() ? nullptr : handles.back();
}

bool ModelVersions::MayLoad(const ModelName& name) const {
  if (name.version == 0) return IsLoading();
  if (!IsOnDisk(name.version)) return false;
  const Version& version = versions_.at(name.version);
  return !version.is_unloaded && version.problem.ok();
}

std::vector<ModelHandle> ModelVersions::loaded() const {
  std::vector<ModelHandle> loaded;
  for (const auto& [number, version] : versions_) {
    if (version.handle != nullptr) loaded.push_back(version.handle);
  }
  return loaded;
}

// Whether a version that cannot be loaded is expected to change.
bool ModelVersions::MayBeCopied(const Version& version) const {
  return IsIncomplete(version.problem) &&
         std::chrono::steady_clock::now() - version.failed_since <
             options_.incomplete_patience;
}

void ModelVersions::AddTo(ServedModels* served) const {
  ServedModels::Model model;
  Problems refused = problems_;
  for (const auto& [number, version] : versions_) {
    const absl::Status complete =
        version.handle == nullptr ? absl::OkStatus()
                                  : options_.check_complete(*version.handle);
    if (version.is_loading || absl::IsUnavailable(complete)) {
      served->loading.emplace_back(name_, number);
    } else if (!complete.ok()) {
      refused.push_back({name_, number, complete});
    }
    if (version.handle != nullptr && complete.ok()) {
      model.versions[number] = version.handle;
    }
  }
  for (const auto& [alias, number] : aliases_) {
    if (model.versions.count(number) > 0) model.aliases[alias] = number;
  }
  if (!model.versions.empty()) {
    const bool is_newest = default_version_ == 0;
    model.default_version = is_newest ? model.versions.rbegin()->first
                                      : default_version_.value_or(0);
    served->models[name_] = std::move(model);
  }
  served->refused.insert(served->refused.end(), refused.begin(), refused.end());
  for (auto version = versions_.rbegin(); version != versions_.rend();
       ++version) {
    const absl::Status& problem = version->second.problem;
    if (problem.ok()) continue;
    (MayBeCopied(version->second) ? served->incomplete : served->refused)
        .push_back({name_, version->first, problem});
  }
}

}  // namespace lmserve
