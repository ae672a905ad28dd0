#include "server/flags.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model_store/version_policy.h"

namespace lmserve {
namespace {

// What is wrong with an address to listen on, or nothing.
std::string CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return "";
  const size_t colon = address.rfind(':');
  int port;
  if (colon != std::string::npos && colon > 0 &&
      absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= 0 &&
      port <= 65535) {
    return "";
  }
  return absl::StrCat("expected HOST:PORT or unix:PATH, found '", address, "'");
}

std::string CheckOptionalAddress(const std::string& address) {
  return address.empty() ? "" : CheckAddress(address);
}

std::string CheckPolicy(const std::string& text) {
  return std::string(ParseVersionPolicy(text).status().message());
}

std::string CheckTcpAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return "expected HOST:PORT";
  return CheckOptionalAddress(address);
}

void AddSecurityFlags(CLI::App& app, Flags* flags) {
  TlsOptions& tls = flags->server.tls;
  const auto add = [&](const std::string& name, std::string* path,
                       const std::string& what) {
    app.add_option(name, *path, what)->group("Security");
  };
  add("--tls-certificate", &tls.certificate,
      "File of the certificate, in PEM; with it connections are encrypted. "
      "Read anew where it changes, as the other two");
  add("--tls-key", &tls.key, "File of its key, in PEM");
  add("--tls-client-ca", &tls.client_ca,
      "File of roots, in PEM: clients need a certificate of one");
  add("--tokens", &flags->server.tokens_file,
      "File of bearer tokens, a line each: 'read TOKEN' or 'admin TOKEN'; with "
      "it clients need one. Read anew where it changes");
}

void AddLogFlags(CLI::App& app, Flags* flags) {
  app.add_option("--log-format", flags->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str()
      ->group("Log");
  app.add_option("--log-level", flags->log_level,
                 "debug, with a line a call; info; warning, with slow calls; "
                 "or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str()
      ->group("Log");
  RequestLogOptions& log = flags->server.log;
  app.add_option("--log-slow-seconds", log.slow_seconds,
                 "Waiting and computing for so long makes a call slow")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group("Log");
  app.add_option("--log-sample", log.sample_every,
                 "Of the lines of calls at debug write one in so many")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str()
      ->group("Log");
}

void AddLoadFlags(CLI::App& app, Flags* flags) {
  const auto add = [&](const std::string& name, auto* value,
                       const std::string& what, int least) {
    app.add_option(name, *value, what)
        ->check(CLI::Range(least, 1'000'000'000))
        ->capture_default_str()
        ->group("Load");
  };
  BatcherOptions& batcher = flags->server.batcher;
  add("--threads", &batcher.threads, "Threads that compute; 0: one a processor",
      0);
  add("--batch-words", &batcher.batch_words,
      "Words in a batch: what an urgent call waits for at most", 1);
  add("--max-queued-words", &batcher.queue_words,
      "Words that wait for a batch; more calls are refused for a while", 1);
  add("--max-calls", &flags->server.calls.calls,
      "Calls under way, streams included; more are refused for a while", 1);
  app.add_option("--stall-seconds", flags->stall_seconds,
                 "How long a client may take for an answer, or a message of "
                 "one, before its call is cancelled; 0: for ever")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str()
      ->group("Load");
  add("--max-calls-per-client", &flags->server.calls.calls_per_client,
      "The same of one address; 0: as many as all", 0);
  app.add_option("--score-cache-bytes", flags->server.score_cache_bytes,
                 "Memory for the scores of reranked candidates, so that other "
                 "weights cost no work of a model; 0: none")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 50))
      ->capture_default_str()
      ->group("Load");
}

void AddLimit(CLI::App& app, const std::string& name, uint64_t* limit,
              const std::string& what,
              const std::string& group = "Limits of a request") {
  app.add_option(name, *limit, what)
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 50))
      ->capture_default_str()
      ->group(group);
}

// LM_SERVER_DRAIN_SECONDS of --drain-seconds.
std::string EnvironmentName(const CLI::Option& option) {
  std::string name = absl::StrCat("LM_SERVER_", option.get_single_name());
  for (char& c : name) {
    c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
  }
  return name;
}

}  // namespace

void AddFlags(CLI::App& app, Flags* flags) {
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", "", "File of options, a line each: NAME=VALUE");
  app.add_flag("--check-config", flags->check_config,
               "Check the options and the store, tell what is in effect, and "
               "end: exit code 0 if a server could start")
      ->configurable(false);
  app.add_option("--store", flags->store, "Directory of the model store")
      ->required();
  app.add_option("--listen", flags->server.listen,
                 "Address: HOST:PORT, where port 0 picks one, or unix:PATH")
      ->check(CheckAddress)
      ->capture_default_str();
  flags->server.admin_listen = "localhost:50052";
  app.add_option("--admin-listen", flags->server.admin_listen,
                 "Address for lm_client load, unload and alias, in the same "
                 "forms; empty: none. Keep it from strangers")
      ->check(CheckOptionalAddress)
      ->capture_default_str();
  app.add_option("--keep", flags->keep,
                 "Versions to have loaded: so many of each model, the newest "
                 "good ones; all; or those listed, NAME@VERSION,...; and, as "
                 "ever, those that aliases name")
      ->check(CheckPolicy)
      ->capture_default_str();
  app.add_option("--poll-seconds", flags->poll_seconds,
                 "How often to look for what is new in the store; 0: never")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--drain-seconds", flags->drain_seconds,
                 "How long running calls may take after SIGTERM")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  app.add_option("--drain-grace-seconds", flags->grace_seconds,
                 "How long to go on after SIGTERM, no longer SERVING, before "
                 "new calls are refused: for load balancers to notice")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  app.add_option("--metrics-listen", flags->server.metrics_listen,
                 "Address of the metrics for Prometheus, at /metrics: "
                 "HOST:PORT; without it there are none")
      ->check(CheckTcpAddress);
  AddSecurityFlags(app, flags);
  AddLogFlags(app, flags);
  AddLoadFlags(app, flags);
  Limits& limits = flags->server.limits;
  app.add_option("--max-message-bytes", limits.message_bytes,
                 "Size of a request")
      ->check(CLI::Range(1024, 1 << 30))
      ->capture_default_str()
      ->group("Limits of a request");
  AddLimit(app, "--max-words-per-text", &limits.words_per_text,
           "Words in a text");
  AddLimit(app, "--max-words", &limits.words, "Words in all texts");
  AddLimit(app, "--max-words-read", &limits.words_read,
           "Words that a bidirectional model reads to score all texts, n times "
           "n of a text of n words");
  AddLimit(app, "--max-texts", &limits.texts, "Texts, contexts or candidates");
  AddLimit(app, "--max-models", &limits.models, "Models of a reranking");
  AddLimit(app, "--max-features", &limits.features, "Features of a candidate");
  AddLimit(app, "--max-bytes-compared", &limits.bytes_compared,
           "Bytes of candidates, times candidates, to find the minimum Bayes "
           "risk");
  AddLimit(app, "--max-predictions", &limits.predictions,
           "Next words asked for, k times contexts");
  AddLimit(app, "--max-generated-words", &limits.generated_words,
           "Words generated");
  AddLimit(app, "--max-beam", &limits.beam, "Hypotheses of a beam search");
  AddLimit(app, "--max-stop-words", &limits.stop_words, "Stop words");
  AddLimit(app, "--max-decode-bytes", &limits.decode_bytes,
           "Bytes of the states that a Decode stream holds");
  AddLimit(app, "--max-all-request-bytes", &limits.all_request_bytes,
           "Bytes of all requests that are being answered", "Load");
  AddLimit(app, "--max-all-generated-words", &limits.all_generated_words,
           "Words that all Generate calls under way may write", "Load");
  AddLimit(app, "--max-all-answer-bytes", &limits.all_answer_bytes,
           "Bytes of all answers that clients have not taken yet", "Load");
  AddLimit(
      app, "--max-all-state-bytes", &limits.all_state_bytes,
      "Bytes of the states of all Decode streams and Predict calls, and of "
      "candidates that are compared",
      "Load");
  for (CLI::Option* option : app.get_options()) {
    if (!option->get_configurable()) continue;
    option->envname(EnvironmentName(*option))->take_last();
  }
}

// The library itself would have the file go before the environment; as
// arguments in front of the others its variables go before the file.
void ParseFlags(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (const CLI::Option* option : app.get_options()) {
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

std::string EffectiveConfig(const CLI::App& app) {
  return app.config_to_str(/*default_also=*/true, /*write_description=*/false);
}

}  // namespace lmserve
