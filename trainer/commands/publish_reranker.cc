// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/publish_reranker.h"

#include <algorithm>
#include <set>
#include <utility>

#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "reranking/bayes_risk.h"

namespace lmserve {
namespace {

// Parses MODEL or FEATURE=MODEL and finds the version in the store.
absl::StatusOr<lm::v1::RerankerMember> FindMember(const std::string& store,
                                                  const std::string& text,
                                                  bool reverse) {
  const size_t equals = text.rfind('=');
  const std::string model =
      equals == std::string::npos ? text : text.substr(equals + 1);
  const absl::StatusOr<uint64_t> version = FindVersion(store, model);
  if (!version.ok()) return version.status();
  lm::v1::RerankerMember member;
  member.set_model(VersionName(ParseModelName(model)->name, *version));
  member.set_feature(text.substr(0, equals));
  member.set_reverse(reverse);
  return member;
}

lm::v1::Normalization ParseNormalization(const std::string& name) {
  if (name == "mean") return lm::v1::NORMALIZATION_MEAN;
  return name == "power" ? lm::v1::NORMALIZATION_POWER
                         : lm::v1::NORMALIZATION_SUM;
}

absl::Status SetMinimumBayesRisk(const RerankerOptions& options,
                                 lm::v1::Reranker* reranker) {
  const absl::StatusOr<Utility> utility = ParseUtility(options.utility);
  if (!utility.ok()) return utility.status();
  lm::v1::MinimumBayesRisk& risk = *reranker->mutable_minimum_bayes_risk();
  risk.set_utility(*utility == Utility::kChrf
                       ? lm::v1::MinimumBayesRisk::UTILITY_CHRF
                       : lm::v1::MinimumBayesRisk::UTILITY_BLEU);
  risk.set_scale(options.scale);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<lm::v1::Reranker> StartReranker(const RerankerOptions& options) {
  lm::v1::Reranker reranker;
  if (options.model.empty()) return reranker;
  absl::Status status = CheckCanPublish(options.store, options.model);
  if (!status.ok()) return status;
  for (bool reverse : {false, true}) {
    for (const std::string& text :
         reverse ? options.reverse_members : options.members) {
      auto member = FindMember(options.store, text, reverse);
      if (!member.ok()) return member.status();
      *reranker.add_members() = *std::move(member);
    }
  }
  if (reranker.members().empty()) {
    return absl::InvalidArgumentError(
        "--model: expected a --member or --reverse-member, found none");
  }
  reranker.set_normalization(ParseNormalization(options.normalization));
  reranker.set_alpha(options.alpha);
  if (!options.utility.empty()) {
    status = SetMinimumBayesRisk(options, &reranker);
  }
  if (!status.ok()) return status;
  return reranker;
}

absl::Status SetWeights(absl::Span<const std::string> feature_names,
                        absl::Span<const double> weights,
                        lm::v1::Reranker* reranker,
                        std::vector<std::string>* left_out) {
  for (size_t f = 0; f < weights.size(); ++f) {
    if (weights[f] != 0) {
      (*reranker->mutable_weights())[feature_names[f]] = weights[f];
    }
  }
  const auto members = std::move(*reranker->mutable_members());
  reranker->clear_members();
  for (const lm::v1::RerankerMember& member : members) {
    const std::vector<std::string> features = FeatureNames(member);
    if (std::any_of(features.begin(), features.end(),
                    [&](const std::string& feature) {
                      return reranker->weights().count(feature) > 0;
                    })) {
      *reranker->add_members() = member;
    } else {
      left_out->push_back(member.model());
    }
  }
  if (!reranker->members().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "--member: expected at least one --member or --reverse-member whose "
      "weight is not 0, found none");
}

std::string NormalizationName(const lm::v1::Reranker& reranker) {
  if (reranker.normalization() == lm::v1::NORMALIZATION_MEAN) return "mean";
  return reranker.normalization() == lm::v1::NORMALIZATION_POWER ? "power"
                                                                 : "sum";
}

std::vector<std::string> OwnFeatures(const lm::v1::Reranker& reranker) {
  std::set<std::string> names;
  for (const auto& [name, weight] : reranker.weights()) names.insert(name);
  for (const lm::v1::RerankerMember& member : reranker.members()) {
    for (const std::string& name : FeatureNames(member)) names.erase(name);
  }
  return {names.begin(), names.end()};
}

absl::StatusOr<uint64_t> PublishReranker(
    const RerankerOptions& options, const lm::v1::Reranker& reranker,
    std::map<std::string, std::string> properties) {
  const std::string json = RerankerJson(reranker);
  NewVersion version;
  version.family = std::string(kRerankerFamily);
  version.properties = std::move(properties);
  version.files[std::string(kRerankerFile)] = json;
  return Publish(options.store, options.model, version);
}

void AddRerankerOptions(cli::App& command, RerankerOptions* options) {
  cli::Option* model = command.add_option(
      "--model", options->model,
      "Publish a reranker with the tuned weights under this name");
  cli::Option* store = command.add_option("--store", options->store,
                                          "Directory of the model store");
  model->needs(store);
  store->needs(model);
  command
      .add_option("--member", options->members,
                  "Model of the store that computed a feature of the lists: "
                  "MODEL if the feature has the model's name, else "
                  "FEATURE=MODEL; may be repeated")
      ->allow_extra_args(false)
      ->needs(model);
  command
      .add_option("--reverse-member", options->reverse_members,
                  "Like --member, for a translation model from the language of "
                  "the candidates to the language of the source")
      ->allow_extra_args(false)
      ->needs(model);
  command
      .add_option(
          "--normalization", options->normalization,
          "How the members' ln P in the lists were normalized: sum (not "
          "at all), mean (divided by the number of words) or power "
          "(divided by that number to the power of --alpha)")
      ->check(cli::IsMember({"sum", "mean", "power"}))
      ->capture_default_str()
      ->needs(model);
  command
      .add_option("--alpha", options->alpha,
                  "Exponent of --normalization power (default: 1)")
      ->check(cli::Range(0.0, 100.0))
      ->needs(model);
  cli::Option* utility =
      command
          .add_option("--minimum-bayes-risk", options->utility,
                      "Make the reranker choose the candidate most similar to "
                      "all others, in bleu or chrf, instead of the one with "
                      "the best score")
          ->check(cli::IsMember(UtilityNames()))
          ->needs(model);
  command
      .add_option("--scale", options->scale,
                  "Scale of the scores in --minimum-bayes-risk. The absolute "
                  "values of the weights sum to 1, so try 10 or more")
      ->check(cli::PositiveNumber())
      ->capture_default_str()
      ->needs(utility);
}

}  // namespace lmserve
