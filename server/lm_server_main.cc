// SPDX-License-Identifier: Apache-2.0
//
// lm_server serves the models of a store over gRPC.

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <future>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "command_line/cli.h"
#include "command_line/standard_streams.h"
#include "command_line/version.h"
#include "model_store/available_memory.h"
#include "model_store/model_name.h"
#include "model_store/model_store.h"
#include "server/admission/memory_shares.h"
#include "server/flags.h"
#include "server/log.h"
#include "server/rpc/otlp_sender.h"
#include "server/server.h"
#include "server/service_manager.h"
#include "server/telemetry/line_writer.h"
#include "server/telemetry/span_exporter.h"
#include "server/telemetry/tracer.h"

namespace lmserve {
namespace {

// Exit codes.
constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

constexpr char kStoppedAtStart[] = "received a signal while starting: stopped";

constexpr size_t kMaxAddressBytes = 64 << 10;

// Raises the limit of open files and connections to the maximum. When a process
// reaches its limit, gRPC stops accepting connections forever.
void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Blocks the signals that the server handles, and returns them for sigwait().
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Waits for a signal that ends the server, and returns it. SIGHUP does not:
// many programs read their files again then, and this one does so without a
// signal.
int WaitForEnd(const sigset_t& signals) {
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) return signal;
    spdlog::info(
        "ignored SIGHUP: the store and the files of TLS and tokens are read "
        "again when they change");
  }
}

// Returns what could not be loaded: a version, the directory or the aliases of
// a model, or the store.
std::string NameOf(const ServedModels::Refused& refused) {
  if (refused.name.empty()) return "the store";
  if (refused.version == 0) {
    return absl::StrCat("changes of model ", refused.name);
  }
  return VersionName(refused.name, refused.version);
}

// Logs which versions were loaded, unloaded or refused since the last call, and
// which someone has begun to copy. For one thread at a time.
class ModelLog {
 public:
  void operator()(const ServedModels& served) {
    Lines serving, refused, incomplete;
    for (const ServedModels::Entry& entry : served.List()) {
      const LoadedVersion& model = *entry.handle;
      serving[VersionName(model.name(), model.version())] = absl::StrCat(
          model.manifest().family(), ", ",
          model.is_reranker()
              ? absl::StrCat(model.reranker().members_size(), " members")
              : absl::StrCat(model.model().vocabulary().size(), " words"),
          ", ", model.file_bytes(), " bytes, aliases: ",
          entry.aliases.empty() ? "none" : absl::StrJoin(entry.aliases, ", "));
    }
    for (const ServedModels::Refused& version : served.refused) {
      absl::StrAppend(&refused[NameOf(version)], version.reason.message(),
                      "; ");
    }
    for (const ServedModels::Refused& version : served.incomplete) {
      incomplete[NameOf(version)] = std::string(version.reason.message());
    }
    for (const auto& [version, what] : incomplete) {
      if (incomplete_.count(version) > 0) continue;  // whatever is missing now
      spdlog::info("waiting for {}, which is incomplete: {}", version, what);
    }
    for (const auto& [version, what] : Added(serving, serving_)) {
      spdlog::info("serving {}: {}", version, what);
    }
    for (const auto& entry : serving_) {
      if (serving.count(entry.first) == 0) {
        spdlog::info("unloaded {}", entry.first);
      }
    }
    for (const auto& [version, why] : Added(refused, refused_)) {
      spdlog::warn("refused {}: {}", version, why.substr(0, why.size() - 2));
    }
    serving_ = std::move(serving);
    refused_ = std::move(refused);
    incomplete_ = std::move(incomplete);
  }

 private:
  using Lines = std::map<std::string, std::string>;

  static Lines Added(const Lines& now, const Lines& before) {
    Lines lines;
    std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                        std::inserter(lines, lines.end()));
    return lines;
  }

  Lines serving_;
  Lines refused_;
  Lines incomplete_;
};

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(
      static_cast<int64_t>(std::ceil(seconds * 1000)));
}

// Whether one of the signals has arrived and was not received by sigwait() yet.
bool IsPending(const sigset_t& signals) {
  sigset_t pending;
  if (sigpending(&pending) != 0) return false;
  for (int signal : {SIGTERM, SIGINT}) {
    if (sigismember(&signals, signal) == 1 &&
        sigismember(&pending, signal) == 1) {
      return true;
    }
  }
  return false;
}

// Calls a function that reads files, which may hang, on a thread of its own.
// Returns its result, or nullopt if one of the signals arrives before: then the
// process must end without destroying what the function uses.
template <typename Function>
auto CallUntilSignal(const sigset_t& signals, Function function)
    -> std::optional<decltype(function())> {
  constexpr std::chrono::milliseconds kPause(20);
  std::packaged_task<decltype(function())()> task(std::move(function));
  auto result = task.get_future();
  std::thread(std::move(task)).detach();
  while (result.wait_for(kPause) != std::future_status::ready) {
    if (IsPending(signals)) return std::nullopt;
  }
  return result.get();
}

// How long the end of the server may wait for the collector of traces.
constexpr std::chrono::seconds kTracePatience(3);

// Returns a tracer with its thread, or null if the flags name no collector or
// only ask whether they are right.
absl::StatusOr<std::shared_ptr<Tracer>> MakeTracer(const ServerFlags& flags) {
  if (flags.traces.endpoint.empty()) return nullptr;
  OtlpOptions options = flags.traces;
  options.service_version = kVersionNumber;
  auto sender = MakeOtlpSender(options);
  if (!sender.ok()) return sender.status();
  if (flags.check_config) return nullptr;
  return std::make_shared<Tracer>(
      flags.trace_sample, std::make_unique<SpanExporter>(*std::move(sender)));
}

// Loads a version and traces that.
absl::StatusOr<ModelHandle> LoadTraced(const Tracer& tracer,
                                       absl::string_view store,
                                       absl::string_view name, uint64_t version,
                                       const LoadOptions& options) {
  const auto start = std::chrono::system_clock::now();
  absl::StatusOr<ModelHandle> loaded = LoadModel(store, name, version, options);
  tracer.OnLoaded(name, version, start, loaded);
  return loaded;
}

StoreOptions MakeStoreOptions(const ServerFlags& flags, const sigset_t& signals,
                              const std::shared_ptr<const Tracer>& tracer) {
  StoreOptions options;
  options.keep = *ParseVersionPolicy(flags.keep);
  options.poll = Milliseconds(flags.poll_seconds);
  options.load_timeout = Milliseconds(flags.load_seconds);
  options.incomplete_patience = Milliseconds(flags.incomplete_seconds);
  options.follow_links = flags.follow_links;
  options.is_cancelled = [signals] { return IsPending(signals); };
  if (tracer != nullptr) {
    options.load = [tracer](absl::string_view store, absl::string_view name,
                            uint64_t version, const LoadOptions& load) {
      return LoadTraced(*tracer, store, name, version, load);
    };
  }
  return options;
}

// Ends the process without destroying what a thread that hangs may still use.
[[noreturn]] void EndAtOnce(const Log& log, const std::string& why) {
  spdlog::warn("{}", why);
  log.Flush();
  std::cout.flush();
  std::_Exit(0);
}

std::optional<mode_t> SocketMode(const ServerFlags& flags) {
  if (flags.socket_mode.empty()) return std::nullopt;
  return static_cast<mode_t>(std::stoul(flags.socket_mode, nullptr, 8));
}

// Prints the addresses to the standard output, one a line, in the format of the
// log. Nothing waits for the reader.
void PrintAddresses(const Server& server, const ServerFlags& flags) {
  LineWriter output(STDOUT_FILENO, kMaxAddressBytes);
  const auto print = [&](const std::string& key, const std::string& text,
                         const std::string& address) {
    if (flags.server.log.format == LogFormat::kJson) {
      const nlohmann::ordered_json line = {
          {"level", "info"},
          {"message", absl::StrCat(text, " ", address)},
          {key, address}};
      output.Write(line.dump() + "\n");
    } else {
      output.Write(absl::StrCat(text, " ", address, "\n"));
    }
  };
  print("listening", "listening on", server.address());
  if (!flags.server.admin_listen.empty()) {
    print("admin", "admin on", server.admin_address());
  }
  if (!flags.server.health_listen.empty()) {
    print("health", "health on", server.health_address());
  }
  if (!flags.server.http_listen.empty()) {
    print("http", "http on", server.http_address());
  }
  if (!flags.server.http_admin_listen.empty()) {
    print("http_admin", "http admin on", server.http_admin_address());
  }
  if (server.metrics_port() > 0) {
    print("metrics_port", "metrics on port",
          absl::StrCat(server.metrics_port()));
  }
}

// Reports the state of the server to a service manager, such as systemd.
void Notify(absl::string_view state) {
  const absl::Status status = NotifyServiceManager(state);
  if (!status.ok()) {
    spdlog::warn("the service manager does not know {}: {}", std::string(state),
                 std::string(status.message()));
  }
}

// Sets the budgets of memory that the options leave open, and logs them all.
void SetBudgets(Limits* limits) {
  const uint64_t available = AvailableMemory();
  ShareMemory(available, limits);
  spdlog::info(
      "memory: {} bytes are available beside the models; at most {} for "
      "requests, {} for answers and {} for states",
      available, limits->all_request_bytes, limits->all_answer_bytes,
      limits->all_state_bytes);
}

// Runs the server until a signal ends it. `config` has the options in effect.
// Returns the exit code.
int Run(const ServerFlags& flags, const std::string& config) {
  RaiseFileLimit();
  // A write to a pipe or socket without reader is an error, not the end.
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t signals = BlockSignals();  // in all threads started later, too
  const Log log(flags.server.log.format, flags.log_level);
  const auto tracer = MakeTracer(flags);
  if (!tracer.ok()) {
    spdlog::error("{}", std::string(tracer.status().message()));
    return kFailed;
  }
  auto store =
      ModelStore::Open(flags.store, MakeStoreOptions(flags, signals, *tracer));
  if (absl::IsCancelled(store.status())) {
    EndAtOnce(log, "received a signal while loading models: stopped");
  }
  if (!store.ok()) {
    spdlog::error("store: {}", std::string(store.status().message()));
    return kFailed;
  }
  if (flags.check_config) {
    const auto status = CallUntilSignal(
        signals, [&] { return Server::CheckFiles(flags.server); });
    if (!status.has_value()) EndAtOnce(log, kStoppedAtStart);
    if (!status->ok()) {
      spdlog::error("{}", std::string(status->message()));
      return kFailed;
    }
    std::cout << config;
  }
  spdlog::info("options: {}", absl::StrReplaceAll(config, {{"\n", " "}}));
  if ((*store)->List().empty()) {
    spdlog::warn("the store has no model to serve");
  }
  ServerOptions options = flags.server;
  options.version = kVersionNumber;
  options.dropped_log_lines = [&log] { return log.dropped(); };
  options.stall = Milliseconds(flags.stall_seconds);
  options.connections.max_age = Milliseconds(flags.connection_age_seconds);
  options.connections.age_grace =
      Milliseconds(flags.connection_age_grace_seconds);
  options.connections.max_idle = Milliseconds(flags.connection_idle_seconds);
  options.listener.socket_mode = SocketMode(flags);
  options.required_models =
      absl::StrSplit(flags.require_models, ',', absl::SkipEmpty());
  options.http_policy.hosts =
      absl::StrSplit(flags.http_hosts, ',', absl::SkipEmpty());
  options.http_policy.origins =
      absl::StrSplit(flags.http_origins, ',', absl::SkipEmpty());
  options.on_models = ModelLog();
  options.tracer = *tracer;
  SetBudgets(&options.limits);
  if (flags.check_config) {
    const auto served = (*store)->served();
    options.on_models(*served);
    const std::string missing = MissingModels(*served, options.required_models);
    if (!missing.empty()) {
      spdlog::warn("required models that are not in the store: {}", missing);
    }
    return 0;
  }
  auto started = CallUntilSignal(
      signals, [&] { return Server::Start(options, *std::move(store)); });
  if (!started.has_value()) EndAtOnce(log, kStoppedAtStart);
  if (!started->ok()) {
    spdlog::error("{}", std::string(started->status().message()));
    return kFailed;
  }
  const std::unique_ptr<Server> server = **std::move(started);
  PrintAddresses(*server, flags);
  Notify("READY=1");
  const int signal = WaitForEnd(signals);
  spdlog::info(
      "received signal {}: {} s of grace, then at most {} s for running calls",
      signal, flags.grace_seconds, flags.drain_seconds);
  Notify("STOPPING=1");
  server->Drain(std::chrono::seconds(flags.drain_seconds),
                std::chrono::seconds(flags.grace_seconds));
  if (*tracer != nullptr) (*tracer)->Stop(kTracePatience);
  if (!server->all_threads_ended()) {
    EndAtOnce(log, "stopped while a thread that reads files hangs");
  }
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace lmserve

int main(int argc, char** argv) {
  lmserve::OpenStandardStreams(argv);
  lmserve::cli::App app(
      "Serves the language models of a store over gRPC, and loads new versions "
      "as they are published.\n"
      "  lm_server --store store --listen 0.0.0.0:50051",
      "lm_server");
  app.set_version_flag("--version", lmserve::kVersion);
  lmserve::ServerFlags flags;
  lmserve::AddServerFlags(app, &flags);
  try {
    lmserve::ParseServerFlags(app, argc, argv);
  } catch (const lmserve::cli::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "lm_server: %s (see lm_server --help)\n",
                 error.what());
    return lmserve::kWrongUse;
  } catch (const lmserve::cli::ValidationError& error) {  // of the environment
    std::fprintf(stderr, "lm_server: %s: %s (see lm_server --help)\n",
                 error.name().c_str(), error.what());
    return lmserve::kWrongUse;
  }
  if (const std::string problem = lmserve::CheckServerFlags(flags);
      !problem.empty()) {
    std::fprintf(stderr, "lm_server: %s (see lm_server --help)\n",
                 problem.c_str());
    return lmserve::kWrongUse;
  }
  // Turns off a deadlock check that serves the developers of gRPC. It is on in
  // the packages of distributions, and takes a twentieth of a cheap call.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return lmserve::Run(flags, lmserve::EffectiveConfig(app));
}
