// SPDX-License-Identifier: Apache-2.0
#include "client/admin.h"

#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/output.h"

namespace lmserve {

VersionArgument ParseVersion(const std::string& text) {
  const size_t at = text.find('@');
  VersionArgument model = {text.substr(0, at)};
  if (at != std::string::npos) {
    (void)absl::SimpleAtoi(text.substr(at + 1), &model.version);
  }
  return model;
}

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

void AddAdminOption(cli::App& command, std::string* address) {
  command
      .add_option("--admin", *address,
                  "Admin address of the server: HOST:PORT or unix:PATH; "
                  "required with --server, which is another address of it")
      ->envname("LMSERVE_ADMIN")
      ->check(CheckAddress)
      ->default_str(kDefaultAdminAddress);
}

absl::StatusOr<ClientOptions> AdminOptions(const std::string& address,
                                           const CommonOptions& common) {
  ClientOptions options = common.client;
  if (address.empty() && options.address != ClientOptions().address) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--admin: expected the admin address of the server, because --server ",
        options.address, " is another address of it; found none"));
  }
  options.address = address.empty() ? kDefaultAdminAddress : address;
  options.health_service.clear();  // this address knows no models
  return options;
}

absl::Status AtAddress(const ClientOptions& options,
                       const absl::Status& status) {
  return absl::Status(
      status.code(),
      absl::StrCat("admin address ", options.address, ": ", status.message()));
}

void PrintResult(const CommonOptions& common, const std::string& text,
                 const nlohmann::ordered_json& json) {
  std::cout << (common.json ? DumpJson(json) : text) << "\n";
}

}  // namespace lmserve
