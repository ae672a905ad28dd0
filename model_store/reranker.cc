// SPDX-License-Identifier: Apache-2.0
#include "model_store/reranker.h"

#include <cmath>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/struct.pb.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"

namespace lmserve {
namespace {

constexpr size_t kLargestFile = 1 << 16;
constexpr int kMostMembers = 64;

// What the API has before the names of enums that the format has. The format
// had its names first.
constexpr char kNormalizationPrefix[] = "NORMALIZATION_";
constexpr char kUtilityPrefix[] = "UTILITY_";

// Gives a field of the format the name that the API has for its enum.
void AddPrefix(const std::string& field, const std::string& prefix,
               google::protobuf::Struct* json) {
  const auto found = json->mutable_fields()->find(field);
  if (found == json->mutable_fields()->end()) return;
  google::protobuf::Value& value = found->second;
  if (value.kind_case() != google::protobuf::Value::kStringValue ||
      absl::StartsWith(value.string_value(), prefix)) {
    return;
  }
  value.set_string_value(absl::StrCat(prefix, value.string_value()));
}

// Returns the JSON of a Reranker message for reranker.json, whose enums may
// have the names of the format.
absl::StatusOr<std::string> MessageJson(absl::string_view json) {
  google::protobuf::Struct fields;
  absl::Status status = FromJson(kRerankerFile, json, &fields);
  if (!status.ok()) return status;
  AddPrefix("normalization", kNormalizationPrefix, &fields);
  // proto3's JSON form has two names for a field.
  for (const char* name : {"minimum_bayes_risk", "minimumBayesRisk"}) {
    const auto risk = fields.mutable_fields()->find(name);
    if (risk == fields.mutable_fields()->end()) continue;
    if (!risk->second.has_struct_value()) continue;
    AddPrefix("utility", kUtilityPrefix, risk->second.mutable_struct_value());
  }
  return ToJson(fields);
}

template <typename Value>
absl::Status Wrong(absl::string_view field, absl::string_view expected,
                   const Value& found) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": expected ", expected, ", found ", found));
}

absl::Status CheckIsFinite(absl::string_view field, double value) {
  if (std::isfinite(value)) return absl::OkStatus();
  return Wrong(field, "a finite number", value);
}

absl::Status CheckIsNotNegative(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Wrong(field, "a finite number of at least 0", value);
}

absl::Status CheckMembers(const lm::v1::Reranker& reranker) {
  if (reranker.members().empty()) return Wrong("members", "a member", "none");
  if (reranker.members_size() > kMostMembers) {
    return Wrong("members", absl::StrCat("at most ", kMostMembers),
                 reranker.members_size());
  }
  std::set<std::string> features;
  for (int i = 0; i < reranker.members_size(); ++i) {
    const lm::v1::RerankerMember& member = reranker.members(i);
    const std::string field = absl::StrCat("members[", i, "]");
    const absl::Status status = ParseModelName(member.model()).status();
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".model: ", status.message()));
    }
    for (const std::string& feature : FeatureNames(member)) {
      if (!member.feature().empty() && features.insert(feature).second) {
        continue;
      }
      return Wrong(absl::StrCat(field, ".feature"), "a unique, non-empty name",
                   absl::StrCat("'", absl::CHexEscape(member.feature()), "'"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckWeighting(const lm::v1::Reranker& reranker) {
  for (const auto& [name, weight] : reranker.weights()) {
    absl::Status status =
        CheckIsFinite(absl::StrCat("weights[", name, "]"), weight);
    if (!status.ok()) return status;
  }
  if (!lm::v1::Normalization_IsValid(reranker.normalization())) {
    return Wrong("normalization", "0 to 3", reranker.normalization());
  }
  const lm::v1::MinimumBayesRisk& risk = reranker.minimum_bayes_risk();
  if (!lm::v1::MinimumBayesRisk::Utility_IsValid(risk.utility())) {
    return Wrong("minimum_bayes_risk.utility", "0 to 2", risk.utility());
  }
  absl::Status status =
      CheckIsNotNegative("minimum_bayes_risk.scale", risk.scale());
  if (status.ok()) status = CheckIsNotNegative("alpha", reranker.alpha());
  return status;
}

std::vector<std::string> FeatureNames(const lm::v1::RerankerMember& member) {
  const std::string& name = member.feature();
  if (member.reverse()) return {name};
  return {name, absl::StrCat(name, ".unknown"), absl::StrCat(name, ".words"),
          absl::StrCat(name, ".end")};
}

std::map<std::string, double> FeatureWeights(const lm::v1::Reranker& reranker) {
  std::map<std::string, double> weights(reranker.weights().begin(),
                                        reranker.weights().end());
  if (!weights.empty()) return weights;
  for (const lm::v1::RerankerMember& member : reranker.members()) {
    weights[member.feature()] = 1;
  }
  return weights;
}

absl::StatusOr<lm::v1::Reranker> ParseReranker(absl::string_view json) {
  if (json.size() > kLargestFile) {
    return absl::DataLossError(
        absl::StrCat(kRerankerFile, ": size: expected at most ", kLargestFile,
                     ", found ", json.size()));
  }
  const absl::StatusOr<std::string> message = MessageJson(json);
  if (!message.ok()) return message.status();
  lm::v1::Reranker reranker;
  absl::Status status = FromJson(kRerankerFile, *message, &reranker);
  if (!status.ok()) return status;
  status = CheckMembers(reranker);
  if (status.ok()) status = CheckWeighting(reranker);
  if (status.ok()) return reranker;
  return absl::DataLossError(
      absl::StrCat(kRerankerFile, ": ", status.message()));
}

// Text in a string of JSON has no unescaped quote, so what is replaced is the
// name of a field and the beginning of its value.
std::string RerankerJson(const lm::v1::Reranker& reranker) {
  const std::string normalization = "\"normalization\": \"";
  const std::string utility = "\"utility\": \"";
  return absl::StrReplaceAll(
      ToJson(reranker),
      {{absl::StrCat(normalization, kNormalizationPrefix), normalization},
       {absl::StrCat(utility, kUtilityPrefix), utility}});
}

std::vector<std::pair<std::string, uint64_t>> FixedMembers(
    const lm::v1::Reranker& reranker) {
  std::vector<std::pair<std::string, uint64_t>> members;
  for (const lm::v1::RerankerMember& member : reranker.members()) {
    const absl::StatusOr<ModelName> name = ParseModelName(member.model());
    if (name.ok() && name->version != 0) {
      members.emplace_back(name->name, name->version);
    }
  }
  return members;
}

}  // namespace lmserve
