// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_FAKE_SERVICE_H_
#define LMSERVE_TESTS_TESTING_FAKE_SERVICE_H_

#include <grpcpp/server.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lm/v1/language_model.grpc.pb.h"

namespace lmserve {

// How a FakeServer responds to calls.
struct FakeScript {
  int failures = 0;  // number of initial calls that end with `failure`
  grpc::Status failure = {};
  bool hang = false;  // never answer; a call ends when it is cancelled
  // Number of answers after which a stream ends with `failure`; negative: the
  // stream does not fail.
  int fail_stream_after = -1;
  // The error of the second call that fails and of later ones, if it differs.
  std::optional<grpc::Status> second_failure = {};
  bool answer_twice = false;  // each request of a ScoreStream
  size_t answer_bytes = 0;    // minimum size of an answer to Score
  // The models that ListModels returns, each with version 1 as the default.
  std::vector<std::string> models = {};
  bool is_up = true;  // what health reports of "up"
};

// A server with the services of lm_server, but without models. Every answer has
// the name of its method as the name of its model. The score of a text has the
// index of the text as its log_prob. Generate writes "word" endlessly. The
// Decode answers only the start of a stream. The
// health service reports "" and, unless the script says otherwise, "up" as
// serving, and "down" as not serving. The
// server listens on a free port of 127.0.0.1. Thread-safe.
class FakeServer {
 public:
  explicit FakeServer(FakeScript script = {});
  ~FakeServer();

  const std::string& address() const { return address_; }

  // The number of calls received, including streams.
  int calls() const;
  // The addresses of the clients.
  std::set<std::string> peers() const;
  // The metadata of the last call.
  std::multimap<std::string, std::string> metadata() const;
  // Waits for at most a minute until a call is cancelled. Returns whether one
  // was.
  bool WaitForCancellation() const;

 private:
  class LanguageModel;
  class Models;
  class Hanging;
  class ScoreStreamReactor;
  class GenerateReactor;
  class DecodeReactor;

  // Counts a call and decides how to respond to it.
  enum class Fate { kAnswer, kFail, kHang };
  Fate Arrive(const grpc::CallbackServerContext& context);
  grpc::Status NextFailure();
  void NoteCancellation();
  void Score(const lm::v1::ScoreRequest& request,
             lm::v1::ScoreResponse* response) const;

  const FakeScript script_;
  mutable std::mutex mutex_;  // guards the next members up to cancelled_
  mutable std::condition_variable changed_;
  int calls_ = 0;
  int failed_ = 0;
  std::set<std::string> peers_;
  std::multimap<std::string, std::string> metadata_;
  bool cancelled_ = false;
  const std::unique_ptr<grpc::Service> language_model_;
  const std::unique_ptr<grpc::Service> models_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_FAKE_SERVICE_H_
