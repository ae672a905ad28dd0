// SPDX-License-Identifier: Apache-2.0
#include "client/admin.h"

#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

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
                  "Admin address of the server: HOST:PORT or unix:PATH")
      ->envname("LMSERVE_ADMIN")
      ->check(CheckAddress)
      ->capture_default_str();
}

Client ConnectToAdmin(const std::string& address, const CommonOptions& common) {
  ClientOptions options = common.client;
  options.address = address;
  return Client(options);
}

void PrintResult(const CommonOptions& common, const std::string& text,
                 const nlohmann::ordered_json& json) {
  std::cout << (common.json ? json.dump() : text) << "\n";
}

}  // namespace lmserve
