// SPDX-License-Identifier: Apache-2.0
//
// lm_client load: loads a version of a model.

#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "client/admin.h"
#include "client/command.h"

namespace lmserve {
namespace {

struct LoadOptions {
  std::string admin;
  std::string model;
};

absl::StatusOr<bool> RunLoad(const LoadOptions& options,
                             const CommonOptions& common) {
  const VersionArgument model = ParseVersion(options.model);
  lm::v1::LoadModelRequest request;
  request.set_name(model.name);
  request.set_version(model.version);
  const absl::StatusOr<ClientOptions> admin =
      AdminOptions(options.admin, common);
  if (!admin.ok()) return admin.status();
  const auto response = Client(*admin).LoadModel(request);
  if (!response.ok()) return AtAddress(*admin, response.status());
  const lm::v1::ModelInfo& info = response->model();
  PrintResult(common,
              absl::StrFormat("loaded %s@%d in %.3f s", info.name(),
                              info.version(), info.load_seconds()),
              {{"name", info.name()},
               {"version", info.version()},
               {"load_seconds", info.load_seconds()}});
  return true;
}

}  // namespace

void AddLoadCommand(cli::App& app, CommandFunction* run) {
  const auto options = std::make_shared<LoadOptions>();
  cli::App& command =
      *app.add_subcommand("load",
                          "Load a version of a model and keep it loaded; the "
                          "newest one if only the name is given.\n"
                          "  lm_client load en@3");
  AddAdminOption(command, &options->admin);
  command.add_option("model", options->model, "NAME or NAME@VERSION")
      ->required()
      ->check(CheckModel);
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunLoad(*options, common);
    };
  });
}

}  // namespace lmserve
