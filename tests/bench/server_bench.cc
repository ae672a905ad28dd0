// SPDX-License-Identifier: Apache-2.0
//
// Benchmarks of the server over loopback, with client and server in one
// process. Compares the rate of Score calls of 13 words with that of empty
// calls to the same server.

#include <benchmark/benchmark.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "model_store/model_store.h"
#include "server/rpc/language_model_service.h"
#include "server/rpc/wire.h"
#include "server/transport/shutdown_signal.h"
#include "tests/bench/bench_data.h"

namespace lmserve {
namespace {

// Answers ListModels with an empty message.
class EmptyService final
    : public lm::v1::ModelService::WithRawCallbackMethod_ListModels<
          lm::v1::ModelService::Service> {
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* /*in*/,
                                       grpc::ByteBuffer* out) override {
    SerializeMessage(lm::v1::ListModelsResponse(), out);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// Serves the services of lm_server and the empty one on a loopback port.
class BenchServer {
 public:
  static BenchServer& Get() {
    static BenchServer server;
    return server;
  }

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  BenchServer()
      : store_(ModelStore::Open(BenchData::Get().store()).value()),
        service_(MakeLanguageModelService(
            {*store_, limits_, batcher_, budgets_, score_cache_},
            interceptor_)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(service_.get());
    builder.RegisterService(&empty_);
    server_ = builder.BuildAndStart();
    channel_ = grpc::CreateChannel(absl::StrCat("127.0.0.1:", port),
                                   grpc::InsecureChannelCredentials());
  }

  const Limits limits_;
  CallLimiter limiter_;
  Budgets budgets_{limits_};
  WriteWatchdog watchdog_{std::chrono::milliseconds(0)};
  Metrics metrics_{"bench"};
  const RequestLog log_{{}};
  ShutdownSignal shutdown_;
  const CallInterceptor interceptor_{nullptr,   shutdown_, limiter_, budgets_,
                                     watchdog_, metrics_,  log_};
  const std::unique_ptr<const ModelStore> store_;
  Batcher batcher_{{}};
  ScoreCache score_cache_{0};
  const std::unique_ptr<grpc::Service> service_;
  EmptyService empty_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// Calls one method, with a fixed number of calls in progress.
class Load {
 public:
  Load(std::string method, std::vector<grpc::ByteBuffer> requests)
      : method_(std::move(method)),
        requests_(std::move(requests)),
        stub_(BenchServer::Get().channel()) {}

  // Returns the number of calls that failed.
  int Run(int calls, int at_once) {
    left_ = calls;
    failed_ = 0;
    {
      absl::MutexLock lock(&mutex_);
      running_ = at_once;
    }
    for (int i = 0; i < at_once; ++i) Next();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* running) { return *running == 0; }, &running_));
    return failed_;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer response;
  };

  void Next() {
    const int left = left_.fetch_sub(1);
    if (left <= 0) {
      absl::MutexLock lock(&mutex_);
      --running_;
      return;
    }
    auto call = std::make_shared<Call>();
    const grpc::ByteBuffer& request = requests_[left % requests_.size()];
    stub_.UnaryCall(&call->context, method_, grpc::StubOptions(), &request,
                    &call->response, [this, call](const grpc::Status& status) {
                      if (!status.ok()) ++failed_;
                      Next();
                    });
  }

  const std::string method_;
  const std::vector<grpc::ByteBuffer> requests_;
  grpc::GenericStub stub_;
  std::atomic<int> left_;
  std::atomic<int> failed_;
  absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_);
};

void RunLoad(benchmark::State& state, Load& load) {
  constexpr int kCalls = 20'000;
  load.Run(kCalls / 10, state.range(0));  // connects the channel
  for (auto _ : state) {
    if (load.Run(kCalls, state.range(0)) > 0) {
      state.SkipWithError("a call failed");
    }
  }
  state.SetItemsProcessed(state.iterations() * kCalls);
}

void EmptyCalls(benchmark::State& state) {
  grpc::ByteBuffer request;
  SerializeMessage(lm::v1::ListModelsRequest(), &request);
  Load load("/lm.v1.ModelService/ListModels", {request});
  RunLoad(state, load);
}

void ScoreCalls(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  std::vector<grpc::ByteBuffer> requests;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    if (sentence.size() < 14 || requests.size() == 1000) continue;
    lm::v1::ScoreRequest request;
    request.set_model(BenchData::Name(layout));
    std::vector<absl::string_view> words;
    for (size_t i = 0; i < 13; ++i) {
      words.push_back(data.model().vocabulary().word(sentence[i]));
    }
    request.add_texts()->set_text(absl::StrJoin(words, " "));
    SerializeMessage(request, &requests.emplace_back());
  }
  Load load("/lm.v1.LanguageModelService/Score", std::move(requests));
  RunLoad(state, load);
}

// Predicts the ten best words after each of the test text's sentences.
void PredictCalls(benchmark::State& state, BenchData::Layout layout) {
  const BenchData& data = BenchData::Get();
  std::vector<grpc::ByteBuffer> requests;
  for (const std::vector<WordId>& sentence : data.sentences()) {
    if (sentence.size() < 5 || requests.size() == 1000) continue;
    lm::v1::PredictRequest request;
    request.set_model(BenchData::Name(layout));
    request.set_k(10);
    std::vector<absl::string_view> words;
    for (size_t i = 0; i < 4; ++i) {
      words.push_back(data.model().vocabulary().word(sentence[i]));
    }
    request.add_contexts()->set_text(absl::StrJoin(words, " "));
    SerializeMessage(request, &requests.emplace_back());
  }
  Load load("/lm.v1.LanguageModelService/Predict", std::move(requests));
  RunLoad(state, load);
}

// Alternates between the calls, so that all run under the same conditions.
const bool kCallsRegistered = [] {
  const auto add = [](const std::string& name, auto run, auto... layout) {
    benchmark::RegisterBenchmark(name.c_str(), run, layout...)
        ->Arg(1)
        ->Arg(64)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("EmptyCalls", EmptyCalls);
  for (int i = 0; i < BenchData::kLayouts; ++i) {
    const auto layout = BenchData::Layout(i);
    const char* const name = BenchData::Name(layout);
    add(absl::StrCat("ScoreCalls/", name), ScoreCalls, layout);
    add(absl::StrCat("PredictCalls/", name), PredictCalls, layout);
  }
  return true;
}();

// Generates text in several streams at a time. Items are words.
void Generate(benchmark::State& state) {
  const auto stub =
      lm::v1::LanguageModelService::NewStub(BenchServer::Get().channel());
  std::atomic<uint64_t> words = 0, seed = 0;
  const auto generate = [&](int streams) {
    for (int i = 0; i < streams; ++i) {
      lm::v1::GenerateRequest request;
      request.set_model(BenchData::Name(BenchData::kFast));
      request.set_seed(seed++);
      grpc::ClientContext context;
      const auto reader = stub->Generate(&context, request);
      lm::v1::GenerateResponse response;
      while (reader->Read(&response)) words += response.has_word();
      if (!reader->Finish().ok()) state.SkipWithError("a stream failed");
    }
  };
  for (auto _ : state) {
    std::vector<std::thread> threads;
    threads.reserve(state.range(0));
    for (int i = 0; i < state.range(0); ++i) threads.emplace_back(generate, 20);
    for (std::thread& thread : threads) thread.join();
  }
  state.SetItemsProcessed(words);
}
BENCHMARK(Generate)->Arg(1)->Arg(8)->UseRealTime()->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace lmserve
