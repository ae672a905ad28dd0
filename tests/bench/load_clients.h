// SPDX-License-Identifier: Apache-2.0
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

// The results of the calls of one measurement. Add() and AddWork() are
// thread-safe.
class LoadResult {
 public:
  // Latencies count from the time when a call was due, not when it was sent, so
  // that the delay of one call also counts for the calls that wait behind it.
  void Add(grpc::StatusCode code, double seconds);
  void AddWork(uint64_t amount);

  uint64_t calls(grpc::StatusCode code) const;
  uint64_t work() const { return work_; }

  // Returns a quantile (`share`, from 0 to 1) of the latencies in seconds of
  // the calls with a code.
  double Quantile(grpc::StatusCode code, double share) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<grpc::StatusCode, std::vector<double>> latencies_;
  uint64_t work_ = 0;
};

// A unary call that is repeated.
struct UnaryLoad {
  std::string method;  // such as "/lm.v1.LanguageModelService/Score"
  std::vector<grpc::ByteBuffer> requests;  // sent in turn
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
};

// Closed loop: keeps `concurrency` calls in progress, on the channels in turn.
void RunClosed(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
               const UnaryLoad& load, size_t concurrency,
               std::chrono::duration<double> time, LoadResult* result);

// Open loop: sends calls at random times (a Poisson process), `rate` per second
// on average, whether or not earlier calls have ended.
void RunOpen(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
             const UnaryLoad& load, double rate,
             std::chrono::duration<double> time, LoadResult* result);

// Keeps `concurrency` Generate streams in progress. One stream counts as one
// call, and its words as work.
void RunGenerate(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
                 const std::string& model, uint32_t words, size_t concurrency,
                 std::chrono::duration<double> time, LoadResult* result);

// Runs one Decode stream with a few requests in progress. One request counts as
// one call, and its (state, word) pairs as work.
void RunDecode(const std::shared_ptr<grpc::Channel>& channel,
               const std::string& model, size_t pairs,
               std::chrono::duration<double> time, LoadResult* result);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_BENCH_LOAD_CLIENTS_H_
