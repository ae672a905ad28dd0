// SPDX-License-Identifier: Apache-2.0
//
// lm_client: calls lm_server from the command line.

#include <google/protobuf/stubs/logging.h>
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/command.h"
#include "command_line/cli.h"
#include "command_line/standard_streams.h"
#include "command_line/version.h"
#include "models/printable_text.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsageError = 2;

// Returns the contents of a file; CLI11 has checked that it exists.
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void AddSecurityOptions(lmserve::cli::App& app,
                        lmserve::CommonOptions* common) {
  // Returns the TLS settings; the first option that sets one turns TLS on.
  const auto tls = [common]() -> lmserve::ClientTls& {
    std::optional<lmserve::ClientTls>& tls = common->client.tls;
    return tls.has_value() ? *tls : tls.emplace();
  };
  const auto add = [&](const std::string& name, const std::string& variable,
                       std::string lmserve::ClientTls::*text,
                       const std::string& what) {
    app.add_option_function<std::string>(
           name, [=](const std::string& path) { tls().*text = ReadFile(path); },
           what)
        ->envname(variable)
        ->check(lmserve::cli::ExistingFile())
        ->group("Security");
  };
  app.add_flag_callback(
         "--tls", [=] { tls(); },
         "Encrypt the connection; trusts the system's root certificates "
         "unless --tls-ca is given")
      ->group("Security");
  add("--tls-ca", "LMSERVE_TLS_CA", &lmserve::ClientTls::root,
      "PEM file of the root certificates to trust; implies --tls");
  add("--tls-certificate", "LMSERVE_TLS_CERTIFICATE",
      &lmserve::ClientTls::certificate,
      "PEM file of the client's own certificate, if the server requires one; "
      "implies --tls");
  add("--tls-key", "LMSERVE_TLS_KEY", &lmserve::ClientTls::key,
      "PEM file of the private key of --tls-certificate; implies --tls");
  app.add_option_function<std::string>(
         "--tls-server-name",
         [=](const std::string& name) { tls().server_name = name; },
         "Name in the server's certificate, if it differs from the host of "
         "the address; implies --tls")
      ->envname("LMSERVE_TLS_SERVER_NAME")
      ->group("Security");
  app.add_option_function<std::string>(
         "--token-file",
         [common](const std::string& path) {
           const std::string bytes = ReadFile(path);
           common->client.token = std::string(absl::StripAsciiWhitespace(
               absl::StripPrefix(bytes, "\xEF\xBB\xBF")));  // a byte order mark
         },
         "File with the token that the server requires of clients")
      ->envname("LMSERVE_TOKEN_FILE")
      ->check(lmserve::cli::ExistingFile())
      ->group("Security");
}

void AddCommonOptions(lmserve::cli::App& app, lmserve::CommonOptions* common) {
  app.add_option("--server", common->client.address,
                 "Address of the server: HOST:PORT or unix:PATH")
      ->envname("LMSERVE_SERVER")
      ->check(lmserve::CheckAddress)
      ->capture_default_str();
  app.add_option_function<double>(
         "--deadline",
         [common](double seconds) {
           common->client.deadline =
               std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
           common->client.load_deadline = common->client.deadline;
           common->client.stream_deadline = common->client.deadline;
         },
         "Time limit of a call in seconds [10; to load, unload or alias "
         "models: 600; streams: none]")
      ->check(lmserve::cli::Range(0.001, 86400.0));
  AddSecurityOptions(app, common);
  app.add_flag("--json", common->json, "Print JSON, one object per line");
}

// The most bytes of an error of the server that are printed.
constexpr size_t kMaxErrorBytes = 4096;

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// Returns the error message for a wrong command line.
std::string UsageError(const lmserve::cli::App& app,
                       const lmserve::cli::ParseError& error) {
  const auto commands = app.get_subcommands();
  const std::vector<std::string> unknown = app.remaining();
  return absl::StrCat(
      "lm_client: ",
      commands.empty() && !unknown.empty()
          ? absl::StrCat("unknown command or option '", unknown[0], "'")
          : FirstLine(error.what()),
      " (see lm_client", commands.empty() ? "" : " ",
      commands.empty() ? "" : commands[0]->get_name(), " --help)");
}

}  // namespace

// Any other exception of CLI11 than ParseError is a bug in this program.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  lmserve::OpenStandardStreams(argv);
  signal(SIGPIPE, SIG_IGN);  // writing to a closed pipe fails with an error
  google::protobuf::SetLogHandler(nullptr);  // the server reports the errors
  lmserve::cli::App app(
      "Command-line client of lm_server, a language model server.",
      "lm_client");
  app.set_version_flag("--version", lmserve::kVersion);
  app.require_subcommand(1);
  app.fallthrough();
  lmserve::CommonOptions common;
  AddCommonOptions(app, &common);
  lmserve::CommandFunction run;
  lmserve::AddScoreCommand(app, &run);
  lmserve::AddPredictCommand(app, &run);
  lmserve::AddRerankCommand(app, &run);
  lmserve::AddGenerateCommand(app, &run);
  lmserve::AddTranslateCommand(app, &run);
  lmserve::AddModelsCommand(app, &run);
  lmserve::AddHealthCommand(app, &run);
  lmserve::AddLoadCommand(app, &run);
  lmserve::AddUnloadCommand(app, &run);
  lmserve::AddAliasCommand(app, &run);
  for (lmserve::cli::App* command : app.get_all_subcommands()) {
    command->footer("All commands also have the options of lm_client --help.");
  }
  try {
    app.parse(argc, argv);
  } catch (const lmserve::cli::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "%s\n", UsageError(app, error).c_str());
    return kUsageError;
  }
  const absl::StatusOr<bool> result = run(common);
  if (result.ok() && !std::cout.flush()) {
    std::fprintf(stderr, "lm_client: cannot write to the standard output\n");
    return kFailed;
  }
  if (result.ok()) return *result ? 0 : kFailed;
  std::fprintf(
      stderr, "lm_client: %s: %s\n",
      absl::StatusCodeToString(result.status().code()).c_str(),
      lmserve::Printable(result.status().message(), kMaxErrorBytes).c_str());
  return kFailed;
}
