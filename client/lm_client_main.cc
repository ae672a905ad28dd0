// SPDX-License-Identifier: Apache-2.0
//
// lm_client: calls lm_server from the command line.

#include <google/protobuf/stubs/logging.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
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

// Returns what is wrong with an entry of the metadata, or an empty string. gRPC
// itself would end the process.
std::string CheckMetadata(const std::string& entry) {
  const size_t equals = entry.find('=');
  const std::string name = entry.substr(0, equals);
  const bool is_name =
      !name.empty() && !absl::StartsWith(name, "grpc-") &&
      !absl::EndsWith(name, "-bin") &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
          std::string::npos;
  const bool is_value =
      equals != std::string::npos &&
      std::all_of(entry.begin() + static_cast<int64_t>(equals), entry.end(),
                  [](char c) { return c >= ' ' && c <= '~'; });
  if (is_name && is_value) return "";
  return absl::StrCat(
      "expected NAME=VALUE with a name in lower case that does not begin with "
      "grpc- or end with -bin, and a value of ASCII characters, found '",
      lmserve::Printable(entry), "'");
}

// Returns a function that checks that a file is PEM with a part of this label;
// gRPC's own messages do not name the file.
std::function<std::string(const std::string&)> HasPem(
    const std::string& label) {
  return [label](const std::string& path) -> std::string {
    std::ifstream file(path, std::ios::binary);
    if (!file) return absl::StrCat("cannot open the file ", path);
    if (absl::StrContains(ReadFile(path), absl::StrCat(label, "-----"))) {
      return "";
    }
    return absl::StrCat("expected PEM with a ", label, ", found none in ",
                        path);
  };
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
                       const std::string& label, const std::string& what) {
    app.add_option_function<std::string>(
           name, [=](const std::string& path) { tls().*text = ReadFile(path); },
           what)
        ->envname(variable)
        ->check(HasPem(label))
        ->group("Security");
  };
  app.add_flag_callback(
         "--tls", [=] { tls(); },
         "Encrypt the connection; trusts the system's root certificates "
         "unless --tls-ca is given")
      ->group("Security");
  add("--tls-ca", "LMSERVE_TLS_CA", &lmserve::ClientTls::root, "CERTIFICATE",
      "PEM file of the root certificates to trust; implies --tls");
  add("--tls-certificate", "LMSERVE_TLS_CERTIFICATE",
      &lmserve::ClientTls::certificate, "CERTIFICATE",
      "PEM file of the client's own certificate, if the server requires one; "
      "implies --tls");
  add("--tls-key", "LMSERVE_TLS_KEY", &lmserve::ClientTls::key, "PRIVATE KEY",
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

// Adds the options that are sent as metadata.
void AddCallOptions(lmserve::cli::App& app, lmserve::CommonOptions* common) {
  app.add_option_function<std::string>(
         "--priority",
         [common](const std::string& name) {
           common->client.priority = name == "bulk"
                                         ? lmserve::CallPriority::kBulk
                                         : lmserve::CallPriority::kInteractive;
         },
         "interactive or bulk: a busy server does the work of interactive "
         "calls first [bulk to score, otherwise interactive]")
      ->check(lmserve::cli::IsMember({"interactive", "bulk"}));
  app.add_option("--metadata", common->metadata,
                 "Metadata to send with each call, NAME=VALUE, such as "
                 "x-request-id=17; may be given several times")
      ->check(CheckMetadata)
      ->allow_extra_args(false);
}

// Splits NAME=VALUE; see CheckMetadata().
std::pair<std::string, std::string> SplitMetadata(const std::string& entry) {
  const size_t equals = entry.find('=');
  return {entry.substr(0, equals), entry.substr(equals + 1)};
}

void AddCommonOptions(lmserve::cli::App& app, lmserve::CommonOptions* common) {
  app.add_option("--server", common->client.address,
                 "Address of the server: HOST:PORT or unix:PATH; or "
                 "dns:///HOST:PORT, which spreads calls over all addresses of "
                 "the name")
      ->envname("LMSERVE_SERVER")
      ->check(lmserve::CheckAddress)
      ->capture_default_str();
  app.add_option("--health-service", common->client.health_service,
                 "Send calls only to those addresses of --server that report "
                 "this as SERVING: the name of a model, or another name of "
                 "lm_client health [all addresses]")
      ->envname("LMSERVE_HEALTH_SERVICE");
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
  app.add_option("--attempts", common->client.attempts,
                 "How many times a call is tried while the server is not "
                 "reachable or too busy; 0: as many as the time limit allows; "
                 "without a limit, for 10 seconds")
      ->check(lmserve::cli::Range(0, 1'000'000))
      ->capture_default_str();
  AddCallOptions(app, common);
  AddSecurityOptions(app, common);
  app.add_flag("--json", common->json, "Print JSON, one object per line");
}

// The most bytes of an error of the server that are printed.
constexpr size_t kMaxErrorBytes = 4096;

// Returns the error as it is printed. If no server answers, it says what may be
// wrong.
std::string Explain(const absl::Status& error,
                    const lmserve::ClientOptions& options) {
  std::string text =
      absl::StrCat(absl::StatusCodeToString(error.code()), ": ",
                   lmserve::Printable(error.message(), kMaxErrorBytes));
  if (absl::IsUnauthenticated(error)) {
    return absl::StrCat(text, " (see --token-file)");
  }
  const bool is_unreachable =
      absl::IsUnavailable(error) &&
      (absl::StrContains(error.message(), "connect") ||
       absl::StrContains(error.message(), "Socket closed") ||
       absl::StrContains(error.message(), "address list"));
  if (!is_unreachable) return text;
  absl::StrAppend(&text, " (is lm_server running at ", options.address);
  if (!options.health_service.empty()) {
    absl::StrAppend(&text, ", with ", options.health_service, " SERVING");
  }
  absl::StrAppend(&text, options.tls.has_value()
                             ? " with TLS, and with a certificate that "
                               "--tls-ca signed for this name? Otherwise see "
                               "--tls-server-name)"
                             : ", without TLS? Otherwise use --tls-ca)");
  return text;
}

}  // namespace

// Any other exception of CLI11 than ParseError is a bug in this program.
// NOLINTNEXTLINE(bugprone-exception-escape)
int main(int argc, char** argv) {
  lmserve::OpenStandardStreams(argv);
  signal(SIGPIPE, SIG_DFL);  // a closed pipe ends the program, as it ends cat
  google::protobuf::SetLogHandler(nullptr);  // the server reports the errors
  lmserve::cli::App app(
      "Command-line client of lm_server, a language model server.",
      "lm_client");
  app.set_version_flag("--version", lmserve::kVersion);
  app.require_subcommand(1);
  app.fallthrough();
  lmserve::CommonOptions common;
  AddCommonOptions(app, &common);
  common.client.on_retry =
      [&common, reported = false](const absl::Status& error) mutable {
        if (std::exchange(reported, true)) return;
        std::fprintf(stderr, "lm_client: %s; trying again\n",
                     Explain(error, common.client).c_str());
      };
  lmserve::CommandFunction run;
  lmserve::AddScoreCommand(app, &run);
  lmserve::AddPredictCommand(app, &run);
  lmserve::AddRerankCommand(app, &run);
  lmserve::AddGenerateCommand(app, &run);
  lmserve::AddTranslateCommand(app, &run);
  lmserve::AddInspectCommand(app, &run);
  lmserve::AddEmbedCommand(app, &run);
  lmserve::AddTagCommand(app, &run);
  lmserve::AddClassifyCommand(app, &run);
  lmserve::AddVocabularyCommand(app, &run);
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
    std::fprintf(stderr, "%s\n", app.usage_error(error).c_str());
    return kUsageError;
  }
  for (const std::string& entry : common.metadata) {
    common.client.metadata.push_back(SplitMetadata(entry));
  }
  const absl::StatusOr<bool> result = run(common);
  if (result.ok() && !std::cout.flush()) {
    std::fprintf(stderr, "lm_client: cannot write to the standard output\n");
    return kFailed;
  }
  if (result.ok()) return *result ? 0 : kFailed;
  std::fprintf(stderr, "lm_client: %s\n",
               Explain(result.status(), common.client).c_str());
  return kFailed;
}
