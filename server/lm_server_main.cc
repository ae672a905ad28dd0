// lm_server: serves the models of a store over gRPC.

#include <google/protobuf/stubs/logging.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/str_replace.h"
#include "model_store/model_store.h"
#include "server/flags.h"
#include "server/log.h"
#include "server/server.h"

namespace lmserve {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

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
  if (flags.check_config) return 0;
  auto server = Server::Start(flags.server, *std::move(store));
  if (!server.ok()) {
    spdlog::error("{}", std::string(server.status().message()));
    return kFailed;
  }
  std::cout << "listening on " << (*server)->address() << std::endl;
  if ((*server)->metrics_port() > 0) {
    spdlog::info("metrics at http port {}, /metrics",
                 (*server)->metrics_port());
  }
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("signal {}: draining for {} s at most", signal,
               flags.drain_seconds);
  (*server)->Drain(std::chrono::seconds(flags.drain_seconds),
                   std::chrono::seconds(flags.grace_seconds));
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
    lmserve::ParseFlags(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "lm_server: %s (see lm_server --help)\n",
                 error.what());
    return lmserve::kWrongUse;
  }
  lmserve::SetUpLog(flags.log_format, flags.log_level);
  const std::string config = lmserve::EffectiveConfig(app);
  if (flags.check_config) std::cout << config;
  spdlog::info("options: {}", absl::StrReplaceAll(config, {{"\n", " "}}));
  flags.server.version = LMSERVE_VERSION;
  return lmserve::Run(flags);
}
