// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_file.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "models/mixture/json_values.h"
#include "models/mixture/member_files.h"
#include "models/mixture/mixture_model.h"

namespace lmserve {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFileSize = 1 << 16;
constexpr size_t kMaxMembers = 64;

constexpr char kMembers[] = "members";
constexpr char kFamily[] = "family";
constexpr char kWeight[] = "weight";
constexpr char kName[] = "name";

template <typename... Parts>
absl::Status Broken(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(kMixtureFile, ": ", parts...));
}

absl::StatusOr<MixtureEntry> ParseMember(const Json& json) {
  if (!json.is_object()) return WrongJson("expected an object", &json);
  const Json* family = FindJson(json, kFamily);
  if (family == nullptr || !family->is_string()) {
    return WrongJson("family: expected a string", family);
  }
  const Json* weight = FindJson(json, kWeight);
  if (weight == nullptr || !weight->is_number()) {
    return WrongJson("weight: expected a number", weight);
  }
  const Json* name = FindJson(json, kName);
  if (name == nullptr || !name->is_string()) {
    return WrongJson("name: expected a string", name);
  }
  if (json.size() > 3) {
    return absl::InvalidArgumentError(
        "expected only the keys family, weight and name");
  }
  return MixtureEntry{family->get<std::string>(), weight->get<double>(),
                      name->get<std::string>()};
}

}  // namespace

std::string MakeMixtureFile(absl::Span<const MixtureEntry> members) {
  Json list = Json::array();
  for (const MixtureEntry& member : members) {
    list.push_back({{kFamily, member.family},
                    {kWeight, member.weight},
                    {kName, member.name}});
  }
  const Json json = {{kMembers, std::move(list)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<std::vector<MixtureEntry>> ParseMixtureFile(
    absl::string_view json) {
  if (json.size() > kMaxFileSize) {
    return Broken("size: expected at most ", kMaxFileSize, ", found ",
                  json.size());
  }
  const Json root = Json::parse(json.begin(), json.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (root.is_discarded()) return Broken("not valid JSON");
  if (!root.is_object() || root.size() != 1 || !root.contains(kMembers)) {
    return Broken("expected an object with only the key members");
  }
  const Json& members = root[kMembers];
  if (!members.is_array() || members.empty() || members.size() > kMaxMembers) {
    return Broken("members: expected a list of 1 to ", kMaxMembers, ", found ",
                  members.is_array() ? absl::StrCat(members.size())
                                     : FoundJson(&members));
  }
  std::vector<MixtureEntry> entries;
  for (const Json& member : members) {
    absl::StatusOr<MixtureEntry> entry = ParseMember(member);
    if (!entry.ok()) {
      return Broken("member ", entries.size(), ": ", entry.status().message());
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateMixture(
    const ModelFiles& files, int depth) {
  if (absl::Status status = CheckMayHaveMembers(depth); !status.ok()) {
    return status;
  }
  // A member needs the vocabulary, too, but a missing file of the mixture is
  // not an error of the member.
  const absl::StatusOr<absl::string_view> vocabulary =
      FindFile(files, kVocabularyFile);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<absl::string_view> json = FindFile(files, kMixtureFile);
  if (!json.ok()) return json.status();
  const absl::StatusOr<std::vector<MixtureEntry>> entries =
      ParseMixtureFile(*json);
  if (!entries.ok()) return entries.status();
  std::vector<MixtureModel::Member> members;
  for (const MixtureEntry& entry : *entries) {
    const size_t m = members.size();
    absl::StatusOr<std::unique_ptr<LanguageModel>> model =
        CreateMember(entry.family, m, files, depth);
    if (!model.ok()) {
      return Broken("member ", m, " (", absl::CHexEscape(entry.name),
                    "): ", model.status().message());
    }
    members.push_back({*std::move(model), entry.weight});
  }
  absl::StatusOr<std::unique_ptr<MixtureModel>> model =
      MixtureModel::Create(std::move(members));
  if (!model.ok()) return Broken(model.status().message());
  return model;
}

}  // namespace lmserve
