// lm_server: serves the models of a store over gRPC.

#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model_store/model_store.h"
#include "server/server.h"

namespace lmserve {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

struct Flags {
  std::string store;
  ServerOptions server;
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
  AddLimit(app, "--max-decode-bytes", &limits.decode_bytes,
           "Bytes of the states that a Decode stream holds");
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

void LogModels(const ModelStore& store) {
  for (const ModelStore::Entry& entry : store.List()) {
    spdlog::info("serving {}@{}: {}, {} words, {} bytes", entry.handle->name(),
                 entry.handle->version(), entry.handle->manifest().family(),
                 entry.handle->model().vocabulary().size(),
                 entry.handle->file_bytes());
  }
  for (const ModelStore::Refused& refused : store.refused()) {
    spdlog::warn("refused {}@{}: {}", refused.name, refused.version,
                 std::string(refused.reason.message()));
  }
  if (store.List().empty()) spdlog::warn("the store has no model to serve");
}

// A request with invalid UTF-8 gets its answer; the log need not tell, too.
void LogProtobuf(google::protobuf::LogLevel /*level*/, const char* /*file*/,
                 int /*line*/, const std::string& message) {
  spdlog::debug("protobuf: {}", message);
}

int Run(const Flags& flags) {
  google::protobuf::SetLogHandler(LogProtobuf);
  const sigset_t signals = BlockSignals();  // for all threads to come
  auto store = ModelStore::Open(flags.store);
  if (!store.ok()) {
    spdlog::error("store: {}", std::string(store.status().message()));
    return kFailed;
  }
  LogModels(**store);
  auto server = Server::Start(flags.server, *std::move(store));
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return kFailed;
  }
  std::cout << "listening on " << (*server)->address() << std::endl;
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
      "Serves the language models of a store over gRPC.\n"
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
