#include "server/batching/batcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// One batch in so many is of bulk work, while there is some.
constexpr unsigned kBulkEvery = 8;

// States whose distributions are in memory at a time.
constexpr size_t kMostDistributions = 64;

// Best words that are in memory at a time, unless one state has more.
constexpr size_t kMostBest = 1 << 16;

// What a client that is refused is told to wait at least.
constexpr absl::Duration kLeastWait = absl::Milliseconds(10);

// How much the latest batch counts in the average of the speed.
constexpr double kNewShare = 0.1;

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// A text of no words still has its state copied.
size_t Cost(const LanguageModel::Query& query) {
  return std::max<size_t>(1, query.words.size());
}

// Words that a state counts as. A word is a few look-ups; to look at every word
// of the vocabulary takes a fraction of one of those each.
size_t StateCost(const ModelWork& work) {
  constexpr size_t kScannedInAWord = 32;
  const LanguageModel& model = *work.model.model().word_by_word();
  const bool scans = work.visit.has_value() || !model.has_fast_top_k();
  if (!model.is_lookup() || !scans) return 1;
  return 1 + model.vocabulary().size() / kScannedInAWord;
}

size_t Cost(const ModelWork& work, size_t state_cost) {
  size_t words = work.states.size() * state_cost;
  for (const LanguageModel::Query& query : work.queries) words += Cost(query);
  return words;
}

const LanguageModel& Model(const ModelWork& work) {
  return *work.model.model().word_by_word();
}

}  // namespace

// What a thread works in.
struct Batcher::Scratch {
  std::vector<LanguageModel::Query> queries;
  std::vector<const std::byte*> states;
  std::vector<ScoredWord> best;
  std::vector<float> log_probs;
};

Batcher::Operation::Operation(Call& call, const ModelWork& work)
    : call(call), work_(work), state_cost_(StateCost(work)) {
  words_left = Cost(work, state_cost_);
}

Batcher::Operation::Operation(Call& call, const LoadedVersion& model,
                              size_t words, absl::FunctionRef<void()> work)
    : call(call),
      words_left(words),
      work_({model}),
      state_cost_(1),
      alone_(work) {}

// A text longer than the limit is cut, and its rest goes on from the state of
// the first part.
size_t Batcher::Operation::TakeQueries(
    size_t limit, std::vector<LanguageModel::Query>* batch) {
  size_t taken = 0;
  for (; query_ < work_.queries.size(); ++query_, word_ = 0) {
    LanguageModel::Query query = work_.queries[query_];
    const bool fits = Cost(query) - word_ <= limit - taken;
    // Two texts of a batch must not share the state that is carried.
    if (!fits && taken > 0) break;
    const size_t count = fits ? query.words.size() - word_ : limit;
    if (word_ > 0) query.state = carried_.data();
    query.words = query.words.subspan(word_, count);
    if (!query.log_probs.empty()) {
      query.log_probs = query.log_probs.subspan(word_, count);
    }
    taken += Cost(query);
    if (!fits) {
      carried_.resize(Model(work_).state_size());
      query.next_state = carried_.data();
      word_ += count;
    }
    batch->push_back(query);
    if (!fits) break;
  }
  words_left -= taken;
  return taken;
}

Batcher::Batcher(BatcherOptions options) : options_(std::move(options)) {
  const size_t threads =
      options_.threads > 0
          ? options_.threads
          : std::max<size_t>(1, std::thread::hardware_concurrency());
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Work(); });
  }
}

Batcher::~Batcher() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  work_came_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Batcher::Turn Batcher::Run(Call& call, const ModelWork& work) {
  return Turn(*this, call, work);
}

Batcher::Turn Batcher::Run(Call& call, const LoadedVersion& model, size_t words,
                           absl::FunctionRef<void()> work) {
  return Turn(*this, call, model, words, work);
}

size_t Batcher::queued_words() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return queued_words_[0] + queued_words_[1];
}

bool Batcher::IsInline(const Operation& operation) const {
  return !operation.is_alone() && Model(operation.work_).is_lookup() &&
         operation.words_left <= options_.inline_words;
}

void Batcher::RunInline(Operation* operation) {
  operation->status = operation->call.CheckWanted();
  if (!operation->status.ok()) return;
  const size_t words = operation->words_left;
  const Clock::time_point start = Clock::now();
  thread_local Scratch scratch;
  RunBatch({&operation, 1}, words, &scratch);
  const double seconds = Seconds(Clock::now() - start);
  operation->call.compute_seconds += seconds;
  if (options_.on_batch != nullptr) {
    options_.on_batch({operation->work_.model, 1, words, seconds, {}});
  }
}

absl::Status Batcher::Full(size_t words, size_t queued) const {
  return ResourceExhausted(
      absl::StrCat("the queue: ", queued, " words wait and ", words,
                   " came, the limit is ", options_.queue_words),
      std::max(kLeastWait,
               absl::Seconds(static_cast<double>(queued) * seconds_per_word_ /
                             static_cast<double>(threads_.size()))));
}

// Returns whether the caller is to wait. Once it is in the queue the operation
// may be done, and gone, at any moment.
bool Batcher::Enqueue(Operation* operation) {
  Call& call = operation->call;
  operation->status = call.CheckWanted();
  if (!operation->status.ok()) return false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t words = operation->words_left;
    size_t& queued = queued_words_[static_cast<size_t>(call.priority())];
    // What is too long for any queue still has its turn when that is empty.
    if (!call.is_admitted() && queued > 0 &&
        queued + words > options_.queue_words) {
      if (call.waits_for_room) {
        waiting_[static_cast<size_t>(call.priority())].push_back(operation);
        return true;
      }
      operation->status = Full(words, queued);
      return false;
    }
    call.Admit();
    queued += words;
    Push(operation);
  }
  work_came_.notify_one();
  return true;
}

// Those whose turn it is. REQUIRES: not all are empty.
Batcher::Queues& Batcher::NextQueues() {
  Queues& interactive = queues_[static_cast<size_t>(Priority::kInteractive)];
  Queues& bulk = queues_[static_cast<size_t>(Priority::kBulk)];
  if (bulk.empty()) return interactive;
  if (!interactive.empty() && ++batches_since_bulk_ < kBulkEvery) {
    return interactive;
  }
  batches_since_bulk_ = 0;
  return bulk;
}

// Takes the oldest operation and what fits beside it; if it is too long for a
// batch, it comes alone.
std::vector<Batcher::Operation*> Batcher::TakeBatch() {
  Queues& queues = NextQueues();
  const auto oldest = std::min_element(
      queues.begin(), queues.end(), [](const auto& a, const auto& b) {
        return a.second.front()->queued < b.second.front()->queued;
      });
  Queue& queue = oldest->second;
  std::vector<Operation*> batch;
  size_t words = 0;
  do {
    batch.push_back(queue.front());
    queue.pop_front();
    words += batch.back()->words_left;
  } while (!batch.back()->is_alone() && !queue.empty() &&
           !queue.front()->is_alone() &&
           words + queue.front()->words_left <= options_.batch_words);
  if (queue.empty()) queues.erase(oldest);
  return batch;
}

void Batcher::Work() {
  Scratch scratch;
  std::unique_lock<std::mutex> lock(mutex_);
  const auto has_work = [this] {
    return !queues_[0].empty() || !queues_[1].empty();
  };
  while (true) {
    work_came_.wait(lock, [&] { return stopping_ || has_work(); });
    if (!has_work()) return;
    std::vector<Operation*> batch = TakeBatch();
    const auto priority = static_cast<size_t>(batch.front()->call.priority());
    lock.unlock();
    std::vector<Operation*> done = TakeUnwanted(&batch);
    const Ran ran = RunQueued(batch, &scratch);
    const size_t dropped = WordsLeft(done);
    lock.lock();
    queued_words_[priority] -= dropped + ran.words;
    AdmitWaiting(priority);
    if (ran.words > 0) {
      seconds_per_word_ +=
          kNewShare *
          (ran.seconds / static_cast<double>(ran.words) - seconds_per_word_);
    }
    Requeue(batch, &done);
    lock.unlock();
    for (Operation* operation : done) operation->waiter.resume();
    lock.lock();
  }
}

// Lets those into the queue that have waited for room there.
void Batcher::AdmitWaiting(size_t priority) {
  Queue& waiting = waiting_[priority];
  size_t& queued = queued_words_[priority];
  while (!waiting.empty() &&
         (queued == 0 ||
          queued + waiting.front()->words_left <= options_.queue_words)) {
    Operation* operation = waiting.front();
    waiting.pop_front();
    operation->call.Admit();
    queued += operation->words_left;
    Push(operation);
    work_came_.notify_one();
  }
}

// Moves those that nobody waits for any more out of a batch.
std::vector<Batcher::Operation*> Batcher::TakeUnwanted(
    std::vector<Operation*>* batch) {
  const auto unwanted = std::stable_partition(
      batch->begin(), batch->end(), [](Operation* operation) {
        operation->status = operation->call.CheckWanted();
        return operation->status.ok();
      });
  std::vector<Operation*> taken(unwanted, batch->end());
  batch->erase(unwanted, batch->end());
  return taken;
}

// What is not done goes on in a later batch.
void Batcher::Requeue(absl::Span<Operation* const> batch,
                      std::vector<Operation*>* done) {
  for (Operation* operation : batch) {
    if (operation->words_left == 0) {
      done->push_back(operation);
    } else {
      Push(operation);
      work_came_.notify_one();
    }
  }
}

void Batcher::Push(Operation* operation) {
  operation->queued = Clock::now();
  queues_[static_cast<size_t>(operation->call.priority())]
         [&operation->work_.model]
             .push_back(operation);
}

size_t Batcher::WordsLeft(absl::Span<Operation* const> batch) {
  size_t words = 0;
  for (const Operation* operation : batch) words += operation->words_left;
  return words;
}

Batcher::Ran Batcher::RunQueued(absl::Span<Operation* const> batch,
                                Scratch* scratch) const {
  if (batch.empty()) return {};
  const size_t words = WordsLeft(batch);
  const Clock::time_point start = Clock::now();
  RunBatch(batch, options_.batch_words, scratch);
  Ran ran = {words - WordsLeft(batch), Seconds(Clock::now() - start)};
  std::vector<double> queue_seconds;
  for (Operation* operation : batch) {
    queue_seconds.push_back(Seconds(start - operation->queued));
    operation->call.queue_seconds += queue_seconds.back();
    operation->call.compute_seconds += ran.seconds;
  }
  if (options_.on_batch != nullptr) {
    options_.on_batch({batch.front()->work_.model, batch.size(), ran.words,
                       ran.seconds, queue_seconds});
  }
  return ran;
}

void Batcher::RunBatch(absl::Span<Operation* const> batch, size_t limit,
                       Scratch* scratch) {
  Operation* first = batch.front();
  if (first->is_alone()) {
    (*first->alone_)();
    first->words_left = 0;
    return;
  }
  size_t words = 0;
  scratch->queries.clear();
  for (Operation* operation : batch) {
    words += operation->TakeQueries(limit - words, &scratch->queries);
  }
  if (!scratch->queries.empty()) Model(first->work_).Score(scratch->queries);
  for (Operation* operation : batch) {
    words += operation->TakeStates(limit - words, words == 0);
  }
  RunAttention(batch);
  RunBest(batch, scratch);
  RunVisits(batch, scratch);
}

// The states of which next words are wanted are those from first_state_ to
// state_.
size_t Batcher::Operation::TakeStates(size_t limit, bool is_empty) {
  first_state_ = state_;
  if (query_ < work_.queries.size()) return 0;
  const size_t fitting = std::max<size_t>(is_empty, limit / state_cost_);
  const size_t taken = std::min(fitting, work_.states.size() - state_);
  state_ += taken;
  words_left -= taken * state_cost_;
  return taken * state_cost_;
}

void Batcher::RunAttention(absl::Span<Operation* const> batch) {
  std::vector<TranslationModel::AttentionQuery> looks;
  for (const Operation* operation : batch) {
    const ModelWork& work = operation->work_;
    if (work.attention.empty()) continue;
    const size_t size = work.attention.size() / work.states.size();
    for (size_t i = operation->first_state_; i < operation->state_; ++i) {
      looks.push_back({work.states[i], work.attention.subspan(i * size, size)});
    }
  }
  if (looks.empty()) return;
  batch.front()->work_.model.model().translation()->Attend(looks);
}

// The best words, with a call of the model for all that want equally many.
void Batcher::RunBest(absl::Span<Operation* const> batch, Scratch* scratch) {
  std::map<size_t, std::vector<Operation*>> by_k;
  for (Operation* operation : batch) {
    if (operation->work_.k > 0 && !operation->states().empty()) {
      by_k[operation->work_.k].push_back(operation);
    }
  }
  for (const auto& [k, operations] : by_k) {
    scratch->states.clear();
    for (const Operation* operation : operations) {
      const auto states = operation->states();
      scratch->states.insert(scratch->states.end(), states.begin(),
                             states.end());
    }
    std::vector<ScoredWord*> to;  // of each state
    for (const Operation* operation : operations) {
      for (size_t i = operation->first_state_; i < operation->state_; ++i) {
        to.push_back(operation->work_.best.data() + i * k);
      }
    }
    const size_t most = std::max<size_t>(1, kMostBest / k);
    for (size_t begin = 0; begin < to.size(); begin += most) {
      const auto states =
          absl::MakeConstSpan(scratch->states).subspan(begin, most);
      scratch->best.resize(states.size() * k);
      Model(batch.front()->work_)
          .TopK(states, k, absl::MakeSpan(scratch->best));
      for (size_t i = 0; i < states.size(); ++i) {
        std::copy_n(scratch->best.begin() + i * k, k, to[begin + i]);
      }
    }
  }
}

// The distributions, as many at a time as memory should hold.
void Batcher::RunVisits(absl::Span<Operation* const> batch, Scratch* scratch) {
  std::vector<std::pair<const Operation*, size_t>> rows;
  for (const Operation* operation : batch) {
    if (!operation->work_.visit.has_value()) continue;
    for (size_t i = operation->first_state_; i < operation->state_; ++i) {
      rows.emplace_back(operation, i);
    }
  }
  const LanguageModel& model = Model(batch.front()->work_);
  const size_t vocabulary = model.vocabulary().size();
  for (size_t begin = 0; begin < rows.size(); begin += kMostDistributions) {
    const auto part =
        absl::MakeConstSpan(rows).subspan(begin, kMostDistributions);
    scratch->states.clear();
    for (const auto& [operation, i] : part) {
      scratch->states.push_back(operation->work_.states[i]);
    }
    scratch->log_probs.resize(part.size() * vocabulary);
    model.Distribution(scratch->states, scratch->log_probs.data());
    for (size_t i = 0; i < part.size(); ++i) {
      (*part[i].first->work_.visit)(part[i].second,
                                    absl::MakeConstSpan(scratch->log_probs)
                                        .subspan(i * vocabulary, vocabulary));
    }
  }
}

}  // namespace lmserve
