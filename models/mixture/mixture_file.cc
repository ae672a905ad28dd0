// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_file.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/mixture/mixture_model.h"
#include "models/model_factory.h"

namespace lmserve {
namespace {

using Json = nlohmann::json;
using ModelOr = absl::StatusOr<std::unique_ptr<LanguageModel>>;

constexpr size_t kMaxFileSize = 1 << 16;
constexpr size_t kMaxMembers = 64;
constexpr int kMaxDepth = 4;

constexpr char kMembers[] = "members";
constexpr char kFamily[] = "family";
constexpr char kWeight[] = "weight";
constexpr char kName[] = "name";

template <typename... Parts>
absl::Status Broken(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(kMixtureFile, ": ", parts...));
}

// Formats a value for an error message. For lists and objects, which may be
// deep, it returns only the name of the type.
std::string Found(const Json* value) {
  if (value == nullptr) return "none";
  if (value->is_structured()) return value->type_name();
  const std::string text =
      value->dump(-1, ' ', false, Json::error_handler_t::replace);
  return absl::CHexEscape(text.substr(0, 60));
}

absl::Status Wrong(absl::string_view expected, const Json* found) {
  return absl::InvalidArgumentError(
      absl::StrCat(expected, ", found ", Found(found)));
}

const Json* Find(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

absl::StatusOr<MixtureEntry> ParseMember(const Json& json) {
  if (!json.is_object()) return Wrong("expected an object", &json);
  const Json* family = Find(json, kFamily);
  if (family == nullptr || !family->is_string()) {
    return Wrong("family: expected a string", family);
  }
  const Json* weight = Find(json, kWeight);
  if (weight == nullptr || !weight->is_number()) {
    return Wrong("weight: expected a number", weight);
  }
  const Json* name = Find(json, kName);
  if (name == nullptr || !name->is_string()) {
    return Wrong("name: expected a string", name);
  }
  if (json.size() > 3) {
    return absl::InvalidArgumentError(
        "expected only the keys family, weight and name");
  }
  return MixtureEntry{family->get<std::string>(), weight->get<double>(),
                      name->get<std::string>()};
}

// Returns the files of a member under their names without the prefix, and the
// vocabulary, which all members share.
ModelFiles MemberFiles(const ModelFiles& files, size_t member,
                       absl::string_view vocabulary) {
  const std::string prefix = MemberFileName(member, "");
  ModelFiles own;
  for (auto file = files.lower_bound(prefix);
       file != files.end() && absl::StartsWith(file->first, prefix); ++file) {
    own[file->first.substr(prefix.size())] = file->second;
  }
  own[std::string(kVocabularyFile)] = vocabulary;
  return own;
}

ModelOr CreateNested(const ModelFiles& files, int depth);

// Creates a member of a mixture at nesting depth `depth`; the outermost mixture
// has depth 1.
ModelOr CreateMember(const MixtureEntry& entry, const ModelFiles& files,
                     int depth) {
  if (entry.family == kMixtureFamily) {
    if (depth < kMaxDepth) return CreateNested(files, depth + 1);
    return absl::InvalidArgumentError(absl::StrCat(
        "expected at most ", kMaxDepth, " levels of nested mixtures"));
  }
  absl::StatusOr<AnyModel> model = CreateModel(entry.family, files);
  if (!model.ok()) return model.status();
  if (model->kind() != ModelKind::kLeftToRight) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a left-to-right model, found ", KindName(model->kind())));
  }
  return (*std::move(model)).TakeLeftToRight();
}

ModelOr CreateNested(const ModelFiles& files, int depth) {
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
    ModelOr model =
        CreateMember(entry, MemberFiles(files, m, *vocabulary), depth);
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
    return Broken(
        "members: expected a list of 1 to ", kMaxMembers, ", found ",
        members.is_array() ? absl::StrCat(members.size()) : Found(&members));
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

std::string MemberFileName(size_t member, absl::string_view file) {
  return absl::StrCat(member, ".", file);
}

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateMixture(
    const ModelFiles& files) {
  return CreateNested(files, /*depth=*/1);
}

}  // namespace lmserve
