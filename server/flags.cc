// SPDX-License-Identifier: Apache-2.0
#include "server/flags.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "model_store/model_name.h"
#include "model_store/version_policy.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// Returns what is wrong with an address to listen on, or an empty string.
std::string CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return "";
  const size_t colon = address.rfind(':');
  const bool is_ipv6 = address.find(':') != colon;  // needs brackets
  int port;
  if (colon != std::string::npos && colon > 0 &&
      (!is_ipv6 || (address[0] == '[' && address[colon - 1] == ']')) &&
      absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= 0 &&
      port <= 65535) {
    return "";
  }
  return absl::StrCat("expected HOST:PORT, [IPV6]:PORT or unix:PATH, found '",
                      address, "'");
}

// Whether only programs of this machine can reach an address.
bool IsOfThisMachine(absl::string_view address) {
  return absl::StartsWith(address, "unix:") ||
         absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "127.") ||
         absl::StartsWith(address, "[::1]:");
}

// Adds the option of an address that may be "none".
using AddressOption = std::function<cli::Option*(
    const std::string& name, std::string* address, const std::string& help)>;

// "none" is for the environment, where an empty variable counts as not set.
bool IsNoAddress(const std::string& address) {
  return address.empty() || address == "none";
}

std::string CheckOptionalAddress(const std::string& address) {
  return IsNoAddress(address) ? "" : CheckAddress(address);
}

std::string CheckPolicy(const std::string& text) {
  return std::string(ParseVersionPolicy(text).status().message());
}

// Permission bits have up to four octal digits, the first of which is 0.
std::string CheckSocketMode(const std::string& mode) {
  const size_t digits = mode.size();
  if (digits == 0 || (mode.find_first_not_of("01234567") == std::string::npos &&
                      (digits == 3 || (digits == 4 && mode[0] == '0')))) {
    return "";
  }
  return absl::StrCat("expected permissions such as 0660, found '", mode, "'");
}

std::string CheckPrintable(const std::string& text) {
  return Printable(text, text.size() + 16) == text
             ? ""
             : "expected UTF-8 without control characters";
}

std::string CheckModelNames(const std::string& names) {
  if (names.empty()) return "";
  for (absl::string_view name : absl::StrSplit(names, ',')) {
    const auto parsed = ParseModelName(name);
    if (!parsed.ok()) return std::string(parsed.status().message());
  }
  return "";
}

std::string CheckTcpAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) {
    return absl::StrCat("expected HOST:PORT or [IPV6]:PORT, found '", address,
                        "'");
  }
  return CheckOptionalAddress(address);
}

// Returns what is wrong with origins of web pages, or an empty string. "null"
// is the origin of any page in a sandbox.
std::string CheckOrigins(const std::string& origins) {
  if (origins.empty()) return "";
  for (absl::string_view origin : absl::StrSplit(origins, ',')) {
    const size_t slashes = origin.find("://");
    if (slashes == origin.npos || slashes == 0 ||
        origin.size() == slashes + 3 ||
        origin.find_first_of("/*?# ", slashes + 3) != origin.npos) {
      return absl::StrCat("expected an origin such as https://example.org, ",
                          "found '", origin, "'");
    }
  }
  return "";
}

void AddHttpFlags(cli::App& app, ServerFlags* flags,
                  const AddressOption& address_option) {
  address_option("--http-listen", &flags->server.http_listen,
                 "Address of the API over HTTP, in the form of --listen; none: "
                 "no HTTP")
      ->check(CheckOptionalAddress)
      ->group("HTTP");
  address_option("--http-admin-listen", &flags->server.http_admin_listen,
                 "Address to load, unload and alias models over HTTP; none: no "
                 "such address. Only administrators must be able to reach it")
      ->check(CheckOptionalAddress)
      ->group("HTTP");
  app.add_option("--http-hosts", flags->http_hosts,
                 "Names, separated by commas, by which HTTP clients may call "
                 "the server, beside IP addresses and localhost")
      ->group("HTTP");
  app.add_option("--http-origins", flags->http_origins,
                 "Origins of web pages, separated by commas, that may call the "
                 "server, such as https://example.org")
      ->check(CheckOrigins)
      ->group("HTTP");
  app.add_flag("--http-without-tokens", flags->http_without_tokens,
               "Let everybody who can connect make every call over HTTP, on "
               "addresses other than localhost, without --tokens or "
               "--tls-client-ca")
      ->group("HTTP");
}

void AddSecurityFlags(cli::App& app, ServerFlags* flags) {
  TlsOptions& tls = flags->server.tls;
  const auto add = [&](const std::string& name, std::string* path,
                       const std::string& help) {
    app.add_option(name, *path, help)->group("Security");
  };
  add("--tls-certificate", &tls.certificate,
      "PEM file of the server's certificate chain; encrypts connections. The "
      "three files of TLS are read again when they change");
  add("--tls-key", &tls.key, "PEM file of the certificate's key");
  add("--tls-client-ca", &tls.client_ca,
      "PEM file of root certificates; clients must have a certificate that one "
      "of them signed");
  add("--tokens", &flags->server.tokens_file,
      "File of bearer tokens, with lines 'read TOKEN [NAME]' or 'admin TOKEN "
      "[NAME]'; every client must send one, and the log has its name. The file "
      "is read again when it changes");
}

void AddConnectionFlags(cli::App& app, ServerFlags* flags) {
  const auto add = [&](const std::string& name, double* seconds,
                       const std::string& help) {
    app.add_option(name, *seconds, help)
        ->check(cli::Range(0.0, 1e6))
        ->capture_default_str()
        ->group("Connections");
  };
  add("--connection-age-seconds", &flags->connection_age_seconds,
      "Ask clients to connect again after this many seconds, give or take a "
      "tenth, so that load balancers can distribute them; 0: never");
  add("--connection-age-grace-seconds", &flags->connection_age_grace_seconds,
      "Seconds that the calls of a connection may continue when it is too old; "
      "0: no limit");
  add("--connection-idle-seconds", &flags->connection_idle_seconds,
      "Close a connection without calls after this many seconds; 0: never");
  app.add_option("--socket-mode", flags->socket_mode,
                 "Permissions of Unix sockets, such as 0660; empty: those that "
                 "the umask leaves")
      ->check(CheckSocketMode)
      ->group("Connections");
}

void AddLogFlags(cli::App& app, ServerFlags* flags) {
  RequestLogOptions& log = flags->server.log;
  app.add_option_function<std::string>(
         "--log-format",
         [&log](const std::string& format) {
           log.format = format == "json" ? LogFormat::kJson : LogFormat::kText;
         },
         "Format of the log and of the addresses on the standard output: text "
         "or json")
      ->check(cli::IsMember({"text", "json"}))
      ->default_str("text")
      ->group("Log");
  app.add_option("--log-level", flags->log_level,
                 "Level: debug, which adds a line per call; info; warning, "
                 "which still has slow calls; or error")
      ->check(cli::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str()
      ->group("Log");
  app.add_option("--log-slow-seconds", log.slow_seconds,
                 "Log a call as slow if it waits and computes for this many "
                 "seconds")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str()
      ->group("Log");
  app.add_option("--log-sample", log.sample_every,
                 "At level debug, log one of this many calls")
      ->check(cli::Range(1, 1'000'000'000))
      ->capture_default_str()
      ->group("Log");
}

void AddTraceFlags(cli::App& app, ServerFlags* flags,
                   const AddressOption& address_option) {
  OtlpOptions& traces = flags->traces;
  address_option("--trace-endpoint", &traces.endpoint,
                 "Address of an OpenTelemetry collector that takes traces by "
                 "OTLP over gRPC, in the form of --listen, such as "
                 "localhost:4317; none: no traces")
      ->check(CheckOptionalAddress)
      ->group("Traces");
  app.add_option("--trace-sample", flags->trace_sample,
                 "Share, from 0 to 1, of the calls without a traceparent that "
                 "are traced. The traceparent of a call says whether it is")
      ->check(cli::Range(0.0, 1.0))
      ->capture_default_str()
      ->group("Traces");
  app.add_option("--trace-service", traces.service_name,
                 "Name of this server in the traces (service.name)")
      ->check(CheckPrintable)
      ->capture_default_str()
      ->group("Traces");
  app.add_flag("--trace-tls", traces.tls,
               "Encrypt the connection to the collector; trusts the system's "
               "root certificates unless --trace-tls-ca is given")
      ->group("Traces");
  app.add_option("--trace-tls-ca", traces.tls_ca,
                 "PEM file of the root certificates of the collector; requires "
                 "--trace-tls")
      ->group("Traces");
}

void AddLimit(cli::App& app, const std::string& name, uint64_t* limit,
              const std::string& help,
              const std::string& group = "Limits of a request",
              uint64_t min = 1) {
  app.add_option(name, *limit, help)
      ->check(cli::Range(min, uint64_t{1} << 50))
      ->capture_default_str()
      ->group(group);
}

void AddLoadFlags(cli::App& app, ServerFlags* flags) {
  const auto add = [&](const std::string& name, auto* value,
                       const std::string& help, int min) {
    app.add_option(name, *value, help)
        ->check(cli::Range(min, 1'000'000'000))
        ->capture_default_str()
        ->group("Load");
  };
  BatcherOptions& batcher = flags->server.batcher;
  add("--threads", &batcher.threads,
      "Threads that compute; 0: one per processor that the affinity mask and "
      "the "
      "CPU quota of the cgroup allow",
      0);
  add("--batch-words", &batcher.batch_words,
      "Maximum words in a batch; an interactive call waits for one batch at "
      "most",
      1);
  add("--max-queued-words", &batcher.queue_words,
      "Maximum words of one client address that wait for a batch; words of "
      "other clients lower it by half of them, so that all together have about "
      "twice as many. The server refuses calls beyond this, and clients may "
      "retry",
      1);
  add("--max-calls", &flags->server.calls.calls,
      "Maximum calls at once, streams included; the server refuses calls "
      "beyond this, and clients may retry",
      1);
  app.add_option("--stall-seconds", flags->stall_seconds,
                 "Cancel a call whose client takes more than this many seconds "
                 "to read an answer, or a message of a stream; 0: never")
      ->check(cli::Range(0.0, 86400.0))
      ->capture_default_str()
      ->group("Load");
  add("--max-calls-per-client", &flags->server.calls.calls_per_client,
      "Maximum calls at once of one client address; 0: as many as "
      "--max-calls",
      0);
  ClientLimits& clients = flags->server.listener.clients;
  AddLimit(app, "--max-connections", &clients.connections,
           "Maximum connections; the server closes new ones beyond this. It is "
           "lower if the process may not open three files per connection",
           "Load");
  AddLimit(app, "--max-connections-per-client", &clients.connections_per_client,
           "Maximum connections of one client address (of IPv6, 64 bits); at "
           "most half of --max-connections",
           "Load");
  AddLimit(
      app, "--max-streams-per-client", &clients.streams_per_client,
      "Maximum calls at once of one client address, those included whose "
      "request has not yet come; the server refuses calls beyond this, and "
      "clients may retry",
      "Load");
  AddLimit(
      app, "--max-unread-bytes-per-client", &clients.unread_bytes_per_client,
      "Maximum memory for messages of one client address that are not complete "
      "or that no method has read; the server refuses calls beyond this. At "
      "least twice --max-message-bytes",
      "Load");
  app.add_option("--max-control-frames-per-client",
                 clients.control_frames_per_second,
                 "Frames of HTTP/2 that carry no part of a request, such as "
                 "resets and pings, to read per second of one client address, "
                 "and a quarter of it at once")
      ->check(cli::Range(1.0, 1e9))
      ->capture_default_str()
      ->group("Load");
  app.add_option("--score-cache-bytes", flags->server.score_cache_bytes,
                 "Memory of the cache of candidates' scores, so that "
                 "reranking with other weights needs no model; 0: no cache")
      ->check(cli::Range(uint64_t{0}, uint64_t{1} << 50))
      ->capture_default_str()
      ->group("Load");
}

// Returns LM_SERVER_DRAIN_SECONDS for --drain-seconds.
std::string EnvironmentName(const cli::Option& option) {
  std::string name = absl::StrCat("LM_SERVER_", option.get_single_name());
  for (char& c : name) {
    c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  }
  return name;
}

}  // namespace

void AddServerFlags(cli::App& app, ServerFlags* flags) {
  app.set_config("--config", "File of options, one NAME=VALUE per line");
  app.add_flag("--check-config", flags->check_config,
               "Check the options and the store, print the options in effect, "
               "and exit; exit code 0 if a server could start")
      ->configurable(false);
  app.add_option("--store", flags->store, "Directory of the model store")
      ->required();
  app.add_option(
         "--listen", flags->server.listen,
         "Address: HOST:PORT or [IPV6]:PORT, where port 0 chooses a free "
         "one, or unix:PATH")
      ->check(CheckAddress)
      ->capture_default_str();
  flags->server.admin_listen = "localhost:50052";
  const AddressOption address_option = [&app](const std::string& name,
                                              std::string* address,
                                              const std::string& help) {
    return app
        .add_option_function<std::string>(
            name,
            [address](const std::string& value) {
              *address = IsNoAddress(value) ? "" : value;
            },
            help)
        ->default_str(address->empty() ? "none" : *address);
  };
  AddHttpFlags(app, flags, address_option);
  address_option(
      "--admin-listen", &flags->server.admin_listen,
      "Address for lm_client load, unload and alias, in the same "
      "form; none: no such address. Only administrators must be able "
      "to reach it")
      ->check(CheckOptionalAddress);
  address_option("--health-address", &flags->server.health_listen,
                 "Address, in the same form, that answers health "
                 "(grpc.health.v1) alone, without TLS: for probes and load "
                 "balancers that cannot encrypt; none: no such address")
      ->check(CheckOptionalAddress);
  app.add_option("--keep", flags->keep,
                 "Versions to serve: a number n, for the n newest valid ones "
                 "of each model; all; or a list NAME@VERSION,... Versions with "
                 "an alias are always served")
      ->check(CheckPolicy)
      ->capture_default_str();
  app.add_option("--poll-seconds", flags->poll_seconds,
                 "Seconds between checks of the store for changes; 0: never")
      ->check(cli::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--load-seconds", flags->load_seconds,
                 "Seconds that loading a version may take; a version that "
                 "takes longer is refused, and tried again later; 0: no limit")
      ->check(cli::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--incomplete-seconds", flags->incomplete_seconds,
                 "Seconds that the files of an incomplete version, which "
                 "someone may be copying, may stay as they are; then it is "
                 "refused")
      ->check(cli::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_flag("--follow-links", flags->follow_links,
               "Also read files of the store that are symbolic links to files "
               "outside the store; links to files in the store are always "
               "followed");
  app.add_option("--drain-seconds", flags->drain_seconds,
                 "Seconds that running calls may continue after SIGTERM")
      ->check(cli::Range(0, 3600))
      ->capture_default_str();
  app.add_option("--drain-grace-seconds", flags->grace_seconds,
                 "Seconds after SIGTERM in which the server reports "
                 "NOT_SERVING but accepts calls, so that load balancers notice")
      ->check(cli::Range(0, 3600))
      ->capture_default_str();
  address_option("--metrics-listen", &flags->server.metrics_listen,
                 "Address HOST:PORT or [IPV6]:PORT of the metrics for "
                 "Prometheus, at /metrics; none: no metrics")
      ->check(CheckTcpAddress);
  app.add_option("--require-models", flags->require_models,
                 "Models, separated by commas, as NAME, NAME@VERSION or "
                 "NAME@ALIAS: health reports NOT_SERVING for the empty service "
                 "name until all of them are loaded; empty: until any model is")
      ->check(CheckModelNames);
  AddConnectionFlags(app, flags);
  AddSecurityFlags(app, flags);
  AddLogFlags(app, flags);
  AddTraceFlags(app, flags, address_option);
  AddLoadFlags(app, flags);
  Limits& limits = flags->server.limits;
  app.add_option("--max-message-bytes", limits.message_bytes,
                 "Maximum bytes of a request")
      ->check(cli::Range(1024, 1 << 30))
      ->capture_default_str()
      ->group("Limits of a request");
  AddLimit(app, "--max-words-per-text", &limits.words_per_text,
           "Maximum words in a text");
  AddLimit(app, "--max-words", &limits.words, "Maximum words in all texts");
  AddLimit(app, "--max-words-read", &limits.words_read,
           "Maximum words that a bidirectional model reads to score all texts; "
           "it reads a text of n words n times");
  AddLimit(app, "--max-texts", &limits.texts,
           "Maximum texts, contexts or candidates");
  AddLimit(app, "--max-models", &limits.models,
           "Maximum models of a Rerank call");
  AddLimit(app, "--max-features", &limits.features,
           "Maximum features of a candidate");
  AddLimit(app, "--max-bytes-compared", &limits.bytes_compared,
           "Maximum bytes that minimum Bayes risk compares: bytes of all "
           "candidates times the number of candidates");
  AddLimit(app, "--max-predictions", &limits.predictions,
           "Maximum predicted words: k times the number of contexts");
  AddLimit(app, "--max-generated-words", &limits.generated_words,
           "Maximum generated words");
  AddLimit(app, "--max-beam", &limits.beam,
           "Maximum hypotheses of a beam search");
  AddLimit(app, "--max-stop-words", &limits.stop_words, "Maximum stop words");
  AddLimit(app, "--max-inspected-values", &limits.inspected_values,
           "Maximum numbers that an Inspect call returns: words times units "
           "times quantities; 0: the server does not answer Inspect",
           "Limits of a request", /*min=*/0);
  AddLimit(
      app, "--max-embedded-values", &limits.embedded_values,
      "Maximum numbers that an Embed call returns: texts times dimensions");
  AddLimit(app, "--max-decode-bytes", &limits.decode_bytes,
           "Maximum memory of the states of a Decode stream");
  limits.all_request_bytes = limits.all_answer_bytes = 0;
  limits.all_state_bytes = 0;
  AddLimit(app, "--max-all-request-bytes", &limits.all_request_bytes,
           "Maximum memory of all requests that are being answered; 0: a "
           "sixteenth of the memory that is available after the start",
           "Load", 0);
  AddLimit(app, "--max-all-generated-words", &limits.all_generated_words,
           "Maximum words that all running Generate calls together may still "
           "write",
           "Load");
  AddLimit(app, "--max-all-answer-bytes", &limits.all_answer_bytes,
           "Maximum bytes of all answers that clients have not yet read; 0: a "
           "sixteenth of the memory that is available after the start",
           "Load", 0);
  AddLimit(
      app, "--max-all-state-bytes", &limits.all_state_bytes,
      "Maximum memory of the states of all Decode streams and Predict calls, "
      "and of candidates that are compared; 0: a quarter of the memory that is "
      "available after the start",
      "Load", 0);
  for (cli::Option* option : app.get_options()) {
    if (!option->get_configurable()) continue;
    option->envname(EnvironmentName(*option))->take_last();
  }
}

// Whether Kubernetes sets this variable for a service of the name lm-server,
// such as LM_SERVER_SERVICE_HOST and LM_SERVER_PORT_50051_TCP.
bool IsOfKubernetes(absl::string_view name) {
  return absl::ConsumePrefix(&name, "LM_SERVER_") &&
         (name == "PORT" || absl::StartsWith(name, "PORT_") ||
          absl::StartsWith(name, "SERVICE_"));
}

// Throws if the environment has a variable with our prefix that belongs to no
// option, because its name may be misspelled.
void CheckEnvironment(cli::App& app) {
  std::set<std::string> known;
  for (const cli::Option* option : app.get_options()) {
    known.insert(option->get_envname());
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const absl::string_view entry(*variable);
    const std::string name(entry.substr(0, entry.find('=')));
    if (!absl::StartsWith(name, "LM_SERVER_") || known.count(name) > 0 ||
        IsOfKubernetes(name)) {
      continue;
    }
    throw cli::ValidationError(
        name,
        "expected the name of an option, such as LM_SERVER_LISTEN for "
        "--listen, found an unknown environment variable");
  }
}

// In CLI11 itself the file would override the environment. Here the variables
// become arguments before the others, which override the file.
void ParseServerFlags(cli::App& app, int argc, const char* const* argv) {
  CheckEnvironment(app);
  std::vector<std::string> arguments;
  for (const cli::Option* option : app.get_options()) {
    if (option->get_envname().empty()) continue;
    const char* value = std::getenv(option->get_envname().c_str());
    if (value == nullptr || *value == '\0') continue;
    arguments.push_back(
        absl::StrCat("--", option->get_single_name(), "=", value));
  }
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(std::move(arguments));
}

std::string CheckServerFlags(const ServerFlags& flags) {
  if (!flags.traces.tls_ca.empty() && !flags.traces.tls) {
    return "--trace-tls-ca requires --trace-tls";
  }
  const ServerOptions& server = flags.server;
  if (flags.http_without_tokens || !server.tokens_file.empty() ||
      !server.tls.client_ca.empty()) {
    return "";
  }
  for (const std::string* address :
       {&server.http_listen, &server.http_admin_listen}) {
    if (address->empty() || IsOfThisMachine(*address)) continue;
    return absl::StrCat(
        "everybody who can reach ", *address,
        " could make every call; expected --tokens or "
        "--tls-client-ca, or --http-without-tokens to allow it");
  }
  return "";
}

std::string EffectiveConfig(const cli::App& app) {
  return app.config_to_str(/*default_also=*/true, /*write_description=*/false);
}

}  // namespace lmserve
