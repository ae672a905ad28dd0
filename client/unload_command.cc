// SPDX-License-Identifier: Apache-2.0
//
// lm_client unload: unloads a version of a model.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/admin.h"
#include "client/command.h"

namespace lmserve {
namespace {

struct UnloadOptions {
  std::string admin;
  std::string model;
};

absl::StatusOr<bool> RunUnload(const UnloadOptions& options,
                               const CommonOptions& common) {
  const VersionArgument model = ParseVersion(options.model);
  lm::v1::UnloadModelRequest request;
  request.set_name(model.name);
  request.set_version(model.version);
  const absl::StatusOr<ClientOptions> admin =
      AdminOptions(options.admin, common);
  if (!admin.ok()) return admin.status();
  const auto response = Client(*admin).UnloadModel(request);
  if (!response.ok()) return AtAddress(*admin, response.status());
  PrintResult(common, absl::StrCat("unloaded ", options.model),
              {{"name", model.name}, {"version", model.version}});
  return true;
}

}  // namespace

void AddUnloadCommand(cli::App& app, CommandFunction* run) {
  const auto options = std::make_shared<UnloadOptions>();
  cli::App& command = *app.add_subcommand(
      "unload",
      "Unload a version until it is loaded again or a newer one is published.\n"
      "  lm_client unload en@3");
  AddAdminOption(command, &options->admin);
  command.add_option("model", options->model, "NAME@VERSION")
      ->required()
      ->check(CheckVersion);
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunUnload(*options, common);
    };
  });
}

}  // namespace lmserve
