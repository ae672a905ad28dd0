// SPDX-License-Identifier: Apache-2.0
#include "server/batching/work_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// While bulk work waits, one batch in this many is bulk work.
constexpr unsigned kBulkEvery = 8;

// A client may have at least one of this many parts of the words of a client
// that is alone, however much the calls of others have that were admitted.
constexpr size_t kLeastShare = 16;

// The shortest time that a refused client is asked to wait.
constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(10);

// The weight of the latest batch in the moving average of the speed.
constexpr double kLatestBatchWeight = 0.1;

}  // namespace

size_t WorkQueue::LimitOf(const PriorityQueue& queue,
                          const Client& client) const {
  const size_t of_others = (queue.words - client.words) / 2;
  const size_t left =
      options_.max_words - std::min(options_.max_words, of_others);
  return std::max(left, options_.max_words / kLeastShare);
}

// Work that is too long for any queue is let in when the queue is empty.
bool WorkQueue::HasRoom(const PriorityQueue& queue, const Client& client,
                        size_t words) const {
  return queue.words == 0 || client.words + words <= LimitOf(queue, client);
}

bool WorkQueue::HasWork() const {
  return !queues_[0].waiting.empty() || !queues_[1].waiting.empty();
}

WorkQueue::Client& WorkQueue::ClientOf(const std::string& name,
                                       PriorityQueue* queue) {
  const auto [found, is_new] = queue->clients.try_emplace(name);
  if (is_new) found->second.number = clients_seen_++;
  return found->second;
}

void WorkQueue::Push(QueuedWork* work, Client* client, PriorityQueue* queue) {
  work->queued_at = std::chrono::steady_clock::now();
  work->queued_words = work->words_left;
  if (client->by_model.empty()) {
    client->turn = std::max(client->turn, queue->turn);
    queue->waiting.insert(client);
  }
  client->by_model[work->model].push_back(work);
  ++waiting_;
}

void WorkQueue::Admit(QueuedWork* work, Client* client, PriorityQueue* queue) {
  work->call.Admit();
  ++client->works;
  client->words += work->words_left;
  queue->words += work->words_left;
  Push(work, client, queue);
}

absl::Status WorkQueue::Full(size_t words, const Client& client,
                             const PriorityQueue& queue) const {
  const absl::Duration until_done =
      absl::Seconds(static_cast<double>(queue.words) * seconds_per_word_ /
                    static_cast<double>(options_.threads));
  return ResourceExhausted(
      absl::StrCat("the queue is full: ", words, " words requested, ",
                   client.words, " of ", LimitOf(queue, client),
                   " used by other calls"),
      std::max(kMinRetryDelay, until_done));
}

absl::Status WorkQueue::Add(QueuedWork* work) {
  // A call may look both up when it is first asked.
  const Priority priority = work->call.priority();
  const std::string& name = work->call.client_group();
  {
    const MutexLock lock(mutex_);
    PriorityQueue& queue = ByPriority(priority);
    Client& client = ClientOf(name, &queue);
    if (!work->call.is_admitted() &&
        !HasRoom(queue, client, work->words_left)) {
      if (!work->call.waits_for_room) {
        absl::Status status = Full(work->words_left, client, queue);
        ForgetIdle(name, &queue);
        return status;
      }
      client.waiting_for_room.push_back(work);
      ++queue.waiting_for_room;
      return absl::OkStatus();
    }
    Admit(work, &client, &queue);
  }
  work_came_.NotifyOne();
  return absl::OkStatus();
}

// REQUIRES: HasWork().
WorkQueue::PriorityQueue& WorkQueue::NextQueue() {
  PriorityQueue& interactive = ByPriority(Priority::kInteractive);
  PriorityQueue& bulk = ByPriority(Priority::kBulk);
  if (bulk.waiting.empty()) return interactive;
  if (!interactive.waiting.empty() && ++batches_since_bulk_ < kBulkEvery) {
    return interactive;
  }
  batches_since_bulk_ = 0;
  return bulk;
}

QueuedWork* WorkQueue::Take(const void* model, Client* client,
                            PriorityQueue* queue) {
  const auto found = client->by_model.find(model);
  QueuedWork* work = found->second.front();
  found->second.pop_front();
  --waiting_;
  if (found->second.empty()) client->by_model.erase(found);
  queue->waiting.erase(client);
  queue->turn = std::max(queue->turn, client->turn);
  client->turn += std::min(work->words_left, options_.batch_words);
  if (!client->by_model.empty()) queue->waiting.insert(client);
  return work;
}

std::vector<QueuedWork*> WorkQueue::TakeBatch() {
  std::vector<QueuedWork*> batch;
  const MutexLock lock(mutex_);
  while (!stopped_ && !HasWork()) work_came_.Wait(mutex_);
  if (!HasWork()) return batch;
  PriorityQueue& queue = NextQueue();
  const auto& by_model = (*queue.waiting.begin())->by_model;
  const void* model = std::min_element(by_model.begin(), by_model.end(),
                                       [](const auto& a, const auto& b) {
                                         return a.second.front()->queued_at <
                                                b.second.front()->queued_at;
                                       })
                          ->first;
  size_t words = 0;
  while (true) {
    const auto next = std::find_if(
        queue.waiting.begin(), queue.waiting.end(),
        [model](Client* client) { return client->by_model.contains(model); });
    if (next == queue.waiting.end()) return batch;
    const QueuedWork& work = *(*next)->by_model[model].front();
    if (!batch.empty() && (work.is_exclusive || batch[0]->is_exclusive ||
                           words + work.words_left > options_.batch_words)) {
      return batch;
    }
    words += work.words_left;
    batch.push_back(Take(model, *next, &queue));
  }
}

void WorkQueue::ForgetIdle(const std::string& name, PriorityQueue* queue) {
  const auto found = queue->clients.find(name);
  if (found != queue->clients.end() && found->second.works == 0 &&
      found->second.waiting_for_room.empty()) {
    queue->clients.erase(found);
  }
}

void WorkQueue::AdmitWaiting(PriorityQueue* queue) {
  if (queue->waiting_for_room == 0) return;
  for (auto& [name, client] : queue->clients) {
    Fifo& works = client.waiting_for_room;
    while (!works.empty() &&
           HasRoom(*queue, client, works.front()->words_left)) {
      Admit(works.front(), &client, queue);
      works.pop_front();
      --queue->waiting_for_room;
      work_came_.NotifyOne();
    }
  }
}

void WorkQueue::FinishBatch(absl::Span<QueuedWork* const> batch,
                            double seconds) {
  const MutexLock lock(mutex_);
  PriorityQueue& queue = ByPriority(batch.front()->call.priority());
  size_t done = 0;
  for (const QueuedWork* work : batch) {
    Client& client = ClientOf(work->call.client_group(), &queue);
    const size_t left = work->is_dropped ? 0 : work->words_left;
    client.words -= work->queued_words - left;
    queue.words -= work->queued_words - left;
    if (left == 0) --client.works;
    if (!work->is_dropped) done += work->queued_words - left;
  }
  AdmitWaiting(&queue);
  for (QueuedWork* work : batch) {
    const std::string& name = work->call.client_group();
    if (work->is_dropped || work->words_left == 0) {
      ForgetIdle(name, &queue);
    } else {
      Push(work, &ClientOf(name, &queue), &queue);
      work_came_.NotifyOne();
    }
  }
  if (done > 0) {
    seconds_per_word_ +=
        kLatestBatchWeight *
        (seconds / static_cast<double>(done) - seconds_per_word_);
  }
}

bool WorkQueue::IsWaiting(const Call& call, const void* model) const {
  if (waiting_ == 0) return false;
  const Priority priority = call.priority();
  const std::string& name = call.client_group();
  const MutexLock lock(mutex_);
  const auto& clients = ByPriority(priority).clients;
  const auto client = clients.find(name);
  return client != clients.end() && client->second.by_model.contains(model);
}

void WorkQueue::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  work_came_.NotifyAll();
}

size_t WorkQueue::queued_words() const {
  const MutexLock lock(mutex_);
  return queues_[0].words + queues_[1].words;
}

}  // namespace lmserve
