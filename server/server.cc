// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <thread>

#include "absl/base/call_once.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/rpc/language_model_service.h"
#include "server/rpc/model_management_service.h"

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
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
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
}

// Memory that gRPC may use for connections, besides that for the requests that
// it has received. The budget of requests must refuse calls before gRPC reaches
// its quota, because gRPC then ends an arbitrary stream.
constexpr uint64_t kConnectionBytes = 64 << 20;

// The limit for gRPC's own threads. Our methods compute on the threads of the
// batcher, but reflection, which any client may call, uses a thread per stream.
constexpr int kMaxGrpcThreads = 16;

// Whether a process listens on a Unix socket. gRPC does not check this: it
// would replace the socket by its own.
bool IsSocketInUse(absl::string_view path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  const bool in_use = connect(socket, reinterpret_cast<sockaddr*>(&address),
                              sizeof(address)) == 0;
  close(socket);
  return in_use;
}

// Whether gRPC may try to listen on an address. gRPC itself would take a port
// above 65535 modulo 65536.
bool MayListen(absl::string_view address) {
  if (absl::ConsumePrefix(&address, "unix:")) return !IsSocketInUse(address);
  uint64_t port = 0;
  return !absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port) ||
         port <= 65'535;
}

// Makes the Unix sockets that are created during its life private.
class PrivateSockets {
 public:
  explicit PrivateSockets(bool enabled) : enabled_(enabled) {
    if (enabled_) umask_ = umask(0177);
  }
  ~PrivateSockets() {
    if (enabled_) umask(umask_);
  }
  PrivateSockets(const PrivateSockets&) = delete;
  PrivateSockets& operator=(const PrivateSockets&) = delete;

 private:
  const bool enabled_;
  mode_t umask_ = 0;
};

// Whether all required models are loaded; without any, whether some model is.
bool IsReady(const ServedModels& served,
             const std::vector<std::string>& required) {
  if (required.empty()) return !served.models.empty();
  return std::all_of(
      required.begin(), required.end(),
      [&](const std::string& name) { return served.GetEntry(name).ok(); });
}

// After the last call has ended, clients have this long to read its end: gRPC
// closes a connection with its last call, and data that the client has not read
// may be lost. Streams of health.Watch are then cut off, too.
constexpr std::chrono::milliseconds kLinger(200);

}  // namespace

Server::Server(const ServerOptions& options, std::unique_ptr<ModelStore> store,
               std::unique_ptr<Authenticator> authenticator)
    : options_(options),
      store_(std::move(store)),
      authenticator_(std::move(authenticator)),
      metrics_(options.version),
      log_(options.log),
      watchdog_(options.stall),
      limiter_(options.calls),
      budgets_(options.limits),
      score_cache_(options.score_cache_bytes),
      interceptor_(authenticator_.get(), limiter_, budgets_, watchdog_,
                   metrics_, log_),
      admin_budgets_(options.limits),
      admin_interceptor_(authenticator_.get(), admin_limiter_, admin_budgets_,
                         watchdog_, metrics_, log_),
      batcher_(CountedBatches(options.batcher)),
      serving_{*store_, options_.limits, batcher_, budgets_, score_cache_} {
  main_.services.push_back(MakeLanguageModelService(serving_, interceptor_));
  main_.services.push_back(MakeModelService(*store_, interceptor_));
  admin_.services.push_back(MakeAdminService(*store_, admin_interceptor_));
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
  std::unique_ptr<Authenticator> authenticator;
  if (!options.tokens_file.empty()) {
    auto created = Authenticator::Create(options.tokens_file);
    if (!created.ok()) return created.status();
    authenticator = *std::move(created);
  }
  auto server = absl::WrapUnique(
      new Server(options, std::move(store), std::move(authenticator)));
  absl::Status status = server->Listen();
  if (!status.ok()) return status;
  if (!options.metrics_listen.empty()) {
    auto exporter =
        MetricsExporter::Start(options.metrics_listen, server->metrics_,
                               server->serving_, server->limiter_);
    if (!exporter.ok()) return exporter.status();
    server->exporter_ = *std::move(exporter);
  }
  server->store_->OnChange(
      [server = server.get()] { server->OnModelsChanged(); });
  return server;
}

Server::~Server() {
  store_->OnChange(nullptr);
  Drain(std::chrono::milliseconds(0));
}

absl::Status Server::Listen() {
  const auto credentials = MakeServerCredentials(options_.tls);
  if (!credentials.ok()) return credentials.status();
  absl::Status status = main_.Listen(options_.listen, *credentials, options_);
  if (status.ok() && !options_.admin_listen.empty()) {
    status = admin_.Listen(options_.admin_listen, *credentials, options_);
  }
  if (!status.ok()) return status;
  for (grpc::Server* server : Servers()) {
    grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
    health->SetServingStatus("lm.v1.ModelService", true);
    // gRPC begins with true. OnModelsChanged() decides for the main address.
    health->SetServingStatus("", server == admin_.server.get());
  }
  main_.server->GetHealthCheckService()->SetServingStatus(
      "lm.v1.LanguageModelService", true);
  return absl::OkStatus();
}

absl::Status Server::Listener::Listen(
    const std::string& requested_address,
    const std::shared_ptr<grpc::ServerCredentials>& credentials,
    const ServerOptions& options) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(requested_address, credentials, &port);
  builder.SetMaxReceiveMessageSize(options.limits.message_bytes);
  SetConnectionOptions(options.connections, builder);
  // gRPC would decompress a message before the server sees it, and a small
  // message may decompress to any size.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetResourceQuota(
      grpc::ResourceQuota("requests")
          .Resize(kConnectionBytes + 2 * options.limits.all_request_bytes)
          .SetMaxThreads(kMaxGrpcThreads));
  for (const auto& service : services) builder.RegisterService(service.get());
  if (MayListen(requested_address)) {
    const PrivateSockets until_the_mode_is_set(options.socket_mode.has_value());
    server = builder.BuildAndStart();
  }
  if (server == nullptr) {
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", requested_address, ": it is in use or not valid"));
  }
  address = requested_address;
  absl::string_view path = address;
  if (options.socket_mode.has_value() && absl::ConsumePrefix(&path, "unix:") &&
      chmod(std::string(path).c_str(), *options.socket_mode) != 0) {
    return absl::UnavailableError(absl::StrCat(
        "cannot set the mode of ", address, ": ", std::strerror(errno)));
  }
  if (absl::EndsWith(address, ":0")) {
    address.resize(address.size() - 1);
    absl::StrAppend(&address, port);
  }
  return absl::OkStatus();
}

void Server::OnModelsChanged() {
  const std::shared_ptr<const ServedModels> served = store_->served();
  std::set<std::string> names;
  for (const auto& entry : served->models) names.insert(entry.first);
  grpc::HealthCheckServiceInterface* health =
      main_.server->GetHealthCheckService();
  for (const std::string& name : names) {
    if (healthy_.count(name) == 0) health->SetServingStatus(name, true);
  }
  for (const std::string& name : healthy_) {
    if (names.count(name) == 0) health->SetServingStatus(name, false);
  }
  healthy_ = std::move(names);
  health->SetServingStatus("", IsReady(*served, options_.required_models));
  metrics_.KeepOnly(*served);
  if (options_.on_models) options_.on_models(*served);
}

std::vector<grpc::Server*> Server::Servers() const {
  std::vector<grpc::Server*> servers;
  for (const Listener* listener : {&main_, &admin_}) {
    if (listener->server != nullptr) servers.push_back(listener->server.get());
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

void Server::Drain(std::chrono::milliseconds deadline,
                   std::chrono::milliseconds grace) {
  for (grpc::Server* server : Servers()) {
    server->GetHealthCheckService()->Shutdown();
  }
  std::this_thread::sleep_for(grace);
  const auto end = std::chrono::steady_clock::now() + deadline;
  const auto left = [&] {
    return std::max(std::chrono::milliseconds(0),
                    std::chrono::duration_cast<std::chrono::milliseconds>(
                        end - std::chrono::steady_clock::now()));
  };
  limiter_.CloseAndWait(deadline);
  admin_limiter_.CloseAndWait(left());
  store_->Stop();
  WaitForAnswers(end);
  const auto linger = std::min(left(), kLinger);
  std::this_thread::sleep_for(linger);
  for (grpc::Server* server : Servers()) {
    server->Shutdown(std::chrono::system_clock::now() + linger);
    server->Wait();
  }
}

}  // namespace lmserve
