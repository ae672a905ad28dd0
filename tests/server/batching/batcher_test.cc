// SPDX-License-Identifier: Apache-2.0
#include "server/batching/batcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

constexpr char kText[] = "the cat is small\na dog barks at the cat\n";

// A store with the look-up model "tiny" and the neural model "lstm".
class BatcherTest : public testing::Test {
 protected:
  BatcherTest() {
    PublishRecurrentModel(files_.path(), "lstm", kText);
    store_ = files_.Open();
  }

  ModelHandle Get(const std::string& name) const {
    return store_->Get(name).value();
  }

  const SmallStore files_;
  std::unique_ptr<const ModelStore> store_;
};

// What a caller asks of a model: to read a text from the start, to score all
// its words, and to return the best next words and the distribution.
struct Reading {
  std::vector<WordId> words;
  std::vector<float> log_probs;
  std::vector<ScoredWord> best;
  std::vector<float> distribution = {};

  friend bool operator==(const Reading& a, const Reading& b) {
    return a.log_probs == b.log_probs && a.best == b.best &&
           a.distribution == b.distribution;
  }
};

// Asks the model itself.
Reading Read(const LanguageModel& model, const std::vector<WordId>& words,
             size_t k) {
  Reading reading = {words, std::vector<float>(words.size()),
                     std::vector<ScoredWord>(k),
                     std::vector<float>(model.vocabulary().size())};
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  const LanguageModel::Query query = {state.data(), words, state.data(),
                                      absl::MakeSpan(reading.log_probs)};
  model.Score({&query, 1});
  const std::byte* end = state.data();
  model.TopK({&end, 1}, k, absl::MakeSpan(reading.best));
  model.Distribution({&end, 1}, reading.distribution.data());
  return reading;
}

// Asks the model through a batcher.
Task<absl::Status> Read(Batcher& batcher, const ModelHandle& handle,
                        Reading* reading) {
  const LanguageModel& model = *handle->model().left_to_right();
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  const LanguageModel::Query query = {state.data(), reading->words,
                                      state.data(),
                                      absl::MakeSpan(reading->log_probs)};
  const std::byte* end = state.data();
  const ModelWork read = {.model = *handle,
                          .queries = {&query, 1},
                          .states = {&end, 1},
                          .k = reading->best.size(),
                          .best = absl::MakeSpan(reading->best)};
  Call call;
  absl::Status status = co_await batcher.Run(call, read);
  if (!status.ok()) co_return status;
  const auto keep = [&](size_t, absl::Span<const float> log_probs) {
    reading->distribution.assign(log_probs.begin(), log_probs.end());
  };
  ModelWork rest = {.model = *handle, .states = {&end, 1}};
  rest.visit.emplace(keep);
  co_return co_await batcher.Run(call, rest);
}

// Hundreds of texts of many lengths for two models, some longer than a batch,
// get the same bits in every batch.
TEST_F(BatcherTest, AnswersDoNotDependOnTheOtherWorkInABatch) {
  constexpr size_t kReadings = 300;
  const std::vector<ModelHandle> models = {Get("lstm"), Get("tiny")};
  std::mt19937 random(1);
  std::vector<Reading> expected, found;
  for (size_t i = 0; i < kReadings; ++i) {
    const LanguageModel& model = *models[i % 2]->model().left_to_right();
    std::vector<WordId> words(random() % 40);
    for (WordId& word : words) word = random() % model.vocabulary().size();
    expected.push_back(Read(model, words, 1 + random() % 3));
    found.push_back({words, std::vector<float>(words.size()),
                     std::vector<ScoredWord>(expected.back().best.size())});
  }
  for (size_t batch_words : {3, 17, 1024}) {
    Batcher batcher(
        {.threads = 2, .batch_words = batch_words, .inline_words = 0});
    std::atomic<size_t> left = kReadings;
    std::promise<void> all;
    for (size_t i = 0; i < kReadings; ++i) {
      RunDetached(Read(batcher, models[i % 2], &found[i]),
                  [&](const absl::Status& status) {
                    EXPECT_TRUE(status.ok()) << status;
                    if (--left == 0) all.set_value();
                  });
    }
    all.get_future().wait();
    for (size_t i = 0; i < kReadings; ++i) {
      EXPECT_EQ(found[i], expected[i]) << i << ", " << batch_words;
    }
  }
}

// Work on the caller's thread ends after a short time, whatever the model: the
// rest is queued.
TEST_F(BatcherTest, LongInlineWorkContinuesInTheQueue) {
  // An optimized program reads 100,000 words in the time of inline work.
  constexpr size_t kWords = 8'000'000;
  const ModelHandle handle = Get("tiny");
  const LanguageModel& model = *handle->model().left_to_right();
  std::vector<WordId> words(kWords);
  for (size_t i = 0; i < kWords; ++i) {
    words[i] = i * i % model.vocabulary().size();
  }
  const Reading expected = Read(model, words, 3);
  Reading found = {words, std::vector<float>(kWords),
                   std::vector<ScoredWord>(3)};
  std::mutex mutex;
  std::vector<size_t> inline_words;
  size_t all_words = 0;
  std::promise<void> done;
  Batcher batcher({.threads = 1,
                   .batch_words = kWords,
                   .inline_words = 2 * kWords,
                   .queue_words = 2 * kWords,
                   .on_batch = [&](const BatcherOptions::Batch& batch) {
                     const std::lock_guard<std::mutex> lock(mutex);
                     all_words += batch.words;
                     if (batch.queue_seconds.empty()) {
                       inline_words.push_back(batch.words);
                     }
                   }});
  RunDetached(Read(batcher, handle, &found), [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    done.set_value();
  });
  done.get_future().wait();
  EXPECT_EQ(found, expected);
  ASSERT_FALSE(inline_words.empty());
  EXPECT_LT(inline_words.front(), kWords);
  EXPECT_GE(all_words, kWords + 2);  // and two states
}

// The same for a request that has much work in small pieces, such as a beam
// search.
TEST_F(BatcherTest, ManyInlineWorksOfOneRequestGoThroughTheQueue) {
  constexpr size_t kPieces = 100;
  const ModelHandle handle = Get("tiny");
  const std::vector<WordId> words(200'000, 3);
  std::mutex mutex;
  std::vector<bool> is_inline;
  Batcher batcher({.threads = 1,
                   .batch_words = words.size(),
                   .inline_words = words.size(),
                   .queue_words = 1,  // no work but the first is refused
                   .on_batch = [&](const BatcherOptions::Batch& batch) {
                     const std::lock_guard<std::mutex> lock(mutex);
                     is_inline.push_back(batch.queue_seconds.empty());
                   }});
  const auto read = [&](Call& call) -> Task<absl::Status> {
    const LanguageModel& model = *handle->model().left_to_right();
    std::vector<std::byte> state(model.state_size());
    model.Start(state.data());
    std::vector<float> log_probs(words.size());
    const LanguageModel::Query query = {state.data(), words, state.data(),
                                        absl::MakeSpan(log_probs)};
    absl::Status status;
    for (size_t i = 0; i < kPieces && status.ok(); ++i) {
      status = co_await batcher.Run(call,
                                    {.model = *handle, .queries = {&query, 1}});
    }
    co_return status;
  };
  Call call;
  std::promise<void> done;
  RunDetached(read(call), [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
    done.set_value();
  });
  done.get_future().wait();
  EXPECT_TRUE(is_inline.front());
  EXPECT_TRUE(std::count(is_inline.begin(), is_inline.end(), false) > 0);
}

// One call may have several texts, and more states than texts.
TEST_F(BatcherTest, ManyTextsOfOneCall) {
  const ModelHandle handle = Get("lstm");
  const LanguageModel& model = *handle->model().left_to_right();
  constexpr size_t kTexts = 23, kWords = 9, kBest = 2;
  std::vector<WordId> words;
  for (size_t i = 0; i < kTexts * kWords; ++i) {
    words.push_back(3 + i * i % (model.vocabulary().size() - 3));
  }
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  const auto read = [&](size_t batch_words) {
    std::vector<std::byte> bytes(kTexts * model.state_size());
    std::vector<float> log_probs(words.size());
    std::vector<ScoredWord> best((kTexts + 1) * kBest);
    std::vector<LanguageModel::Query> queries;
    std::vector<const std::byte*> states = {start.data()};
    for (size_t i = 0; i < kTexts; ++i) {
      std::byte* state = &bytes[i * model.state_size()];
      queries.push_back(
          {start.data(), absl::MakeConstSpan(words).subspan(i * kWords, kWords),
           state, absl::MakeSpan(log_probs).subspan(i * kWords, kWords)});
      states.push_back(state);
    }
    Batcher batcher({.threads = 1, .batch_words = batch_words});
    Call call;
    const ModelWork work = {.model = *handle,
                            .queries = queries,
                            .states = states,
                            .k = kBest,
                            .best = absl::MakeSpan(best)};
    const auto run = [&]() -> Task<absl::Status> {
      co_return co_await batcher.Run(call, work);
    };
    EXPECT_TRUE(Wait(run()).ok());
    EXPECT_EQ(batcher.queued_words(), 0u);
    return std::pair(log_probs, best);
  };
  const auto expected = read(100000);
  for (size_t batch_words : {1, 4, 9, 10, 50}) {
    EXPECT_EQ(read(batch_words), expected) << batch_words;
  }
}

// The attention of the states of one call may come from several batches.
TEST_F(BatcherTest, AttentionIsThatOfTheModel) {
  PublishTranslationModel(files_.path(), "de-en", "die katze ist", kText);
  const std::unique_ptr<const ModelStore> store = files_.Open();
  const ModelHandle handle = store->Get("de-en").value();
  const TranslationModel& model = *handle->model().translation();
  constexpr size_t kStates = 11;
  const std::vector<WordId> source = {3, 4};
  const auto read = model.Read(source);
  const size_t state_size = model.decoder().state_size();
  std::vector<std::byte> bytes(kStates * state_size);
  std::vector<const std::byte*> states;
  std::vector<float> expected(kStates * 3);
  for (WordId i = 0; i < kStates; ++i) {
    std::byte* state = &bytes[i * state_size];
    read->Start(state);
    const LanguageModel::Query query = {state, {&i, 1}, state, {}};
    model.decoder().Score({&query, 1});
    states.push_back(state);
    const TranslationModel::AttentionQuery look = {
        state, absl::MakeSpan(expected).subspan(size_t{3} * i, 3)};
    model.Attend({&look, 1});
  }
  for (size_t batch_words : {1, 4, 50}) {
    std::vector<float> found(kStates * 3);
    Batcher batcher({.threads = 1, .batch_words = batch_words});
    Call call;
    const ModelWork work = {
        .model = *handle, .states = states, .attention = absl::MakeSpan(found)};
    const auto run = [&]() -> Task<absl::Status> {
      co_return co_await batcher.Run(call, work);
    };
    EXPECT_TRUE(Wait(run()).ok());
    EXPECT_EQ(found, expected) << batch_words;
  }
}

// A batcher of one thread, which is busy until Release().
class HeldBatcherTest : public BatcherTest {
 protected:
  static constexpr size_t kBatchWords = 20;
  static constexpr size_t kQueueWords = 100;

  HeldBatcherTest()
      : batcher_({.threads = 1,
                  .batch_words = kBatchWords,
                  .inline_words = 0,
                  .queue_words = kQueueWords,
                  .on_batch = [this](const BatcherOptions::Batch& batch) {
                    batches_.push_back(batch.calls);
                    EXPECT_EQ(batch.queue_seconds.size(), batch.calls);
                  }}) {
    std::promise<void> held;
    RunDetached(Hold(&held), [](const absl::Status&) {});
    held.get_future().wait();
  }

  ~HeldBatcherTest() override { Release(); }

  void Release() {
    if (!std::exchange(released_, true)) release_.set_value();
  }

  Task<absl::Status> Hold(std::promise<void>* held) {
    Call call;
    const auto hold = [&] {
      held->set_value();
      release_.get_future().wait();
    };
    co_return co_await batcher_.Run(call, *tiny_, 1, hold);
  }

  // Queues a text of `words` words for a call, which must last.
  void Queue(Call* call, size_t words, const std::string& name) {
    RunDetached(ReadOne(call, words), [this, name](absl::Status status) {
      statuses_.push_back(std::move(status));
      ended_.push_back(name);
    });
  }

  Task<absl::Status> ReadOne(Call* call, size_t count) {
    const LanguageModel& model = *tiny_->model().left_to_right();
    const std::vector<WordId> words(count, 3);
    std::vector<std::byte> state(model.state_size());
    model.Start(state.data());
    const LanguageModel::Query query = {state.data(), words, nullptr, {}};
    const ModelWork work = {.model = *tiny_, .queries = {&query, 1}};
    co_return co_await batcher_.Run(*call, work);
  }

  // Lets all work run, and waits for it.
  void Finish() {
    Release();
    while (batcher_.queued_words() > 0) std::this_thread::yield();
    Call last(Priority::kBulk);
    EXPECT_TRUE(Wait(ReadOne(&last, 1)).ok());
  }

  const ModelHandle tiny_ = Get("tiny");
  std::promise<void> release_;
  bool released_ = false;
  std::vector<size_t> batches_;
  std::vector<absl::Status> statuses_;  // in the order of ended_
  std::vector<std::string> ended_;
  Batcher batcher_;
};

TEST_F(HeldBatcherTest, WaitingWorkIsOneBatch) {
  std::vector<Call> calls(5);
  for (Call& call : calls) Queue(&call, 4, "");
  Finish();
  // The work that was held, the five texts that fill a batch, and the last one.
  EXPECT_THAT(batches_, ElementsAre(1, 5, 1));
}

// Sentences of several calls are read together, whatever their pooling; those
// that do not fit are read later. All have the bits that they have alone.
TEST_F(HeldBatcherTest, SentencesOfSeveralCallsShareABatch) {
  const ModelHandle lstm = Get("lstm");
  const SentenceEncoder& encoder = *lstm->model().sentence_encoder();
  const std::vector<WordId> words = {3, 4, 5, 6, 7, 8, 9};
  struct Work {
    Pooling pooling;
    std::vector<size_t> sizes;  // of the sentences
    std::vector<std::vector<float>> vectors = {};
    std::vector<SentenceEncoder::Sentence> sentences = {};
  };
  std::deque<Work> works;
  works.push_back({Pooling::kMax, {3, 0, 2}});
  works.push_back({Pooling::kMean, {4}});
  works.push_back({Pooling::kLast, {1, 1}});
  works.push_back({Pooling::kMax, {2}});
  works.push_back({Pooling::kMean, {7, 7, 7, 7}});
  const auto encode = [this, &lstm](Work* asked,
                                    Call* call) -> Task<absl::Status> {
    const ModelWork all = {
        .model = *lstm, .encoded = asked->sentences, .pooling = asked->pooling};
    co_return co_await batcher_.Run(*call, all);
  };
  std::deque<Call> calls;
  for (Work& work : works) {
    work.vectors.assign(work.sizes.size(),
                        std::vector<float>(encoder.dimensions()));
    for (size_t i = 0; i < work.sizes.size(); ++i) {
      work.sentences.push_back(
          {{words.data(), work.sizes[i]}, absl::MakeSpan(work.vectors[i])});
    }
    RunDetached(encode(&work, &calls.emplace_back()),
                [this](absl::Status status) {
                  statuses_.push_back(std::move(status));
                });
  }
  Finish();
  // The work that was held, 6 + 4 + 2 + 2 words of four calls, two batches of
  // the last one, in which two sentences of 7 words fit, and the last text.
  EXPECT_THAT(batches_, ElementsAre(1, 4, 1, 1, 1));
  EXPECT_THAT(statuses_, testing::Each(absl::OkStatus()));
  for (const Work& work : works) {
    for (size_t i = 0; i < work.sizes.size(); ++i) {
      std::vector<float> alone(encoder.dimensions());
      const SentenceEncoder::Sentence sentence = {{words.data(), work.sizes[i]},
                                                  absl::MakeSpan(alone)};
      encoder.Encode({&sentence, 1}, work.pooling);
      EXPECT_EQ(work.vectors[i], alone);
    }
  }
}

TEST_F(HeldBatcherTest, LongWorkLetsOthersPassBetween) {
  Call large, small;
  Queue(&large, 3 * kBatchWords, "large");
  Queue(&small, 1, "small");
  Finish();
  EXPECT_THAT(ended_, ElementsAre("small", "large"));
  EXPECT_GE(small.queue_seconds, 0);
  EXPECT_GT(large.compute_seconds, 0);
}

struct OtherClientsCall : Call {
  const std::string& client_group() const override { return client; }
  const std::string client = "other";
};

// However much a client has queued, another one waits for the batch that is
// being computed alone.
TEST_F(HeldBatcherTest, ClientsTakeTurns) {
  std::deque<Call> calls(200);
  for (Call& call : calls) {
    call.Admit();
    Queue(&call, kBatchWords, "many");
  }
  OtherClientsCall call;
  Queue(&call, 5, "one");
  Finish();
  ASSERT_EQ(ended_.size(), calls.size() + 1);
  const auto found = std::find(ended_.begin(), ended_.end(), "one");
  EXPECT_LE(found - ended_.begin(), 1);
}

struct CancelledCall : Call {
  bool IsCancelled() const override { return cancelled; }
  std::atomic<bool> cancelled = false;
};

TEST_F(HeldBatcherTest, WorkThatIsCancelledWhileItWaitsIsDropped) {
  CancelledCall cancelled;
  Call wanted;
  Queue(&cancelled, 7, "cancelled");
  Queue(&wanted, 7, "wanted");
  cancelled.cancelled = true;
  Finish();
  EXPECT_THAT(ended_, ElementsAre("cancelled", "wanted"));
  EXPECT_EQ(statuses_[0], Call::Cancelled());
  EXPECT_EQ(cancelled.compute_seconds, 0);
  EXPECT_TRUE(statuses_[1].ok());
}

TEST_F(HeldBatcherTest, TracedCallsHaveTheirPartsOfABatch) {
  Call first, second, other;
  CallTrace first_trace, second_trace;
  first.SetTrace(&first_trace);
  second.SetTrace(&second_trace);
  Queue(&first, 7, "first");
  Queue(&second, 5, "second");
  Queue(&other, 3, "other");
  const auto before = CallTrace::Clock::now();
  Finish();
  for (const auto& [trace, words] :
       {std::pair{&first_trace, size_t{7}}, {&second_trace, size_t{5}}}) {
    EXPECT_EQ(trace->words(), words);
    ASSERT_EQ(trace->parts().size(), 2u);
    const CallTrace::Part& queue = trace->parts()[0];
    const CallTrace::Part& compute = trace->parts()[1];
    EXPECT_EQ(queue.kind, CallTrace::Kind::kQueue);
    EXPECT_LE(queue.start, before);
    EXPECT_GE(queue.end, before);
    EXPECT_EQ(compute.kind, CallTrace::Kind::kCompute);
    EXPECT_EQ(compute.start, queue.end);
    EXPECT_GE(compute.end, compute.start);
    EXPECT_EQ(compute.words, words);
    EXPECT_EQ(compute.batch_calls, 3u);
    EXPECT_EQ(compute.batch_words, 15u);
    for (const CallTrace::Part* part : {&queue, &compute}) {
      EXPECT_EQ(part->model, "tiny");
      EXPECT_EQ(part->version, 2u);
    }
  }
}

TEST_F(HeldBatcherTest, ACallThatWaitedInVainHasTheTimeInTheQueue) {
  CancelledCall cancelled;
  CallTrace trace;
  cancelled.SetTrace(&trace);
  Queue(&cancelled, 7, "cancelled");
  cancelled.cancelled = true;
  Finish();
  ASSERT_EQ(trace.parts().size(), 1u);
  EXPECT_EQ(trace.parts()[0].kind, CallTrace::Kind::kQueue);
  EXPECT_EQ(trace.words(), 0u);
}

TEST_F(HeldBatcherTest, WorkPastItsDeadlineIsDropped) {
  Call late(Priority::kInteractive,
            Call::Clock::now() - std::chrono::milliseconds(1));
  Queue(&late, 7, "late");
  ASSERT_THAT(ended_, ElementsAre("late"));
  EXPECT_EQ(statuses_[0],
            absl::DeadlineExceededError("the deadline has passed"));
  EXPECT_EQ(batcher_.queued_words(), 1u);  // the held work
}

TEST_F(HeldBatcherTest, AFullQueueRefusesNewCallsAlone) {
  Call first, refused;
  Queue(&first, kQueueWords - 2, "first");
  Queue(&refused, 2, "refused");
  ASSERT_THAT(ended_, ElementsAre("refused"));
  EXPECT_EQ(statuses_[0].code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(statuses_[0].message(),
            "the queue is full: 2 words requested, 99 of 100 used by other "
            "calls");
  google::rpc::RetryInfo retry;
  EXPECT_TRUE(retry.ParseFromString(
      std::string(statuses_[0]
                      .GetPayload("type.googleapis.com/google.rpc.RetryInfo")
                      .value())));
  // A call that was admitted once is finished.
  Call second;
  second.Admit();
  Queue(&second, 2, "second");
  EXPECT_EQ(ended_.size(), 1u);
  Finish();
  EXPECT_THAT(ended_, ElementsAre("refused", "second", "first"));
}

// To visit all next words, a look-up model scans its vocabulary.
TEST_F(HeldBatcherTest, AStateCountsAsWhatItCosts) {
  Call call;
  const auto ask = [&]() -> Task<absl::Status> {
    const LanguageModel& model = *tiny_->model().left_to_right();
    std::vector<std::byte> state(model.state_size());
    model.Start(state.data());
    const std::vector<const std::byte*> states(30, state.data());
    size_t visited = 0;
    const auto visit = [&](size_t i, absl::Span<const float> /*log_probs*/) {
      EXPECT_EQ(i, visited++);
    };
    const ModelWork work = {.model = *tiny_, .states = states, .visit = visit};
    absl::Status status = co_await batcher_.Run(call, work);
    EXPECT_EQ(visited, states.size());
    co_return status;
  };
  RunDetached(ask(), [this](absl::Status status) {
    statuses_.push_back(std::move(status));
  });
  const size_t cost = 1 + tiny_->model().vocabulary().size() / 32;
  EXPECT_EQ(batcher_.queued_words(), 1 + 30 * cost);  // with the held work
  Finish();
  EXPECT_THAT(statuses_, ElementsAre(absl::OkStatus()));
}

// The refusal of one request would end the whole stream.
TEST_F(HeldBatcherTest, AStreamsRequestWaitsForRoom) {
  Call first, refused, stream, other_stream;
  Queue(&first, kQueueWords - 2, "first");
  for (Call* call : {&stream, &other_stream}) {
    call->BeginRequest();
    Queue(call, 2, "stream");
  }
  EXPECT_THAT(ended_, ElementsAre());
  EXPECT_EQ(batcher_.queued_words(), kQueueWords - 1);  // with the held work
  Queue(&refused, 2, "refused");
  EXPECT_THAT(ended_, ElementsAre("refused"));
  Finish();
  EXPECT_THAT(ended_, testing::UnorderedElementsAre("refused", "stream",
                                                    "stream", "first"));
  EXPECT_TRUE(statuses_[1].ok());
}

TEST_F(HeldBatcherTest, AStreamThatIsCancelledWhileItWaitsForRoomIsDropped) {
  CancelledCall stream;
  Call first;
  Queue(&first, kQueueWords, "first");
  stream.BeginRequest();
  Queue(&stream, 2, "stream");
  stream.cancelled = true;
  Finish();
  EXPECT_THAT(ended_, testing::UnorderedElementsAre("stream", "first"));
  EXPECT_EQ(stream.compute_seconds, 0);
}

TEST_F(HeldBatcherTest, AnEmptyQueueTakesWorkThatIsTooLong) {
  Release();
  while (batcher_.queued_words() > 0) std::this_thread::yield();
  Call call;
  EXPECT_TRUE(Wait(ReadOne(&call, 3 * kQueueWords)).ok());
}

TEST_F(BatcherTest, LookUpModelsRunOnTheCallersThread) {
  Batcher batcher({.threads = 1, .on_batch = [](const auto& batch) {
                     EXPECT_EQ(batch.calls, 1u);
                     EXPECT_TRUE(batch.queue_seconds.empty());
                   }});
  Reading reading = {
      {3, 4, 5}, std::vector<float>(3), std::vector<ScoredWord>(2)};
  const std::thread::id here = std::this_thread::get_id();
  RunDetached(Read(batcher, Get("tiny"), &reading),
              [&](const absl::Status& status) {
                EXPECT_TRUE(status.ok()) << status;
                EXPECT_EQ(std::this_thread::get_id(), here);
              });
  EXPECT_EQ(reading,
            Read(*Get("tiny")->model().left_to_right(), reading.words, 2));
}

TEST_F(BatcherTest, WorkOnTheCallersThreadIsAPartWithoutABatch) {
  Batcher batcher({.threads = 1});
  const ModelHandle tiny = Get("tiny");
  const LanguageModel& model = *tiny->model().left_to_right();
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  const std::vector<WordId> words = {3, 4, 5};
  const LanguageModel::Query query = {state.data(), words, nullptr, {}};
  const ModelWork work = {.model = *tiny, .queries = {&query, 1}};
  Call call;
  CallTrace trace;
  call.SetTrace(&trace);
  const auto run = [&]() -> Task<absl::Status> {
    co_return co_await batcher.Run(call, work);
  };
  RunDetached(run(), [](const absl::Status& status) {
    EXPECT_TRUE(status.ok()) << status;
  });
  ASSERT_EQ(trace.parts().size(), 1u);
  EXPECT_EQ(trace.parts()[0].kind, CallTrace::Kind::kCompute);
  EXPECT_EQ(trace.parts()[0].words, 3u);
  EXPECT_EQ(trace.parts()[0].batch_calls, 0u);
}

TEST_F(BatcherTest, TheDestructorFinishesAllQueuedWork) {
  const ModelHandle handle = Get("lstm");
  std::atomic<int> done = 0;
  std::vector<Reading> readings(
      50, {{3, 4, 5}, std::vector<float>(3), std::vector<ScoredWord>(2)});
  {
    Batcher batcher({.threads = 2});
    for (Reading& reading : readings) {
      RunDetached(Read(batcher, handle, &reading),
                  [&](const absl::Status&) { ++done; });
    }
  }
  EXPECT_EQ(done, 50);
}

}  // namespace
}  // namespace lmserve
