#ifndef LMSERVE_TESTS_TESTING_FAKE_SERVICE_H_
#define LMSERVE_TESTS_TESTING_FAKE_SERVICE_H_

#include <grpcpp/server.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "lm/v1/language_model.grpc.pb.h"

namespace lmserve {

// What a FakeServer does with the calls it gets.
struct FakeScript {
  int failures = 0;  // so many calls, the first ones, end with `failure`
  grpc::Status failure = {};
  bool hang = false;  // never answers; a call ends when it is cancelled
  // A stream ends with `failure` after so many answers; negative: it does not.
  int fail_stream_after = -1;
  size_t answer_bytes = 0;  // at least so large is a Score answer
  // What ListModels tells of, each version 1 and default.
  std::vector<std::string> models = {};
};

// The services of lm_server without a model, scripted. Every answer tells in
// its model's name which method gave it. The score of a text has the text's
// number as its log_prob; Generate writes "word" without end. Health: "" and
// "up" serve, "down" does not. Listens on a free port of 127.0.0.1. Any number
// of threads may use one.
class FakeServer {
 public:
  explicit FakeServer(FakeScript script = {});
  ~FakeServer();

  const std::string& address() const { return address_; }

  // Calls that arrived, streams too.
  int calls() const;
  // The connections they came on.
  std::set<std::string> peers() const;
  // Waits until some call was cancelled, a minute at most. False: none was.
  bool WaitForCancellation() const;

 private:
  class LanguageModel;
  class Models;
  class Hanging;
  class ScoreStreamReactor;
  class GenerateReactor;

  // Counts the call, and tells what is to become of it.
  enum class Fate { kAnswer, kFail, kHang };
  Fate Arrive(const grpc::CallbackServerContext& context);
  void NoteCancellation();
  void Score(const lm::v1::ScoreRequest& request,
             lm::v1::ScoreResponse* response) const;

  const FakeScript script_;
  mutable std::mutex mutex_;  // guards the next four members
  mutable std::condition_variable changed_;
  int calls_ = 0;
  std::set<std::string> peers_;
  bool cancelled_ = false;
  const std::unique_ptr<grpc::Service> language_model_;
  const std::unique_ptr<grpc::Service> models_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_FAKE_SERVICE_H_
