// lm_client: asks lm_server from the command line.

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
#include "client/command.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

// The text of a file; CLI11 has checked that there is one.
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void AddSecurityOptions(CLI::App& app, lmserve::CommonOptions* common) {
  // What is said of an encrypted connection makes it one.
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
        ->check(CLI::ExistingFile)
        ->group("Security");
  };
  app.add_flag_callback(
         "--tls", [=] { tls(); },
         "Encrypt the connection; the roots are the system's")
      ->group("Security");
  add("--tls-ca", "LMSERVE_TLS_CA", &lmserve::ClientTls::root,
      "File of the roots to trust, in PEM; encrypts the connection");
  add("--tls-certificate", "LMSERVE_TLS_CERTIFICATE",
      &lmserve::ClientTls::certificate,
      "File of the client's own certificate, in PEM");
  add("--tls-key", "LMSERVE_TLS_KEY", &lmserve::ClientTls::key,
      "File of its key, in PEM");
  app.add_option_function<std::string>(
         "--tls-server-name",
         [=](const std::string& name) { tls().server_name = name; },
         "Name in the server's certificate, where it is not that of the "
         "address; encrypts the connection")
      ->envname("LMSERVE_TLS_SERVER_NAME")
      ->group("Security");
  app.add_option_function<std::string>(
         "--token-file",
         [common](const std::string& path) {
           common->client.token =
               std::string(absl::StripAsciiWhitespace(ReadFile(path)));
         },
         "File of the token that the server knows the client by")
      ->envname("LMSERVE_TOKEN_FILE")
      ->check(CLI::ExistingFile)
      ->group("Security");
}

void AddCommonOptions(CLI::App& app, lmserve::CommonOptions* common) {
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
           common->client.stream_deadline = common->client.deadline;
         },
         "Seconds a call may take [10, loading: 600, streams: no limit]")
      ->check(CLI::Range(0.001, 86400.0));
  AddSecurityOptions(app, common);
  app.add_flag("--json", common->json,
               "Print JSON, an object a line, for machines");
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// What a person can do about a command line that is wrong.
std::string WrongUse(const CLI::App& app, const CLI::ParseError& error) {
  const auto commands = app.get_subcommands();
  const std::vector<std::string> unknown = app.remaining();
  return absl::StrCat(
      "lm_client: ",
      commands.empty() && !unknown.empty()
          ? absl::StrCat("no command or option '", unknown[0], "'")
          : FirstLine(error.what()),
      " (see lm_client", commands.empty() ? "" : " ",
      commands.empty() ? "" : commands[0]->get_name(), " --help)");
}

}  // namespace

// What CLI11 throws besides ParseError is a mistake of this program.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);                  // a closed pipe is a failed write
  google::protobuf::SetLogHandler(nullptr);  // the server tells what is wrong
  CLI::App app("Asks a language model server.", "lm_client");
  app.set_version_flag("--version",
                       std::string("lm_client ") + LMSERVE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  lmserve::CommonOptions common;
  AddCommonOptions(app, &common);
  lmserve::Work work;
  lmserve::AddScoreCommand(app, &work);
  lmserve::AddPredictCommand(app, &work);
  lmserve::AddRerankCommand(app, &work);
  lmserve::AddGenerateCommand(app, &work);
  lmserve::AddTranslateCommand(app, &work);
  lmserve::AddModelsCommand(app, &work);
  lmserve::AddHealthCommand(app, &work);
  lmserve::AddLoadCommand(app, &work);
  lmserve::AddUnloadCommand(app, &work);
  lmserve::AddAliasCommand(app, &work);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "%s\n", WrongUse(app, error).c_str());
    return kWrongUse;
  }
  const absl::StatusOr<bool> yes = work(common);
  if (yes.ok()) return *yes ? 0 : kFailed;
  std::fprintf(stderr, "lm_client: %s: %s\n",
               absl::StatusCodeToString(yes.status().code()).c_str(),
               FirstLine(std::string(yes.status().message())).c_str());
  return kFailed;
}
