// SPDX-License-Identifier: Apache-2.0
//
// lm_store export-oci: writes a version as an image for registries.

#include <iostream>
#include <memory>
#include <string>

#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "remote_store/command.h"
#include "remote_store/export_oci.h"
#include "remote_store/remote_options.h"
#include "remote_store/stop_signals.h"

namespace lmserve {
namespace {

struct ExportOciOptions {
  std::string store;
  std::string model;
  std::string layout;
};

absl::Status RunExportOci(const ExportOciOptions& options) {
  StopSignals signals;
  const Pause pause = [&](auto duration) { return signals.Wait(duration); };
  const absl::StatusOr<uint64_t> version =
      FindVersion(options.store, options.model);
  if (!version.ok()) return version.status();
  const std::string name = ParseModelName(options.model)->name;
  absl::Status status =
      ExportOci(options.store, name, *version, options.layout, pause);
  if (!status.ok()) return status;
  std::cout << options.layout << ":" << *version << std::endl;
  return absl::OkStatus();
}

}  // namespace

void AddExportOciCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ExportOciOptions>();
  cli::App& command = *app.add_subcommand(
      "export-oci",
      "Write a version as an image in the OCI layout, whose tag is its number, "
      "and print LAYOUT:TAG. A registry keeps the image, and Kubernetes mounts "
      "it as a volume, in which the folder models is a store. The same version "
      "always gives the same digest.\n"
      "  lm_store export-oci store en@3 en.oci\n"
      "  skopeo copy --preserve-digests oci:en.oci:3 "
      "docker://registry.example.org/en:3");
  AddStoreOption(command, &options->store);
  command
      .add_option("MODEL", options->model, "NAME, NAME@VERSION or NAME@ALIAS")
      ->required();
  command
      .add_option("LAYOUT", options->layout,
                  "The directory to write; must not exist")
      ->required();
  command.callback([=] { *action = [=] { return RunExportOci(*options); }; });
}

}  // namespace lmserve
