// lm_client load, unload and alias: change which models the server has, through
// its admin address. They share a file because they share their options.

#include <iostream>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct Options {
  std::string admin = "localhost:50052";
  std::string model;
  std::string alias;
  std::optional<uint64_t> expected;  // the version of the alias before
  bool remove = false;
};

// A version of a model, NAME or NAME@VERSION on the command line.
struct ModelVersion {
  std::string name;
  uint64_t version = 0;  // 0 if not given
};

ModelVersion ParseVersion(const std::string& text) {
  const size_t at = text.find('@');
  ModelVersion model = {text.substr(0, at)};
  if (at != std::string::npos) {
    (void)absl::SimpleAtoi(text.substr(at + 1), &model.version);
  }
  return model;
}

// CheckVersion and CheckModel return what is wrong with an argument, or "" if
// nothing is.
std::string CheckVersion(const std::string& text) {
  if (ParseVersion(text).version > 0) return "";
  return absl::StrCat("expected NAME@VERSION, found '", text, "'");
}

std::string CheckModel(const std::string& text) {
  const bool bare = text.find('@') == std::string::npos;
  if (bare && !text.empty()) return "";
  return CheckVersion(text).empty()
             ? ""
             : absl::StrCat("expected NAME or NAME@VERSION, found '", text,
                            "'");
}

// Returns a request with the name and the version of a model.
template <typename Request>
Request MakeRequest(const ModelVersion& model) {
  Request request;
  request.set_name(model.name);
  request.set_version(model.version);
  return request;
}

Client Connect(const Options& options, const CommonOptions& common) {
  ClientOptions client = common.client;
  client.address = options.admin;
  return Client(client);
}

// Prints the result of a command, as text or, with --json, as JSON.
void Print(const CommonOptions& common, const std::string& text,
           const nlohmann::ordered_json& json) {
  std::cout << (common.json ? json.dump() : text) << "\n";
}

absl::StatusOr<bool> RunLoad(const Options& options,
                             const CommonOptions& common) {
  const auto response = Connect(options, common)
                            .LoadModel(MakeRequest<lm::v1::LoadModelRequest>(
                                ParseVersion(options.model)));
  if (!response.ok()) return response.status();
  const lm::v1::ModelInfo& info = response->model();
  Print(common,
        absl::StrFormat("loaded %s@%d in %.3f s", info.name(), info.version(),
                        info.load_seconds()),
        {{"name", info.name()},
         {"version", info.version()},
         {"load_seconds", info.load_seconds()}});
  return true;
}

absl::StatusOr<bool> RunUnload(const Options& options,
                               const CommonOptions& common) {
  const ModelVersion model = ParseVersion(options.model);
  const auto response =
      Connect(options, common)
          .UnloadModel(MakeRequest<lm::v1::UnloadModelRequest>(model));
  if (!response.ok()) return response.status();
  Print(common, absl::StrCat("unloaded ", options.model),
        {{"name", model.name}, {"version", model.version}});
  return true;
}

absl::StatusOr<bool> RunAlias(const Options& options,
                              const CommonOptions& common) {
  ModelVersion model = ParseVersion(options.model);
  if (options.remove) model.version = 0;
  auto request = MakeRequest<lm::v1::SetAliasRequest>(model);
  request.set_alias(options.alias);
  if (options.expected) request.set_expected_version(*options.expected);
  const auto response = Connect(options, common).SetAlias(request);
  if (!response.ok()) return response.status();
  const std::string alias = absl::StrCat(model.name, "@", options.alias);
  Print(common,
        options.remove ? absl::StrCat("removed ", alias)
                       : absl::StrCat(alias, " = ", options.model),
        {{"name", model.name},
         {"alias", options.alias},
         {"version", request.version()}});
  return true;
}

using AdminFunction = absl::StatusOr<bool> (*)(const Options&,
                                               const CommonOptions&);

// Adds a command that calls `function`, with the options that all three share.
CLI::App& AddCommand(CLI::App& app, const std::string& name,
                     const std::string& help, CommandFunction* run,
                     AdminFunction function,
                     const std::shared_ptr<Options>& options) {
  CLI::App& command = *app.add_subcommand(name, help);
  command
      .add_option("--admin", options->admin,
                  "Admin address of the server: HOST:PORT or unix:PATH")
      ->envname("LMSERVE_ADMIN")
      ->check(CheckAddress)
      ->capture_default_str();
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return function(*options, common);
    };
  });
  return command;
}

}  // namespace

void AddLoadCommand(CLI::App& app, CommandFunction* run) {
  const auto options = std::make_shared<Options>();
  AddCommand(
      app, "load",
      "Load a version of a model and keep it loaded; the newest one if only "
      "the name is given.\n"
      "  lm_client load en@3",
      run, RunLoad, options)
      .add_option("model", options->model, "NAME or NAME@VERSION")
      ->required()
      ->check(CheckModel);
}

void AddUnloadCommand(CLI::App& app, CommandFunction* run) {
  const auto options = std::make_shared<Options>();
  AddCommand(app, "unload",
             "Unload a version until it is loaded again or a newer one is "
             "published.\n  lm_client unload en@3",
             run, RunUnload, options)
      .add_option("model", options->model, "NAME@VERSION")
      ->required()
      ->check(CheckVersion);
}

void AddAliasCommand(CLI::App& app, CommandFunction* run) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = AddCommand(app, "alias",
                                 "Load a version and point an alias to it.\n"
                                 "  lm_client alias en@3 stable --expect 2",
                                 run, RunAlias, options);
  command
      .add_option("model", options->model, "NAME@VERSION; with --remove, NAME")
      ->required();
  command.add_option("alias", options->alias, "The alias, such as stable")
      ->required();
  command.add_option(
      "--expect", options->expected,
      "Change the alias only if it points to this version now; 0 if "
      "it must not exist yet");
  command.add_flag("--remove", options->remove, "Remove the alias");
  command.parse_complete_callback([=] {
    const std::string problem =
        options->remove ? "" : CheckVersion(options->model);
    if (!problem.empty()) throw CLI::ValidationError("model", problem);
  });
}

}  // namespace lmserve
