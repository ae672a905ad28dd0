// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_ADMIN_H_
#define LMSERVE_CLIENT_ADMIN_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/command.h"
#include "command_line/cli.h"

// What the commands of lm_client have in common that change which models the
// server has: load, unload and alias.
namespace lmserve {

inline constexpr char kDefaultAdminAddress[] = "localhost:50052";

// A version of a model: NAME or NAME@VERSION on the command line.
struct VersionArgument {
  std::string name;
  uint64_t version = 0;  // 0 if not given
};

VersionArgument ParseVersion(const std::string& text);

// Returns what is wrong with NAME@VERSION, or "" if nothing is.
std::string CheckVersion(const std::string& text);

// Returns what is wrong with NAME or NAME@VERSION, or "" if nothing is.
std::string CheckModel(const std::string& text);

// Adds --admin, the address of the server for these commands. It stays empty if
// it is not given.
void AddAdminOption(cli::App& command, std::string* address);

// Returns the options for a client of the admin address; if it is empty, of
// kDefaultAdminAddress. INVALID_ARGUMENT if it is empty and --server names
// another server than the default: its admin address is not known, and no other
// server must be asked in its place.
absl::StatusOr<ClientOptions> AdminOptions(const std::string& address,
                                           const CommonOptions& common);

// Returns an error of a client with the address that it asked.
absl::Status AtAddress(const ClientOptions& options,
                       const absl::Status& status);

// Prints the result of a command as text or, with --json, as JSON.
void PrintResult(const CommonOptions& common, const std::string& text,
                 const nlohmann::ordered_json& json);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_ADMIN_H_
