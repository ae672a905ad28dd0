// lm_server: serves the models of a store over gRPC.

#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/model_store.h"
#include "server/server.h"

namespace lmserve {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

struct Flags {
  std::string store;
  std::string keep = "1";
  double poll_seconds = 1;
  ServerOptions server = {.admin_listen = "localhost:50052"};
  int drain_seconds = 30;
};

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

std::string CheckAdminAddress(const std::string& address) {
  return address.empty() ? "" : CheckAddress(address);
}

std::string CheckPolicy(const std::string& text) {
  return std::string(ParseVersionPolicy(text).status().message());
}

void AddLimit(CLI::App& app, const std::string& name, uint64_t* limit,
              const std::string& what) {
  app.add_option(name, *limit, what)
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str()
      ->group("Limits of a request");
}

void AddFlags(CLI::App& app, Flags* flags) {
  app.add_option("--store", flags->store, "Directory of the model store")
      ->required();
  app.add_option("--listen", flags->server.listen,
                 "Address: HOST:PORT, where port 0 picks one, or unix:PATH")
      ->check(CheckAddress)
      ->capture_default_str();
  app.add_option("--admin-listen", flags->server.admin_listen,
                 "Address for lm_client load, unload and alias, in the same "
                 "forms; empty: none. Keep it from strangers")
      ->check(CheckAdminAddress)
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
  AddLimit(app, "--max-predictions", &limits.predictions,
           "Next words asked for, k times contexts");
  AddLimit(app, "--max-generated-words", &limits.generated_words,
           "Words generated");
  AddLimit(app, "--max-stop-words", &limits.stop_words, "Stop words");
}

// The signals that end the server are waited for, not handled.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Tells what has changed since it last was called. One thread at a time.
class ModelLog {
 public:
  void operator()(const ServedModels& served) {
    std::map<std::string, std::string> serving, refused;
    for (const ServedModels::Entry& entry : served.List()) {
      const LoadedModel& model = *entry.handle;
      serving[Spec(model.name(), model.version())] = absl::StrCat(
          model.manifest().family(), ", ", model.model().vocabulary().size(),
          " words, ", model.file_bytes(), " bytes, aliases: ",
          entry.aliases.empty() ? "none" : absl::StrJoin(entry.aliases, ", "));
    }
    for (const ServedModels::Refused& version : served.refused) {
      absl::StrAppend(&refused[Spec(version.name, version.version)],
                      version.reason.message(), "; ");
    }
    for (const auto& [version, what] : NewIn(serving, serving_)) {
      spdlog::info("serving {}: {}", version, what);
    }
    for (const auto& entry : serving_) {
      if (serving.count(entry.first) == 0) {
        spdlog::info("unloaded {}", entry.first);
      }
    }
    for (const auto& [version, why] : NewIn(refused, refused_)) {
      spdlog::warn("refused {}: {}", version, why.substr(0, why.size() - 2));
    }
    serving_ = std::move(serving);
    refused_ = std::move(refused);
  }

 private:
  using Lines = std::map<std::string, std::string>;

  static std::string Spec(const std::string& name, uint64_t version) {
    return absl::StrCat(name, "@", version);
  }

  static Lines NewIn(const Lines& now, const Lines& before) {
    Lines lines;
    std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                        std::inserter(lines, lines.end()));
    return lines;
  }

  Lines serving_;
  Lines refused_;
};

// A request with invalid UTF-8 gets its answer; the log need not tell, too.
void LogProtobuf(google::protobuf::LogLevel /*level*/, const char* /*file*/,
                 int /*line*/, const std::string& message) {
  spdlog::debug("protobuf: {}", message);
}

StoreOptions MakeStoreOptions(const Flags& flags) {
  StoreOptions options;
  options.keep = *ParseVersionPolicy(flags.keep);
  options.poll = std::chrono::milliseconds(
      static_cast<int64_t>(std::ceil(flags.poll_seconds * 1000)));
  return options;
}

int Run(const Flags& flags) {
  google::protobuf::SetLogHandler(LogProtobuf);
  const sigset_t signals = BlockSignals();  // for all threads to come
  auto store = ModelStore::Open(flags.store, MakeStoreOptions(flags));
  if (!store.ok()) {
    spdlog::error("store: {}", std::string(store.status().message()));
    return kFailed;
  }
  if ((*store)->List().empty()) {
    spdlog::warn("the store has no model to serve");
  }
  ServerOptions options = flags.server;
  options.on_models = ModelLog();
  auto server = Server::Start(options, *std::move(store));
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return kFailed;
  }
  std::cout << "listening on " << (*server)->address() << std::endl;
  if (!flags.server.admin_listen.empty()) {
    std::cout << "admin on " << (*server)->admin_address() << std::endl;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("signal {}: draining for {} s at most", signal,
               flags.drain_seconds);
  (*server)->Drain(std::chrono::seconds(flags.drain_seconds));
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace lmserve

int main(int argc, char** argv) {
  CLI::App app(
      "Serves the language models of a store over gRPC, new versions as they "
      "come.\n"
      "  lm_server --store store --listen 0.0.0.0:50051",
      "lm_server");
  app.set_version_flag("--version",
                       std::string("lm_server ") + LMSERVE_VERSION);
  lmserve::Flags flags;
  lmserve::AddFlags(app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "lm_server: %s (see lm_server --help)\n",
                 error.what());
    return lmserve::kWrongUse;
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("lm_server"));
  return lmserve::Run(flags);
}
