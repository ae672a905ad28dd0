// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <climits>
#include <map>
#include <thread>

#include "absl/base/call_once.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "model_store/processors.h"
#include "server/http/http_api.h"
#include "server/openai/openai_routes.h"
#include "server/rpc/language_model_service.h"
#include "server/rpc/model_management_service.h"
#include "server/telemetry/metrics_text.h"

namespace lmserve {
namespace {

// Both are settings of the process and must precede the first ServerBuilder.
void EnablePlugins() {
  static absl::once_flag once;
  absl::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

// Leaves out reflection, which the process has for all other servers.
class NoPlugins final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    plugins->clear();
  }
};

// A duration in the form of gRPC's arguments. 0 becomes their "no limit".
int LimitArgument(std::chrono::milliseconds limit) {
  if (limit.count() == 0) return INT_MAX;
  return static_cast<int>(
      std::min<std::chrono::milliseconds::rep>(limit.count(), INT_MAX));
}

// Closes connections to clients that do not answer pings or ping too often, and
// connections that are idle or old.
void SetConnectionOptions(const ConnectionOptions& options,
                          grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  // Without it gRPC permits one ping in two hours to a client without calls.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      static_cast<int>(options.min_ping_interval.count()));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                             LimitArgument(options.max_idle));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             LimitArgument(options.max_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             LimitArgument(options.age_grace));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024);
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kGrpcReadBytes);
}

// Memory that gRPC may use for connections, besides that for requests. The
// guard and the budget of requests must refuse calls before gRPC reaches its
// quota, because gRPC then ends arbitrary streams and connections.
constexpr uint64_t kConnectionBytes = 64 << 20;

// The largest message on an address that answers health alone, which everybody
// may reach: it has the name of a service. And what gRPC may hold there of one
// client.
constexpr int kHealthMessageBytes = 4 << 10;
constexpr uint64_t kUnreadHealthBytes = 4 << 20;

// The limit for gRPC's own threads. Our methods compute on the threads of the
// batcher, but reflection, which any client may call, uses a thread per stream.
constexpr int kMaxGrpcThreads = 16;

void LogReadiness(const std::string& missing) {
  if (missing.empty()) {
    spdlog::info("ready: all required models are loaded");
  } else {
    spdlog::warn("not ready: required models that are not loaded: {}", missing);
  }
}

// How long threads may take that wait for a file.
constexpr std::chrono::seconds kThreadLimit(1);

// How long calls may take to end after they were told to, and how often they
// are told.
constexpr std::chrono::milliseconds kEndLimit(500);
constexpr std::chrono::milliseconds kEndPause(10);

// How long streams have to end that are not ours, such as health.Watch; and how
// long clients have to read the last bytes of their connections.
constexpr std::chrono::milliseconds kLinger(200);
constexpr std::chrono::milliseconds kCloseLinger(2'000);

// The files that a process needs besides those of connections.
constexpr uint64_t kOtherFiles = 128;

// A connection of gRPC has a socket of the client and two inside the process;
// one of HTTP has one.
constexpr uint64_t kFilesOfGrpc = 3;
constexpr uint64_t kFilesOfHttp = 1;

// A scrape takes milliseconds. Connections beyond this limit are closed.
constexpr uint64_t kMaxScrapers = 64;

// Limits the connections of an address to those for which the process may open
// files, and those of one client to half of them. There may be as many at the
// main address, that of health, and that of HTTP. Only administrators reach the
// others.
void LimitConnections(const ServerOptions& options, ClientLimits* limits) {
  const uint64_t files_each =
      kFilesOfGrpc + kFilesOfHttp +
      (options.health_listen.empty() ? 0 : kFilesOfGrpc);
  if (rlimit limit; getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    const uint64_t files = std::max<uint64_t>(limit.rlim_cur, 2 * kOtherFiles);
    limits->connections =
        std::min(limits->connections, (files - kOtherFiles) / files_each);
  }
  limits->connections_per_client =
      std::min(limits->connections_per_client,
               std::max<uint64_t>(1, limits->connections / 2));
}

}  // namespace

std::string MissingModels(const ServedModels& served,
                          const std::vector<std::string>& required) {
  std::vector<std::string> missing;
  for (const std::string& name : required) {
    if (!served.GetEntry(name).ok()) missing.push_back(name);
  }
  return absl::StrJoin(missing, ", ");
}

absl::Status Server::CheckFiles(const ServerOptions& options) {
  const TlsOptions& tls = options.tls;
  absl::Status status = CheckTlsOptions(tls);
  if (status.ok() && tls.encrypts()) status = TlsContext::Create(tls).status();
  if (status.ok() && !options.tokens_file.empty()) {
    status = Authenticator::Create(options.tokens_file).status();
  }
  return status;
}

Server::Server(const ServerOptions& options, std::unique_ptr<ModelStore> store,
               std::unique_ptr<Authenticator> authenticator,
               std::shared_ptr<TlsContext> tls)
    : options_(options),
      store_(std::move(store)),
      authenticator_(std::move(authenticator)),
      tls_(std::move(tls)),
      metrics_(options.version),
      log_(options.log),
      watchdog_(options.stall),
      limiter_(options.calls),
      budgets_(options.limits),
      score_cache_(options.score_cache_bytes),
      interceptor_(authenticator_.get(), shutdown_, limiter_, budgets_,
                   watchdog_, metrics_, log_, options_.tracer.get()),
      admin_budgets_(options.limits),
      admin_interceptor_(authenticator_.get(), shutdown_, admin_limiter_,
                         admin_budgets_, watchdog_, metrics_, log_,
                         options_.tracer.get()),
      batcher_(CountedBatches(options.batcher)),
      serving_{*store_, options_.limits, batcher_, budgets_, score_cache_} {
  main_.services.push_back(MakeLanguageModelService(serving_, interceptor_));
  main_.services.push_back(MakeModelService(*store_, interceptor_));
  admin_.services.push_back(MakeAdminService(*store_, admin_interceptor_));
  if (tls_ == nullptr) return;
  tls_thread_ =
      std::make_unique<BackgroundThread>(BackgroundThread::Priority::kNormal);
  tls_thread_->RepeatEvery(options.tls.check_interval,
                           [tls = tls_] { tls->Refresh(); });
}

BatcherOptions Server::CountedBatches(BatcherOptions options) {
  options.on_batch = [this](const BatcherOptions::Batch& batch) {
    metrics_.OnBatch(batch);
  };
  return options;
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const ServerOptions& options, std::unique_ptr<ModelStore> store) {
  EnablePlugins();
  absl::Status status = CheckTlsOptions(options.tls);
  if (!status.ok()) return status;
  std::shared_ptr<TlsContext> tls;
  if (options.tls.encrypts()) {
    auto created = TlsContext::Create(options.tls);
    if (!created.ok()) return created.status();
    tls = *std::move(created);
  }
  std::unique_ptr<Authenticator> authenticator;
  if (!options.tokens_file.empty()) {
    auto created =
        Authenticator::Create(options.tokens_file, options.tokens_check);
    if (!created.ok()) return created.status();
    authenticator = *std::move(created);
  }
  auto server = absl::WrapUnique(new Server(
      options, std::move(store), std::move(authenticator), std::move(tls)));
  status = server->Listen();
  if (!status.ok()) return status;
  status = server->ListenHttp();
  if (!status.ok()) return status;
  server->store_->OnChange(
      [server = server.get()] { server->OnModelsChanged(); });
  return server;
}

Server::~Server() {
  store_->OnChange(nullptr);
  Drain(std::chrono::milliseconds(0));
}

absl::Status Server::Listen() {
  absl::Status status = main_.Listen(options_.listen, options_, tls_);
  if (status.ok() && !options_.admin_listen.empty()) {
    status = admin_.Listen(options_.admin_listen, options_, tls_);
  }
  if (status.ok() && !options_.health_listen.empty()) {
    status = health_only_.Listen(options_.health_listen, options_, nullptr);
  }
  if (!status.ok()) return status;
  if (admin_.server != nullptr) {
    for (const char* name : {"", "lm.v1.ModelService"}) {
      admin_.server->GetHealthCheckService()->SetServingStatus(name, true);
    }
  }
  SetHealth("lm.v1.LanguageModelService", true);
  SetHealth("lm.v1.ModelService", true);
  health_states_.Set("", false);  // until OnModelsChanged() decides
  return absl::OkStatus();
}

void Server::SetHealth(const std::string& name, bool is_serving) {
  for (const Listener* listener : {&main_, &health_only_}) {
    if (listener->server == nullptr) continue;
    listener->server->GetHealthCheckService()->SetServingStatus(name,
                                                                is_serving);
  }
  health_states_.Set(name, is_serving);
}

std::unique_ptr<HttpServer> Server::MakeHttp(
    const CallInterceptor& interceptor, const HttpPolicyOptions& policy) const {
  HttpServerOptions options = {
      .tls = tls_,
      .loops = {.socket_mode = options_.listener.socket_mode,
                .clients = options_.listener.clients,
                .threads = AvailableProcessors()},
      .policy = policy,
      .message_bytes = static_cast<uint64_t>(options_.limits.message_bytes)};
  LimitConnections(options_, &options.loops.clients);
  return std::make_unique<HttpServer>(options, interceptor);
}

std::function<std::string()> Server::MakeMetricsText() {
  const auto http_counts = [this] {
    const HttpServer::Counts counts = http_->counts();
    return MetricsText::HttpCounts{
        .connections = counts.connections.connections,
        .accepted = counts.connections.accepted,
        .refused_connections = counts.connections.refused,
        .ended_connections = counts.ended_connections,
        .requests = counts.requests};
  };
  MetricsText::Sources sources = {
      .metrics = metrics_,
      .serving = serving_,
      .limiter = limiter_,
      .connections = *main_.connections,
      .authenticator = authenticator_.get(),
      .tls = tls_.get(),
      .tracer = options_.tracer.get(),
      .dropped_log_lines = options_.dropped_log_lines,
      .http_counts = nullptr};
  if (http_ != nullptr) sources.http_counts = http_counts;
  return MetricsText(sources);
}

absl::Status Server::ListenHttp() {
  const HealthOf health = [this](const std::string& name) {
    return health_states_.Get(name);
  };
  if (!options_.http_listen.empty()) {
    http_ = MakeHttp(interceptor_, options_.http_policy);
    HttpRouter& router = http_->router();
    AddLanguageModelRoutes(serving_, http_->context(), &router);
    AddModelRoutes(*store_, nullptr, http_->context(), &router);
    AddOpenAiRoutes(serving_, http_->context(), &router);
    AddHealthRoutes(health, http_->context(), &router);
    AddMetricsRoute(MakeMetricsText(), /*needs_token=*/true, http_->context(),
                    &router);
    AddOpenApiRoute(http_->context(), &router);
    AddPageRoutes(std::make_shared<Page>(PageFiles()), &router);
    absl::Status status = http_->Listen(options_.http_listen);
    if (!status.ok()) return status;
  }
  if (!options_.http_admin_listen.empty()) {
    http_admin_ = MakeHttp(admin_interceptor_, options_.http_policy);
    AddModelRoutes(*store_, store_.get(), http_admin_->context(),
                   &http_admin_->router());
    AddHealthRoutes(health, http_admin_->context(), &http_admin_->router());
    absl::Status status = http_admin_->Listen(options_.http_admin_listen);
    if (!status.ok()) return status;
  }
  if (options_.metrics_listen.empty()) return absl::OkStatus();
  // Scrapers ask by any name, without encryption.
  metrics_http_ = std::make_unique<HttpServer>(
      HttpServerOptions{
          .loops = {.clients = {.connections = kMaxScrapers,
                                .connections_per_client = kMaxScrapers}},
          .policy = {.any_host = true}},
      admin_interceptor_);
  AddMetricsRoute(MakeMetricsText(), /*needs_token=*/false,
                  metrics_http_->context(), &metrics_http_->router());
  if (absl::StartsWith(options_.metrics_listen, "unix:") ||
      !metrics_http_->Listen(options_.metrics_listen).ok()) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options_.metrics_listen,
                     " for metrics: it is in use or not valid"));
  }
  return absl::OkStatus();
}

int Server::metrics_port() const {
  int port = 0;
  if (metrics_http_ == nullptr) return port;
  const std::string& address = metrics_http_->address();
  (void)absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port);
  return port;
}

absl::Status Server::Listener::Listen(const std::string& address,
                                      const ServerOptions& options,
                                      std::shared_ptr<const TlsContext> tls) {
  ListenerOptions listening = options.listener;
  listening.tls = std::move(tls);
  LimitConnections(options, &listening.clients);
  // gRPC has about as many threads as there are processors.
  listening.clients.write_turns_per_client =
      std::max(listening.clients.write_turns_per_client,
               static_cast<size_t>(AvailableProcessors()));
  const bool is_health_only = services.empty();
  // A message of the largest size fits, even in frames that are not full.
  listening.clients.unread_bytes_per_client =
      is_health_only
          ? kUnreadHealthBytes
          : std::max<uint64_t>(listening.clients.unread_bytes_per_client,
                               uint64_t{2} * options.limits.message_bytes);
  grpc::ServerBuilder builder;
  acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(
      is_health_only ? kHealthMessageBytes : options.limits.message_bytes);
  SetConnectionOptions(options.connections, builder);
  // gRPC would decompress a message before the server sees it, and a small
  // message may decompress to any size.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetResourceQuota(
      grpc::ResourceQuota("requests")
          .Resize(kConnectionBytes +
                  (is_health_only ? 0 : 2 * options.limits.all_request_bytes) +
                  2 * listening.clients.unread_bytes_per_client)
          .SetMaxThreads(kMaxGrpcThreads));
  for (const auto& service : services) builder.RegisterService(service.get());
  if (is_health_only) {
    builder.SetOption(std::make_unique<NoPlugins>());
    builder.RegisterCallbackGenericService(&unimplemented);
  }
  server = builder.BuildAndStart();
  if (server == nullptr) {
    return absl::InternalError("gRPC cannot start a server");
  }
  // gRPC begins with true.
  server->GetHealthCheckService()->SetServingStatus("", false);
  auto listener = ConnectionListener::Start(
      address, listening, [acceptor = acceptor.get()](int socket) {
        grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
            connection;
        connection.fd = socket;
        acceptor->HandleNewConnection(&connection);
      });
  if (!listener.ok()) {
    server->Shutdown();
    server = nullptr;
    return listener.status();
  }
  connections = *std::move(listener);
  return absl::OkStatus();
}

void Server::OnModelsChanged() {
  const std::shared_ptr<const ServedModels> served = store_->served();
  std::map<std::string, bool> health_of_names;
  for (const auto& entry : health_) health_of_names[entry.first] = false;
  for (const std::string& name : served->Names()) {
    health_of_names[name] = served->GetEntry(name).ok();
  }
  for (const auto& [name, is_serving] : health_of_names) {
    const auto before = health_.find(name);
    if (before != health_.end() && before->second == is_serving) continue;
    SetHealth(name, is_serving);
  }
  health_ = std::move(health_of_names);
  std::string missing = MissingModels(*served, options_.required_models);
  const bool is_ready = missing.empty() && !served->models.empty();
  SetHealth("", is_ready);
  if (missing != missing_) LogReadiness(missing);
  missing_ = std::move(missing);
  metrics_.KeepOnly(*served);
  if (options_.on_models) options_.on_models(*served);
}

std::vector<const Server::Listener*> Server::Listeners() const {
  std::vector<const Listener*> listeners;
  for (const Listener* listener : {&main_, &admin_, &health_only_}) {
    if (listener->connections != nullptr) listeners.push_back(listener);
  }
  return listeners;
}

std::vector<HttpServer*> Server::HttpServers() const {
  std::vector<HttpServer*> servers;
  for (const auto* server : {&http_, &http_admin_}) {
    if (*server != nullptr) servers.push_back(server->get());
  }
  return servers;
}

void Server::WaitForAnswers(std::chrono::steady_clock::time_point end) const {
  while (budgets_.answer_bytes.taken() + admin_budgets_.answer_bytes.taken() >
             0 &&
         std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Server::EndCalls() {
  spdlog::warn("ending {} calls that have not ended in time",
               limiter_.under_way() + admin_limiter_.under_way());
  const auto end = std::chrono::steady_clock::now() + kEndLimit;
  do {
    shutdown_.Raise();
  } while (!limiter_.CloseAndWait(kEndPause) &&
           std::chrono::steady_clock::now() < end);
}

bool Server::StopThreads() {
  bool ended = store_->Stop();
  const auto end = std::chrono::steady_clock::now() + kThreadLimit;
  const auto left = [&] {
    return std::max(std::chrono::milliseconds(0),
                    std::chrono::duration_cast<std::chrono::milliseconds>(
                        end - std::chrono::steady_clock::now()));
  };
  if (authenticator_ != nullptr) ended &= authenticator_->Stop(left());
  if (tls_thread_ != nullptr) ended &= tls_thread_->Stop(left());
  return ended;
}

void Server::Drain(std::chrono::milliseconds deadline,
                   std::chrono::milliseconds grace) {
  for (const Listener* listener : Listeners()) {
    listener->server->GetHealthCheckService()->Shutdown();
  }
  health_states_.Shutdown();
  std::this_thread::sleep_for(grace);
  auto end = std::chrono::steady_clock::now() + deadline;
  const auto left = [&] {
    return std::max(std::chrono::milliseconds(0),
                    std::chrono::duration_cast<std::chrono::milliseconds>(
                        end - std::chrono::steady_clock::now()));
  };
  for (const Listener* listener : Listeners()) {
    listener->connections->RefuseStreams();
  }
  for (HttpServer* server : HttpServers()) server->Drain();
  limiter_.CloseAndWait(deadline);
  admin_limiter_.CloseAndWait(left());
  const bool are_late =
      limiter_.under_way() > 0 || admin_limiter_.under_way() > 0;
  if (are_late) EndCalls();
  all_threads_ended_ = StopThreads();
  // The errors of late calls must reach their clients.
  if (are_late) {
    end = std::max(end, std::chrono::steady_clock::now() + kLinger);
  }
  WaitForAnswers(end);
  // Streams that are not ours, such as health.Watch, need not end.
  const auto linger = [&](std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + std::min(left(), time);
  };
  for (const Listener* listener : Listeners()) {
    listener->connections->WaitUntilIdle(linger(kLinger));
  }
  for (HttpServer* server : HttpServers()) {
    server->WaitUntilIdle(linger(kLinger));
  }
  for (const Listener* listener : Listeners()) {
    listener->server->Shutdown(std::chrono::system_clock::now());
    listener->server->Wait();
  }
  for (const Listener* listener : Listeners()) {
    listener->connections->WaitUntilClosed(linger(kCloseLinger));
  }
}

}  // namespace lmserve
