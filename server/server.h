#ifndef LMSERVE_SERVER_SERVER_H_
#define LMSERVE_SERVER_SERVER_H_

#include <grpcpp/server.h>

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model_store/model_store.h"
#include "server/call_gate.h"
#include "server/limits.h"

namespace lmserve {

struct ServerOptions {
  std::string listen = "localhost:50051";  // HOST:PORT, port 0 picks; unix:PATH
  std::string admin_listen =
      "";  // the same, for what changes models; empty: no
  Limits limits = {};
  // Called with what is served, when that has changed; not twice at a time.
  std::function<void(const ServedModels&)> on_models = nullptr;
};

// A running server: the two services, health (grpc.health.v1: "" and the names
// of services and models; a model serves while a version of it is loaded) and
// reflection. One thread at a time.
class Server {
 public:
  // Listens, then serves. Fails where the address is taken or is none.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::unique_ptr<ModelStore> store);

  // Stops at once whatever still runs.
  ~Server();

  // Where it listens, with the port that was picked.
  const std::string& address() const { return main_.address; }
  const std::string& admin_address() const { return admin_.address; }

  // Says NOT_SERVING, refuses new calls, and waits for those that run; what is
  // left when the time is up is cancelled.
  void Drain(std::chrono::milliseconds deadline);

 private:
  // Services on an address of their own.
  struct Listener {
    absl::Status Listen(const std::string& wanted, const Limits& limits);

    std::vector<std::unique_ptr<grpc::Service>> services;
    std::string address = "";
    std::unique_ptr<grpc::Server> server = nullptr;  // null: does not listen
  };

  Server(const ServerOptions& options, std::unique_ptr<ModelStore> store);

  absl::Status Listen();
  void FollowModels();
  std::vector<grpc::Server*> Servers() const;

  const ServerOptions options_;
  const std::unique_ptr<ModelStore> store_;
  CallGate gate_;
  std::set<std::string> serving_;  // models, for the store's callback alone
  Listener main_;
  Listener admin_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVER_H_
