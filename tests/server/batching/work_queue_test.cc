// SPDX-License-Identifier: Apache-2.0
#include "server/batching/work_queue.h"

#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kMaxWords = 100;
constexpr size_t kBatchWords = 20;

// Addresses that stand for models.
constexpr char kModels[2] = {};
constexpr const void* kModel = &kModels[0];
constexpr const void* kOtherModel = &kModels[1];

// A call of one of several clients.
class ClientCall : public Call {
 public:
  explicit ClientCall(std::string client,
                      Priority priority = Priority::kInteractive)
      : Call(priority), client_(std::move(client)) {}

  const std::string& client_group() const override { return client_; }

 private:
  const std::string client_;
};

QueuedWork MakeWork(Call& call, size_t words, const void* model = kModel) {
  return {call, model, /*is_exclusive=*/false, words};
}

class WorkQueueTest : public testing::Test {
 protected:
  absl::Status Add(QueuedWork& work) { return queue_.Add(&work); }

  // Finishes all work of a batch, at 1 ms a word.
  void Finish(const std::vector<QueuedWork*>& batch) {
    size_t words = 0;
    for (QueuedWork* work : batch) words += std::exchange(work->words_left, 0);
    queue_.FinishBatch(batch, 0.001 * static_cast<double>(words));
  }

  // How long a call is asked to wait that the queue refuses.
  static absl::Duration RetryDelay(const absl::Status& status) {
    google::rpc::RetryInfo retry;
    EXPECT_TRUE(retry.ParseFromString(std::string(
        status.GetPayload("type.googleapis.com/google.rpc.RetryInfo")
            .value())));
    return absl::Seconds(retry.retry_delay().seconds()) +
           absl::Nanoseconds(retry.retry_delay().nanos());
  }

  WorkQueue queue_{
      {.max_words = kMaxWords, .batch_words = kBatchWords, .threads = 2}};
};

TEST(PriorityTest, IsKnownByName) {
  for (Priority otherwise : {Priority::kInteractive, Priority::kBulk}) {
    EXPECT_EQ(ParsePriority("interactive", otherwise), Priority::kInteractive);
    EXPECT_EQ(ParsePriority("bulk", otherwise), Priority::kBulk);
    EXPECT_EQ(ParsePriority("", otherwise), otherwise);
    EXPECT_EQ(ParsePriority("Bulk", otherwise), otherwise);
  }
}

TEST_F(WorkQueueTest, ABatchIsForOneModelTheOldestFirst) {
  Call call;
  QueuedWork a = MakeWork(call, 1), b = MakeWork(call, 1, kOtherModel),
             c = MakeWork(call, 1);
  for (QueuedWork* work : {&a, &b, &c}) ASSERT_TRUE(Add(*work).ok());
  EXPECT_EQ(queue_.queued_words(), 3u);
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&a, &c));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&b));
  EXPECT_EQ(queue_.queued_words(), 3u);  // until the batches are finished
  Finish({&a, &c});
  Finish({&b});
  EXPECT_EQ(queue_.queued_words(), 0u);
}

TEST_F(WorkQueueTest, ABatchHasALimit) {
  Call call;
  QueuedWork a = MakeWork(call, 12), b = MakeWork(call, 8),
             c = MakeWork(call, 1), d = MakeWork(call, 2 * kBatchWords),
             e = MakeWork(call, 1);
  for (QueuedWork* work : {&a, &b, &c, &d, &e}) ASSERT_TRUE(Add(*work).ok());
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&a, &b));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&c));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&d));  // longer than a batch
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&e));
}

TEST_F(WorkQueueTest, ExclusiveWorkHasABatchOfItsOwn) {
  Call call;
  QueuedWork a = MakeWork(call, 1),
             exclusive = {call, kModel, /*is_exclusive=*/true, 1},
             b = MakeWork(call, 1), c = MakeWork(call, 1);
  for (QueuedWork* work : {&a, &exclusive, &b, &c}) {
    ASSERT_TRUE(Add(*work).ok());
  }
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&a));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&exclusive));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&b, &c));
}

TEST_F(WorkQueueTest, UnfinishedWorkIsTakenAgainAfterTheOthers) {
  Call call;
  QueuedWork large = MakeWork(call, 2 * kBatchWords), small = MakeWork(call, 1);
  ASSERT_TRUE(Add(large).ok());
  ASSERT_TRUE(Add(small).ok());
  ASSERT_THAT(queue_.TakeBatch(), ElementsAre(&large));
  large.words_left -= kBatchWords;
  queue_.FinishBatch({&large}, 1);
  EXPECT_EQ(queue_.queued_words(), kBatchWords + 1);
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&small));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&large));
}

TEST_F(WorkQueueTest, InteractiveGoesFirstButBulkIsNotStarved) {
  Call bulk(Priority::kBulk);
  QueuedWork bulk_work = MakeWork(bulk, 1);
  ASSERT_TRUE(Add(bulk_work).ok());
  Call interactive;
  interactive.Admit();
  std::vector<QueuedWork> works(20, MakeWork(interactive, kBatchWords));
  for (QueuedWork& work : works) ASSERT_TRUE(Add(work).ok());
  for (size_t i = 0; i < 21; ++i) {
    const std::vector<QueuedWork*> batch = queue_.TakeBatch();
    ASSERT_EQ(batch.size(), 1u);
    // Seven batches of the others, and then the bulk work.
    EXPECT_EQ(batch[0] == &bulk_work, i == 7) << i;
  }
}

TEST_F(WorkQueueTest, AFullQueueRefusesNewCallsAlone) {
  Call held, first, refused;
  QueuedWork held_work = MakeWork(held, 1),
             first_work = MakeWork(first, kMaxWords - 2),
             refused_work = MakeWork(refused, 2);
  ASSERT_TRUE(Add(held_work).ok());
  ASSERT_THAT(queue_.TakeBatch(), ElementsAre(&held_work));
  ASSERT_TRUE(Add(first_work).ok());
  const absl::Status status = Add(refused_work);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(),
            "the queue is full: 2 words requested, 99 of 100 used by other "
            "calls");
  EXPECT_EQ(RetryDelay(status), absl::Milliseconds(10));
  EXPECT_EQ(queue_.queued_words(), kMaxWords - 1);
  // A call that was admitted once is finished.
  Call second;
  second.Admit();
  QueuedWork second_work = MakeWork(second, 2);
  EXPECT_TRUE(Add(second_work).ok());
}

TEST_F(WorkQueueTest, TheRetryDelayFollowsTheSpeed) {
  Call first, refused;
  QueuedWork work = MakeWork(first, kMaxWords), more = MakeWork(refused, 1);
  for (int i = 0; i < 100; ++i) {
    work.words_left = kMaxWords;
    ASSERT_TRUE(Add(work).ok());
    Finish(queue_.TakeBatch());
  }
  work.words_left = kMaxWords;
  ASSERT_TRUE(Add(work).ok());
  // Two threads do 100 words, at 1 ms a word.
  const absl::Duration delay = RetryDelay(Add(more));
  EXPECT_GT(delay, absl::Milliseconds(49));
  EXPECT_LT(delay, absl::Milliseconds(51));
}

// The refusal of one request would end the whole stream.
TEST_F(WorkQueueTest, AStreamsRequestWaitsForRoom) {
  Call first, refused, stream, other_stream;
  QueuedWork first_work = MakeWork(first, kMaxWords - 1),
             refused_work = MakeWork(refused, 2),
             stream_work = MakeWork(stream, 2),
             other_work = MakeWork(other_stream, 2);
  ASSERT_TRUE(Add(first_work).ok());
  for (QueuedWork* work : {&stream_work, &other_work}) {
    work->call.BeginRequest();
    EXPECT_TRUE(Add(*work).ok());
  }
  EXPECT_EQ(queue_.queued_words(), kMaxWords - 1);
  EXPECT_FALSE(Add(refused_work).ok());
  Finish(queue_.TakeBatch());
  EXPECT_EQ(queue_.queued_words(), 4u);
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&stream_work, &other_work));
}

TEST_F(WorkQueueTest, DroppedWorkMakesRoom) {
  Call first, stream;
  QueuedWork first_work = MakeWork(first, kMaxWords),
             stream_work = MakeWork(stream, 2);
  ASSERT_TRUE(Add(first_work).ok());
  stream.BeginRequest();
  ASSERT_TRUE(Add(stream_work).ok());
  ASSERT_THAT(queue_.TakeBatch(), ElementsAre(&first_work));
  first_work.is_dropped = true;
  queue_.FinishBatch({&first_work}, 0);
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&stream_work));
}

// The admission of a stream's first request does not admit its next one.
TEST_F(WorkQueueTest, EachRequestOfAStreamIsAskedFor) {
  Call stream, first;
  QueuedWork stream_work = MakeWork(stream, 1),
             first_work = MakeWork(first, kMaxWords - 1),
             next_work = MakeWork(stream, 50);
  stream.BeginRequest();
  ASSERT_TRUE(Add(stream_work).ok());
  ASSERT_TRUE(Add(first_work).ok());
  stream.BeginRequest();
  ASSERT_TRUE(Add(next_work).ok());
  EXPECT_EQ(queue_.queued_words(), kMaxWords);
  EXPECT_FALSE(stream.is_admitted());
}

TEST_F(WorkQueueTest, BulkWorkTakesNoPlaceInTheQueueFromOthers) {
  Call bulk(Priority::kBulk), refused(Priority::kBulk), interactive;
  QueuedWork bulk_work = MakeWork(bulk, kMaxWords),
             refused_work = MakeWork(refused, 1),
             interactive_work = MakeWork(interactive, 1);
  ASSERT_TRUE(Add(bulk_work).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Add(refused_work)));
  ASSERT_TRUE(Add(interactive_work).ok());
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&interactive_work));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&bulk_work));
}

TEST_F(WorkQueueTest, AnEmptyQueueTakesWorkThatIsTooLong) {
  Call call;
  QueuedWork work = MakeWork(call, 3 * kMaxWords);
  EXPECT_TRUE(Add(work).ok());
}

// What one client has queued delays another one by a batch at most.
TEST_F(WorkQueueTest, ClientsTakeTurns) {
  ClientCall many("many"), one("one");
  many.Admit();
  std::vector<QueuedWork> works(1000, MakeWork(many, 5));
  for (QueuedWork& work : works) ASSERT_TRUE(Add(work).ok());
  const std::vector<QueuedWork*> running = queue_.TakeBatch();
  EXPECT_EQ(running.size(), 4u);
  QueuedWork a = MakeWork(one, 5), b = MakeWork(one, 5), c = MakeWork(one, 5);
  one.Admit();
  for (QueuedWork* work : {&a, &b, &c}) ASSERT_TRUE(Add(*work).ok());
  // Both get half of the next batch.
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&a, &works[4], &b, &works[5]));
  EXPECT_THAT(queue_.TakeBatch(),
              ElementsAre(&c, &works[6], &works[7], &works[8]));
}

TEST_F(WorkQueueTest, ClientsGetTheSameNumberOfWords) {
  ClientCall long_texts("a"), short_texts("b");
  long_texts.Admit();
  short_texts.Admit();
  std::vector<QueuedWork> long_works(20, MakeWork(long_texts, 10)),
      short_works(100, MakeWork(short_texts, 2));
  for (QueuedWork& work : long_works) ASSERT_TRUE(Add(work).ok());
  for (QueuedWork& work : short_works) ASSERT_TRUE(Add(work).ok());
  size_t long_words = 0, short_words = 0;
  while (short_words < 200 && long_words < 200) {
    const std::vector<QueuedWork*> batch = queue_.TakeBatch();
    for (const QueuedWork* work : batch) {
      (&work->call == &long_texts ? long_words : short_words) +=
          work->words_left;
    }
    EXPECT_LE(long_words, short_words + kBatchWords);
    EXPECT_LE(short_words, long_words + kBatchWords);
    Finish(batch);
  }
}

// A client whose work is longer than a batch gives way after each batch.
TEST_F(WorkQueueTest, LongWorkTakesTurnsWithThatOfOtherClients) {
  ClientCall many("many"), one("one");
  QueuedWork first = MakeWork(many, 45), second = MakeWork(many, 45);
  ASSERT_TRUE(Add(first).ok());
  ASSERT_TRUE(Add(second).ok());
  ASSERT_THAT(queue_.TakeBatch(), ElementsAre(&first));
  QueuedWork other = MakeWork(one, 1);
  ASSERT_TRUE(Add(other).ok());
  first.words_left -= kBatchWords;
  queue_.FinishBatch({&first}, 1);
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&other));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&second));
}

// Clients that wait for different models take turns, too, and a batch still
// has the work of all clients for its model.
TEST_F(WorkQueueTest, ClientsOfOtherModelsTakeTurns) {
  ClientCall many("many"), one("one"), other("other");
  for (Call* call : {&many, &one, &other}) call->Admit();
  std::vector<QueuedWork> works(10, MakeWork(many, kBatchWords));
  for (QueuedWork& work : works) ASSERT_TRUE(Add(work).ok());
  ASSERT_THAT(queue_.TakeBatch(), ElementsAre(&works[0]));
  QueuedWork a = MakeWork(one, 1, kOtherModel),
             b = MakeWork(other, 1, kOtherModel);
  ASSERT_TRUE(Add(a).ok());
  ASSERT_TRUE(Add(b).ok());
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&a, &b));
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&works[1]));
}

TEST_F(WorkQueueTest, NoClientTakesTheRoomOfAll) {
  ClientCall many("many"), refused("many"), one("one"), refused_too("one");
  QueuedWork most = MakeWork(many, kMaxWords), more = MakeWork(refused, 1),
             others = MakeWork(one, kMaxWords / 2),
             more_of_others = MakeWork(refused_too, 1);
  ASSERT_TRUE(Add(most).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Add(more)));
  ASSERT_TRUE(Add(others).ok());
  EXPECT_EQ(Add(more_of_others).message(),
            "the queue is full: 1 words requested, 50 of 50 used by other "
            "calls");
  EXPECT_EQ(queue_.queued_words(), kMaxWords + kMaxWords / 2);
}

// Not even if its calls were admitted before, and go beyond all limits.
TEST_F(WorkQueueTest, EachClientHasSomeRoom) {
  ClientCall many("many"), one("one"), refused("one");
  many.Admit();
  QueuedWork most = MakeWork(many, 10 * kMaxWords),
             little = MakeWork(one, kMaxWords / 16),
             more = MakeWork(refused, 1);
  ASSERT_TRUE(Add(most).ok());
  EXPECT_TRUE(Add(little).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Add(more)));
}

// A stream that waits for room does not wait for the streams of others.
TEST_F(WorkQueueTest, EachClientWaitsForItsOwnRoom) {
  ClientCall many("many"), one("one"), waiting("one"), stream("many");
  QueuedWork most = MakeWork(many, kMaxWords),
             others = MakeWork(one, kMaxWords / 2),
             next_of_many = MakeWork(stream, kMaxWords),
             next_of_one = MakeWork(waiting, 1);
  ASSERT_TRUE(Add(most).ok());
  ASSERT_TRUE(Add(others).ok());
  for (QueuedWork* work : {&next_of_many, &next_of_one}) {
    work->call.BeginRequest();
    ASSERT_TRUE(Add(*work).ok());
  }
  EXPECT_EQ(queue_.queued_words(), kMaxWords + kMaxWords / 2);
  // In whichever order the batches are taken.
  std::vector<QueuedWork*> batch = queue_.TakeBatch();
  if (batch.front() == &most) batch = queue_.TakeBatch();
  ASSERT_THAT(batch, ElementsAre(&others));
  Finish(batch);
  EXPECT_EQ(queue_.queued_words(), kMaxWords + 1);
}

TEST_F(WorkQueueTest, TakersWaitForWorkUntilItIsStopped) {
  std::promise<void> taken;
  std::thread taker([&] {
    while (true) {
      const std::vector<QueuedWork*> batch = queue_.TakeBatch();
      if (batch.empty()) return;
      Finish(batch);
      taken.set_value();
    }
  });
  Call call;
  QueuedWork work = MakeWork(call, 1);
  EXPECT_TRUE(Add(work).ok());
  taken.get_future().wait();
  queue_.Stop();
  taker.join();
}

TEST_F(WorkQueueTest, WorkThatWaitsIsTakenAfterTheStop) {
  Call call;
  QueuedWork work = MakeWork(call, 1);
  ASSERT_TRUE(Add(work).ok());
  queue_.Stop();
  EXPECT_THAT(queue_.TakeBatch(), ElementsAre(&work));
  EXPECT_THAT(queue_.TakeBatch(), IsEmpty());
}

}  // namespace
}  // namespace lmserve
