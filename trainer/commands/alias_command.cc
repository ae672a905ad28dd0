// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer alias: gives a version another name, or removes the name.

#include <iostream>
#include <memory>

#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"

namespace lmserve {
namespace {

struct AliasOptions {
  ModelOptions model;
  std::string alias;
  bool remove = false;
};

absl::Status Remove(const AliasOptions& options) {
  absl::Status status =
      RemoveAlias(options.model.store, options.model.model, options.alias);
  if (!status.ok()) return status;
  std::cout << "removed " << options.model.model << "@" << options.alias
            << std::endl;
  return absl::OkStatus();
}

absl::Status RunAlias(const AliasOptions& options) {
  if (options.remove) return Remove(options);
  const absl::StatusOr<uint64_t> version =
      FindVersion(options.model.store, options.model.model);
  if (!version.ok()) return version.status();
  const std::string name = ParseModelName(options.model.model)->name;
  absl::Status status =
      SetAlias(options.model.store, name, options.alias, *version);
  if (!status.ok()) return status;
  std::cout << name << "@" << options.alias << " = "
            << VersionName(name, *version) << std::endl;
  return absl::OkStatus();
}

}  // namespace

void AddAliasCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<AliasOptions>();
  cli::App& command = *app.add_subcommand(
      "alias",
      "Set an alias of a version, as in en@stable, or remove one. An alias "
      "that exists is moved. The alias default is what NAME alone means.\n"
      "  lm_trainer alias stable --store store --model en@3\n"
      "  lm_trainer alias stable --remove --store store --model en");
  command
      .add_option("alias", options->alias,
                  "Letters, digits, '.', '_' and '-'; not only digits")
      ->required();
  command.add_flag("--remove", options->remove,
                   "Remove the alias; --model is then a name");
  AddSourceOptions(command, &options->model);
  command.callback([=] { *action = [=] { return RunAlias(*options); }; });
}

}  // namespace lmserve
