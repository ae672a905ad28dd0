#ifndef LMSERVE_TESTS_BENCH_LOAD_CLIENTS_H_
#define LMSERVE_TESTS_BENCH_LOAD_CLIENTS_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "grpcpp/channel.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"

namespace lmserve {

// What came of the calls of one measurement. Any number of threads may add.
class LoadResult {
 public:
  // Latencies are counted from when a call was due, not from when it was sent:
  // a server that is late is late for all that wait behind.
  void Add(grpc::StatusCode code, double seconds);
  void AddWork(uint64_t amount);

  uint64_t calls(grpc::StatusCode code) const;
  uint64_t work() const { return work_; }

  // The latency below which a share of the calls with that code stayed.
  double Quantile(grpc::StatusCode code, double share) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<grpc::StatusCode, std::vector<double>> latencies_;
  uint64_t work_ = 0;
};

// A unary call, again and again.
struct UnaryLoad {
  std::string method;  // as in "/lm.v1.LanguageModelService/Score"
  std::vector<grpc::ByteBuffer> requests;  // in turn
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
};

// Closed loop: so many calls are under way at a time, each on the channels in
// turn.
void RunClosed(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
               const UnaryLoad& load, size_t concurrency,
               std::chrono::duration<double> time, LoadResult* result);

// Open loop: calls come at random (Poisson), so many a second on average,
// whatever becomes of those before.
void RunOpen(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
             const UnaryLoad& load, double rate,
             std::chrono::duration<double> time, LoadResult* result);

// So many Generate streams at a time, each begun anew when it ends; a call is a
// stream, the work its words.
void RunGenerate(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                 const std::string& model, uint32_t words, size_t concurrency,
                 std::chrono::duration<double> time, LoadResult* result);

// One Decode stream with a few requests under way: a call is a request, the
// work its (state, word) pairs.
void RunDecode(const std::shared_ptr<grpc::Channel>& channel,
               const std::string& model, size_t pairs,
               std::chrono::duration<double> time, LoadResult* result);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_BENCH_LOAD_CLIENTS_H_
