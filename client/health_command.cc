// SPDX-License-Identifier: Apache-2.0
//
// lm_client health: reports whether the server or one of its models serves.

#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/output.h"

namespace lmserve {
namespace {

absl::StatusOr<bool> RunHealth(const std::string& service,
                               const CommonOptions& common) {
  ClientOptions options = common.client;
  if (options.attempts == 0) options.attempts = 1;  // a probe does not wait
  const absl::StatusOr<bool> serving = Client(options).Health(service);
  if (absl::IsNotFound(serving.status())) {
    return absl::NotFoundError(
        absl::StrCat("the server has no model '", service, "'"));
  }
  if (!serving.ok()) return serving.status();
  const std::string text = *serving ? "SERVING" : "NOT_SERVING";
  if (common.json) {
    std::cout << nlohmann::ordered_json{{"status", text}}.dump() << "\n";
  } else {
    std::cout << text << "\n";
  }
  return *serving;
}

}  // namespace

void AddHealthCommand(cli::App& app, CommandFunction* run) {
  auto service = std::make_shared<std::string>();
  cli::App& command =
      *app.add_subcommand("health",
                          "Report whether the server or one of its models is "
                          "serving; the exit code is 0 if it is. Asks once "
                          "unless --attempts is given.\n"
                          "  lm_client health en");
  command.add_option("model", *service,
                     "Name of a model [the server as a whole]");
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunHealth(*service, common);
    };
  });
}

}  // namespace lmserve
