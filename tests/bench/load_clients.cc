// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/load_clients.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <random>
#include <thread>
#include <utility>

#include "absl/types/span.h"
#include "lm/v1/language_model.grpc.pb.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;
using Channels = std::vector<std::shared_ptr<grpc::Channel>>;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The number of calls that were sent and have not ended.
class CallsInProgress {
 public:
  void Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
  }
  void End() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --count_;
    changed_.notify_all();
  }
  void WaitBelow(size_t limit) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return count_ < limit; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t count_ = 0;
};

// Sends the calls of a load, in turn over channels and requests.
class UnarySender {
 public:
  UnarySender(const Channels& channels, const UnaryLoad& load,
              LoadResult* result)
      : load_(load), result_(result) {
    for (const auto& channel : channels) stubs_.emplace_back(channel);
  }

  // Sends a call that was due at the given time.
  void Send(Clock::time_point due) {
    struct Call {
      grpc::ClientContext context;
      grpc::ByteBuffer response;
    };
    auto call = std::make_shared<Call>();
    call->context.set_deadline(std::chrono::system_clock::now() +
                               load_.deadline);
    const size_t number = next_++;
    in_progress_.Begin();
    stubs_[number % stubs_.size()].UnaryCall(
        &call->context, load_.method, {},
        &load_.requests[number % load_.requests.size()], &call->response,
        [this, call, due](const grpc::Status& status) mutable {
          result_->Add(status.error_code(), SecondsSince(due));
          // A call owns a reference to its channel. gRPC 1.51 crashes if the
          // last reference is released on gRPC's own thread.
          call.reset();
          in_progress_.End();
        });
  }

  CallsInProgress& in_progress() { return in_progress_; }

 private:
  const UnaryLoad& load_;
  LoadResult* const result_;
  std::deque<grpc::GenericStub> stubs_;
  CallsInProgress in_progress_;
  size_t next_ = 0;
};

}  // namespace

void LoadResult::Add(grpc::StatusCode code, double seconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  latencies_[code].push_back(seconds);
}

void LoadResult::AddWork(uint64_t amount) {
  const std::lock_guard<std::mutex> lock(mutex_);
  work_ += amount;
}

uint64_t LoadResult::calls(grpc::StatusCode code) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = latencies_.find(code);
  return found == latencies_.end() ? 0 : found->second.size();
}

double LoadResult::Quantile(grpc::StatusCode code, double share) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<double>& seconds = latencies_[code];
  if (seconds.empty()) return 0;
  const auto index = std::min<size_t>(
      seconds.size() - 1,
      static_cast<size_t>(share * static_cast<double>(seconds.size())));
  std::nth_element(seconds.begin(), seconds.begin() + index, seconds.end());
  return seconds[index];
}

void RunClosed(const Channels& channels, const UnaryLoad& load,
               size_t concurrency, std::chrono::duration<double> time,
               LoadResult* result) {
  UnarySender sender(channels, load, result);
  const Clock::time_point start = Clock::now();
  while (Clock::now() - start < time) {
    sender.Send(Clock::now());
    sender.in_progress().WaitBelow(concurrency);
  }
  sender.in_progress().WaitBelow(1);
}

void RunOpen(const Channels& channels, const UnaryLoad& load, double rate,
             std::chrono::duration<double> time, LoadResult* result) {
  UnarySender sender(channels, load, result);
  std::mt19937_64 random(1);
  std::exponential_distribution<double> gap(rate);
  const Clock::time_point start = Clock::now();
  std::chrono::duration<double> due(0);
  while ((due += std::chrono::duration<double>(gap(random))) < time) {
    const auto at = start + std::chrono::duration_cast<Clock::duration>(due);
    std::this_thread::sleep_until(at);
    sender.Send(at);
  }
  sender.in_progress().WaitBelow(1);
}

void RunGenerate(const Channels& channels, const std::string& model,
                 uint32_t words, size_t concurrency,
                 std::chrono::duration<double> time, LoadResult* result) {
  const Clock::time_point start = Clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < concurrency; ++i) {
    threads.emplace_back([&, i] {
      const auto stub =
          lm::v1::LanguageModelService::NewStub(channels[i % channels.size()]);
      for (uint64_t seed = i; Clock::now() - start < time;
           seed += concurrency) {
        const Clock::time_point begun = Clock::now();
        grpc::ClientContext context;
        lm::v1::GenerateRequest request;
        request.set_model(model);
        request.set_max_words(words);
        request.set_seed(seed);
        const auto stream = stub->Generate(&context, request);
        lm::v1::GenerateResponse response;
        uint64_t read = 0;
        while (stream->Read(&response)) read += response.has_word();
        result->Add(stream->Finish().error_code(), SecondsSince(begun));
        result->AddWork(read);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void RunDecode(const std::shared_ptr<grpc::Channel>& channel,
               const std::string& model, size_t pairs,
               std::chrono::duration<double> time, LoadResult* result) {
  constexpr size_t kAhead = 4;
  const auto stub = lm::v1::LanguageModelService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Decode(&context);
  lm::v1::DecodeRequest request;
  request.mutable_start()->set_model(model);
  lm::v1::DecodeResponse response;
  if (!stream->Write(request) || !stream->Read(&response)) {
    result->Add(stream->Finish().error_code(), 0);
    return;
  }
  const uint32_t vocabulary = response.started().vocabulary_size();
  const uint32_t end = response.started().end_id();
  std::mt19937 random(1);
  std::deque<Clock::time_point> sent;
  // Extends the hypotheses by random words, `pairs` times in total.
  const auto send = [&](absl::Span<const uint32_t> from, bool release) {
    request.Clear();
    for (size_t i = 0; i < pairs; ++i) {
      request.mutable_extend()->add_handles(from[i % from.size()]);
      request.mutable_extend()->add_words(end + 1 +
                                          random() % (vocabulary - end - 1));
    }
    if (release) request.mutable_release()->Add(from.begin(), from.end());
    sent.push_back(Clock::now());
    stream->Write(request);
  };
  const uint32_t first = response.started().handle();
  const Clock::time_point start = Clock::now();
  for (size_t i = 0; i < kAhead; ++i) send({&first, 1}, false);
  while (!sent.empty() && stream->Read(&response)) {
    const auto& handles = response.extended().handles();
    result->Add(grpc::OK, SecondsSince(sent.front()));
    result->AddWork(handles.size());
    sent.pop_front();
    if (Clock::now() - start < time) send(handles, true);
  }
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  if (!status.ok()) result->Add(status.error_code(), 0);
}

}  // namespace lmserve
