// SPDX-License-Identifier: Apache-2.0
#include "model_store/served_models.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/model_name.h"

namespace lmserve {
namespace {

constexpr size_t kMaxListedNames = 20;

// Returns "a, b and 3 more" for an error message.
std::string JoinNames(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  const size_t listed = std::min(names.size(), kMaxListedNames);
  std::string text = absl::StrJoin(names.begin(), names.begin() + listed, ", ");
  if (listed < names.size()) {
    absl::StrAppend(&text, " and ", names.size() - listed, " more");
  }
  return text;
}

absl::Status NoSuchModel(const ServedModels& served, absl::string_view name) {
  std::vector<std::string> names;
  for (const auto& [known, model] : served.models) names.push_back(known);
  std::string reason;
  for (const auto* problems : {&served.incomplete, &served.refused}) {
    for (const ServedModels::Refused& problem : *problems) {
      if (problem.name != name) continue;
      reason = absl::StrCat(
          " (",
          problem.version == 0
              ? ""
              : absl::StrCat(
                    "version ", problem.version,
                    problems == &served.incomplete ? " is incomplete" : "",
                    ": "),
          problem.reason.message(), ")");
      break;
    }
  }
  return absl::NotFoundError(absl::StrCat("model '", name, "' is not served",
                                          reason,
                                          "; served: ", JoinNames(names)));
}

// Returns the versions and aliases of a model, for an error message.
std::string JoinVersions(const ServedModels::Model& model) {
  std::vector<std::string> names;
  for (const auto& entry : model.versions) {
    names.push_back(absl::StrCat(entry.first));
  }
  for (const auto& entry : model.aliases) names.push_back(entry.first);
  return JoinNames(names);
}

absl::Status NoSuchVersion(const ServedModels::Model& model,
                           absl::string_view name, absl::string_view wanted) {
  return absl::NotFoundError(
      absl::StrCat("model '", name, "' has no served version or alias '",
                   wanted, "'; served: ", JoinVersions(model)));
}

absl::Status NoDefaultVersion(const ServedModels::Model& model,
                              absl::string_view name) {
  if (model.default_version == 0) {
    return absl::NotFoundError(absl::StrCat(
        "the default version of model '", name,
        "' is unknown, because its aliases cannot be read; served: ",
        JoinVersions(model)));
  }
  return absl::NotFoundError(absl::StrCat(
      VersionName(name, model.default_version), ", the default version of '",
      name, "', is not served; served: ", JoinVersions(model)));
}

// Returns the version that a name stands for, or 0 if its alias does not exist.
uint64_t Resolve(const ServedModels::Model& model, const ModelName& wanted) {
  if (wanted.version != 0) return wanted.version;
  if (wanted.alias.empty()) return model.default_version;
  const auto alias = model.aliases.find(wanted.alias);
  return alias == model.aliases.end() ? 0 : alias->second;
}

ServedModels::Entry MakeEntry(const ServedModels::Model& model,
                              uint64_t version) {
  ServedModels::Entry entry = {
      model.versions.at(version), {}, version == model.default_version};
  for (const auto& [alias, named] : model.aliases) {
    if (named == version) entry.aliases.push_back(alias);
  }
  return entry;
}

}  // namespace

absl::StatusOr<ServedModels::Found> ServedModels::Find(
    absl::string_view spec) const {
  // Most names have no '@', so look up the whole text before parsing it.
  if (const auto bare = models.find(spec); bare != models.end()) {
    const Model& model = bare->second;
    if (model.versions.count(model.default_version) == 0) {
      return NoDefaultVersion(model, spec);
    }
    return Found{model, model.default_version};
  }
  const absl::StatusOr<ModelName> wanted = ParseModelName(spec);
  if (!wanted.ok()) return wanted.status();
  const auto found = models.find(wanted->name);
  if (found == models.end()) return NoSuchModel(*this, wanted->name);
  const Model& model = found->second;
  const uint64_t version = Resolve(model, *wanted);
  if (model.versions.count(version) == 0) {
    return NoSuchVersion(model, wanted->name,
                         spec.substr(wanted->name.size() + 1));
  }
  return Found{model, version};
}

absl::StatusOr<ModelHandle> ServedModels::Get(absl::string_view spec) const {
  const absl::StatusOr<Found> found = Find(spec);
  if (!found.ok()) return found.status();
  const ModelHandle& handle = found->model.versions.at(found->version);
  if (!handle->is_reranker()) return handle;
  return absl::FailedPreconditionError(
      absl::StrCat("'", spec,
                   "' is a reranker: expected a model (Rerank has a field, and "
                   "lm_client rerank the option --reranker, for rerankers)"));
}

absl::StatusOr<ModelHandle> ServedModels::GetReranker(
    absl::string_view spec) const {
  const absl::StatusOr<Found> found = Find(spec);
  if (!found.ok()) return found.status();
  const ModelHandle& handle = found->model.versions.at(found->version);
  if (handle->is_reranker()) return handle;
  return absl::FailedPreconditionError(
      absl::StrCat("'", spec,
                   "' is a model: expected a reranker (lm_trainer tune "
                   "publishes rerankers)"));
}

absl::StatusOr<ServedModels::Entry> ServedModels::GetEntry(
    absl::string_view spec) const {
  const absl::StatusOr<Found> found = Find(spec);
  if (!found.ok()) return found.status();
  return MakeEntry(found->model, found->version);
}

std::vector<std::string> ServedModels::Names() const {
  std::set<std::string> names;
  for (const auto& entry : models) names.insert(entry.first);
  for (const Refused& entry : refused) {
    if (!entry.name.empty()) names.insert(entry.name);
  }
  return {names.begin(), names.end()};
}

std::vector<ServedModels::Entry> ServedModels::List() const {
  std::vector<Entry> entries;
  for (const auto& [name, model] : models) {
    for (const auto& [version, handle] : model.versions) {
      entries.push_back(MakeEntry(model, version));
    }
  }
  return entries;
}

}  // namespace lmserve
