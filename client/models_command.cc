// SPDX-License-Identifier: Apache-2.0
//
// lm_client models: lists the models of the server.

#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/command.h"
#include "client/output.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// The most bytes of a reason that are printed.
constexpr size_t kReasonBytes = 4096;

// Returns what is not loaded: a version, the directory or the aliases of
// a model, or the store.
std::string NameOf(const lm::v1::RefusedVersion& refused) {
  const std::string name = Printable(refused.name());
  if (name.empty()) return "the store";
  if (refused.version() == 0) return absl::StrCat("changes of model ", name);
  return absl::StrCat(name, "@", refused.version());
}

void Print(const lm::v1::ListModelsResponse& response) {
  TextTable table({"model", "version", "family", "words", "bytes", "aliases"});
  for (const lm::v1::ModelInfo& model : response.models()) {
    std::vector<std::string> aliases(model.aliases().begin(),
                                     model.aliases().end());
    if (model.is_shortened()) aliases.push_back("...");
    if (model.is_default()) aliases.insert(aliases.begin(), "(default)");
    table.Add({model.name(), absl::StrCat(model.version()), model.family(),
               absl::StrCat(model.vocabulary_size()),
               absl::StrCat(model.file_bytes()), absl::StrJoin(aliases, " ")});
  }
  std::cout << table.ToString();
  for (const lm::v1::ModelVersion& loading : response.loading()) {
    std::cout << "loading " << Printable(loading.name()) << "@"
              << loading.version() << "\n";
  }
  const auto print = [](const auto& versions, absl::string_view what) {
    for (const lm::v1::RefusedVersion& version : versions) {
      std::cout << what << " " << NameOf(version) << ": "
                << Printable(version.reason(), kReasonBytes) << "\n";
    }
  };
  print(response.incomplete(), "incomplete");
  print(response.refused(), "refused");
}

nlohmann::ordered_json ToJson(const lm::v1::ModelInfo& model) {
  return {
      {"name", model.name()},
      {"version", model.version()},
      {"default", model.is_default()},
      {"aliases", std::vector<std::string>(model.aliases().begin(),
                                           model.aliases().end())},
      {"family", model.family()},
      {"bidirectional", model.bidirectional()},
      {"translation", model.translation()},
      {"tagger", model.tagger()},
      {"classifier", model.classifier()},
      {"labels",
       std::vector<std::string>(model.labels().begin(), model.labels().end())},
      {"embedding_dimensions", model.embedding_dimensions()},
      {"properties", std::map<std::string, std::string>(
                         model.properties().begin(), model.properties().end())},
      {"vocabulary_size", model.vocabulary_size()},
      {"state_bytes", model.state_bytes()},
      {"file_bytes", model.file_bytes()},
      {"load_seconds", model.load_seconds()}};
}

nlohmann::ordered_json ToJson(
    const google::protobuf::RepeatedPtrField<lm::v1::RefusedVersion>&
        versions) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const lm::v1::RefusedVersion& version : versions) {
    json.push_back({{"name", version.name()},
                    {"version", version.version()},
                    {"reason", version.reason()}});
  }
  return json;
}

void PrintJson(const lm::v1::ListModelsResponse& response) {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const lm::v1::ModelInfo& model : response.models()) {
    models.push_back(ToJson(model));
  }
  nlohmann::ordered_json loading = nlohmann::ordered_json::array();
  for (const lm::v1::ModelVersion& version : response.loading()) {
    loading.push_back(
        {{"name", version.name()}, {"version", version.version()}});
  }
  const nlohmann::ordered_json json = {
      {"models", models},
      {"refused", ToJson(response.refused())},
      {"loading", loading},
      {"incomplete", ToJson(response.incomplete())}};
  std::cout << DumpJson(json) << "\n";
}

absl::StatusOr<bool> RunModels(const CommonOptions& common) {
  const auto response = Client(common.client).ListModels();
  if (!response.ok()) return response.status();
  common.json ? PrintJson(*response) : Print(*response);
  return true;
}

}  // namespace

void AddModelsCommand(cli::App& app, CommandFunction* run) {
  cli::App& command =
      *app.add_subcommand("models",
                          "List the models of the server, the versions that it "
                          "refused to load, those it is loading, and those "
                          "that someone is still copying to its store.\n"
                          "  lm_client models");
  command.callback([=] { *run = RunModels; });
}

}  // namespace lmserve
