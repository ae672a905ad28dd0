// SPDX-License-Identifier: Apache-2.0
//
// lm_client alias: sets or removes an alias of a version.

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/admin.h"
#include "client/command.h"

namespace lmserve {
namespace {

struct AliasOptions {
  std::string admin;
  std::string model;
  std::string alias;
  std::optional<uint64_t> expected;  // the version of the alias before
  bool remove = false;
};

absl::StatusOr<bool> RunAlias(const AliasOptions& options,
                              const CommonOptions& common) {
  const VersionArgument model = ParseVersion(options.model);
  lm::v1::SetAliasRequest request;
  request.set_name(model.name);
  request.set_version(options.remove ? 0 : model.version);
  request.set_alias(options.alias);
  if (options.expected) request.set_expected_version(*options.expected);
  const absl::StatusOr<ClientOptions> admin =
      AdminOptions(options.admin, common);
  if (!admin.ok()) return admin.status();
  const auto response = Client(*admin).SetAlias(request);
  if (!response.ok()) return AtAddress(*admin, response.status());
  const std::string alias = absl::StrCat(model.name, "@", options.alias);
  PrintResult(common,
              options.remove ? absl::StrCat("removed ", alias)
                             : absl::StrCat(alias, " = ", options.model),
              {{"name", model.name},
               {"alias", options.alias},
               {"version", request.version()}});
  return true;
}

}  // namespace

void AddAliasCommand(cli::App& app, CommandFunction* run) {
  const auto options = std::make_shared<AliasOptions>();
  cli::App& command =
      *app.add_subcommand("alias",
                          "Load a version and point an alias to it.\n"
                          "  lm_client alias en@3 stable --expect 2");
  AddAdminOption(command, &options->admin);
  command
      .add_option("model", options->model, "NAME@VERSION; with --remove, NAME")
      ->required();
  command.add_option("alias", options->alias, "The alias, such as stable")
      ->required();
  command.add_option("--expect", options->expected,
                     "Change the alias only if it points to this version now; "
                     "0 if it must not exist yet");
  command.add_flag("--remove", options->remove, "Remove the alias");
  command.parse_complete_callback([=] {
    const std::string problem =
        options->remove ? "" : CheckVersion(options->model);
    if (!problem.empty()) throw cli::ValidationError("model", problem);
  });
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunAlias(*options, common);
    };
  });
}

}  // namespace lmserve
