#include "model_store/model_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/model_name.h"
#include "model_store/store_directory.h"

namespace lmserve {
namespace {

constexpr size_t kMostNamesTold = 20;

// "a, b and 3 more" for a message.
std::string Names(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  const size_t told = std::min(names.size(), kMostNamesTold);
  std::string text = absl::StrJoin(names.begin(), names.begin() + told, ", ");
  if (told < names.size()) {
    absl::StrAppend(&text, " and ", names.size() - told, " more");
  }
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ModelStore>> ModelStore::Open(
    const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names =
      ListModelNames(directory);
  if (!names.ok()) return names.status();
  auto store = absl::WrapUnique(new ModelStore);
  for (const std::string& name : *names) store->LoadVersions(directory, name);
  return store;
}

// Loads the newest version that verifies, and those that aliases name.
void ModelStore::LoadVersions(const std::string& directory,
                              const std::string& name) {
  const auto refuse = [&](uint64_t version, absl::Status reason) {
    refused_.push_back({name, version, std::move(reason)});
  };
  std::vector<uint64_t> versions = ListVersions(directory, name);
  absl::StatusOr<std::map<std::string, uint64_t>> aliases =
      ReadAliases(directory, name);
  if (!aliases.ok()) {
    refuse(0, aliases.status());
    aliases.emplace();
  }
  std::set<uint64_t> wanted;
  for (const auto& [alias, version] : *aliases) {
    if (std::binary_search(versions.begin(), versions.end(), version)) {
      wanted.insert(version);
    } else {
      refuse(version, absl::NotFoundError(absl::StrCat(
                          "alias '", alias, "': there is no such version")));
    }
  }
  Model model;
  for (; !versions.empty(); versions.pop_back()) {
    const uint64_t version = versions.back();
    // Older ones than the newest good version only for an alias.
    if (!model.versions.empty() && wanted.count(version) == 0) continue;
    absl::StatusOr<ModelHandle> loaded = LoadModel(directory, name, version);
    if (loaded.ok()) {
      model.versions[version] = *std::move(loaded);
    } else {
      refuse(version, loaded.status());
    }
  }
  for (const auto& [alias, version] : *aliases) {
    if (model.versions.count(version) > 0) model.aliases[alias] = version;
  }
  if (!model.versions.empty()) models_[name] = std::move(model);
}

absl::StatusOr<ModelStore::Entry> ModelStore::GetEntry(
    absl::string_view spec) const {
  const absl::StatusOr<ModelName> wanted = ParseModelName(spec);
  if (!wanted.ok()) return wanted.status();
  const auto found = models_.find(wanted->name);
  if (found == models_.end()) {
    std::vector<std::string> names;
    for (const auto& [name, model] : models_) names.push_back(name);
    return absl::NotFoundError(absl::StrCat(
        "model '", wanted->name, "' is not served; there are: ", Names(names)));
  }
  const Model& model = found->second;
  uint64_t version = wanted->version;
  if (version == 0 && wanted->alias.empty()) {
    version = model.versions.rbegin()->first;
  } else if (version == 0) {
    const auto alias = model.aliases.find(wanted->alias);
    version = alias == model.aliases.end() ? 0 : alias->second;
  }
  if (model.versions.count(version) == 0) {
    std::vector<std::string> names;
    for (const auto& entry : model.versions) {
      names.push_back(absl::StrCat(entry.first));
    }
    for (const auto& entry : model.aliases) names.push_back(entry.first);
    return absl::NotFoundError(
        absl::StrCat("model '", wanted->name, "' has no version or alias '",
                     spec.substr(wanted->name.size() + 1),
                     "' that is served; there are: ", Names(names)));
  }
  return MakeEntry(model, version);
}

ModelStore::Entry ModelStore::MakeEntry(const Model& model, uint64_t version) {
  Entry entry = {model.versions.at(version),
                 {},
                 version == model.versions.rbegin()->first};
  for (const auto& [alias, named] : model.aliases) {
    if (named == version) entry.aliases.push_back(alias);
  }
  return entry;
}

absl::StatusOr<ModelHandle> ModelStore::Get(absl::string_view spec) const {
  absl::StatusOr<Entry> entry = GetEntry(spec);
  if (!entry.ok()) return entry.status();
  return std::move(entry->handle);
}

std::vector<ModelStore::Entry> ModelStore::List() const {
  std::vector<Entry> entries;
  for (const auto& [name, model] : models_) {
    for (const auto& [version, handle] : model.versions) {
      entries.push_back(MakeEntry(model, version));
    }
  }
  return entries;
}

}  // namespace lmserve
