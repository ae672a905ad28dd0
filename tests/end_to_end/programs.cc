// SPDX-License-Identifier: Apache-2.0
#include "tests/end_to_end/programs.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lmserve {

Arguments Command(absl::string_view program, const Arguments& arguments) {
  Arguments command = {absl::StrCat(LMSERVE_PROGRAMS, "/", program)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

Outcome RunTrainer(const Arguments& arguments, absl::string_view input) {
  return RunProgram(Command("lm_trainer", arguments), input);
}

namespace {

Arguments ServerArguments(const std::string& store,
                          const Arguments& more_arguments,
                          const std::string& listen) {
  // Several servers run at the same time, so none listens on the default admin
  // address unless a test asks for it.
  Arguments arguments = {"--store",        store, "--listen", listen,
                         "--admin-listen", ""};
  arguments.insert(arguments.end(), more_arguments.begin(),
                   more_arguments.end());
  return arguments;
}

}  // namespace

ServerProcess::ServerProcess(const std::string& store,
                             const Arguments& more_arguments,
                             const std::string& listen)
    : process_(Command("lm_server",
                       ServerArguments(store, more_arguments, listen))) {
  std::string line;
  if (!process_.ReadLine(&line)) return;
  absl::string_view address = line;
  if (absl::ConsumePrefix(&address, "listening on ")) {
    address_ = std::string(address);
    return;
  }
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (json.contains("listening")) address_ = json["listening"];
}

Outcome ServerProcess::Client(const Arguments& arguments,
                              absl::string_view input) {
  return RunProgram(ClientCommand(*this, arguments), input);
}

Arguments ClientCommand(const ServerProcess& server,
                        const Arguments& arguments) {
  Arguments all = {"--server", server.address()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Command("lm_client", all);
}

std::string SourcePath(absl::string_view name) {
  return absl::StrCat(LMSERVE_SOURCES, "/", name);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void WriteText(const std::string& path, absl::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), text.size());
  if (!file.flush()) std::abort();
}

}  // namespace lmserve
