#ifndef LMSERVE_SERVER_BATCHING_BATCHER_H_
#define LMSERVE_SERVER_BATCHING_BATCHER_H_

#include <array>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"

namespace lmserve {

// What a call asks at once of a model that goes word by word, as views of
// memory that lasts until it is answered.
struct ModelWork {
  const LoadedVersion& model;
  // First, texts are read and scored.
  absl::Span<const LanguageModel::Query> queries = {};
  // Then, of these states, among which may be those that the queries write:
  absl::Span<const std::byte* const> states = {};
  // how they look at the words of their source, each has as many and </s>,
  // (states.size(), words), or empty (TranslationModel::Attend),
  absl::Span<float> attention = {};
  // and either the k best next words, (states.size(), k),
  size_t k = 0;
  absl::Span<ScoredWord> best = {};
  // or every word: told, state by state, its number and ln P of all words.
  using Visit = absl::FunctionRef<void(size_t, absl::Span<const float>)>;
  std::optional<Visit> visit = {};
};

struct BatcherOptions {
  size_t threads = 0;  // 0: one a processor
  // Words in a batch: what a cancelled call, or an urgent one, waits for at
  // most. A state of which next words are asked counts as a word or, where a
  // model of look-ups goes through its whole vocabulary for it, as many as that
  // takes.
  size_t batch_words = 1024;
  // The most that models of look-ups do on the caller's thread.
  size_t inline_words = 4096;
  // Words of all calls of one priority that wait. More are refused: bulk work
  // takes no place from those who wait for an answer.
  size_t queue_words = 1'000'000;

  // What one batch was, for whoever counts; called on any thread. What is done
  // on the caller's own has waited for nothing: queue_seconds is empty.
  struct Batch {
    const LoadedVersion& model;
    size_t calls;
    size_t words;
    double seconds;
    absl::Span<const double> queue_seconds;  // of the calls
  };
  std::function<void(const Batch&)> on_batch = nullptr;
};

// Brings the work of all calls on a model together, so that it is done in as
// few and large products as possible. There is one in a process.
//
// It never waits for a batch to fill: a thread that is idle takes the oldest
// work, and all other work for the same model that has queued up meanwhile; the
// queue that grows during one batch is the next. Interactive work goes before
// bulk, but one batch in eight is bulk's while some waits. What does not fit a
// batch goes on in the next, after the others have had their turn. Work whose
// caller is gone is dropped unstarted. Where the queue is full work is refused,
// but that of a call that rather waits (Call::waits_for_room).
//
// Work of models of look-ups (LanguageModel::is_lookup) gains nothing from
// company: it is done at once on the caller's thread, unless it is long.
//
// No answer depends on the company it had. Any number of threads may use it; it
// must outlive the calls.
class Batcher {
 public:
  explicit Batcher(BatcherOptions options);

  // Sees all that is queued through.
  ~Batcher();

  class Turn;

  // co_await it: returns when the work is done, or why it was not: CANCELLED or
  // DEADLINE_EXCEEDED as the call is, or RESOURCE_EXHAUSTED, with a RetryInfo,
  // where the queue is full. The call must last so long, too.
  Turn Run(Call& call, const ModelWork& work);

  // The same for other work that costs about as much as `words` words of that
  // model: it makes up a batch of its own.
  Turn Run(Call& call, const LoadedVersion& model, size_t words,
           absl::FunctionRef<void()> work);

  // Words that wait, of either priority.
  size_t queued_words() const;

  // Words that a batch has at most.
  size_t batch_words() const { return options_.batch_words; }

 private:
  using Clock = std::chrono::steady_clock;

  // Work in the queue, and how far it has come. Lives in the awaiting
  // coroutine.
  class Operation {
   public:
    Operation(Call& call, const ModelWork& work);
    Operation(Call& call, const LoadedVersion& model, size_t words,
              absl::FunctionRef<void()> work);

    // Adds queries of at most so many words to a batch; returns their words.
    size_t TakeQueries(size_t limit, std::vector<LanguageModel::Query>* batch);
    // Has the next words of states told that count as so many words at most,
    // once all queries were taken; returns those. A state that counts as more
    // has a batch that is empty to itself.
    size_t TakeStates(size_t limit, bool is_empty);
    absl::Span<const std::byte* const> states() const {
      return work_.states.subspan(first_state_, state_ - first_state_);
    }
    bool is_alone() const { return alone_.has_value(); }

    Call& call;
    absl::Status status;
    std::coroutine_handle<> waiter;
    Clock::time_point queued;
    size_t words_left;  // states included

   private:
    friend class Batcher;

    const ModelWork work_;
    const size_t state_cost_;  // of each, in words
    const std::optional<absl::FunctionRef<void()>> alone_;
    size_t query_ = 0;  // the next one, from word_ on
    size_t word_ = 0;
    size_t first_state_ = 0;          // of those that were taken last
    size_t state_ = 0;                // the next one
    std::vector<std::byte> carried_;  // the state of a text that was cut
  };

  // The work for one model, of one priority.
  using Queue = std::deque<Operation*>;
  using Queues = std::map<const LoadedVersion*, Queue>;

  struct Scratch;

  // On the caller's thread.
  bool IsInline(const Operation& operation) const;
  void RunInline(Operation* operation);
  bool Enqueue(Operation* operation);

  // On a thread of the batcher.
  struct Ran {
    size_t words = 0;
    double seconds = 0;
  };
  void Work();
  Queues& NextQueues();
  std::vector<Operation*> TakeBatch();
  static std::vector<Operation*> TakeUnwanted(std::vector<Operation*>* batch);
  void Requeue(absl::Span<Operation* const> batch,
               std::vector<Operation*>* done);
  void Push(Operation* operation);
  static size_t WordsLeft(absl::Span<Operation* const> batch);
  void AdmitWaiting(size_t priority);
  Ran RunQueued(absl::Span<Operation* const> batch, Scratch* scratch) const;

  // On either: work of at most so many words.
  static void RunBatch(absl::Span<Operation* const> batch, size_t limit,
                       Scratch* scratch);
  static void RunAttention(absl::Span<Operation* const> batch);
  static void RunBest(absl::Span<Operation* const> batch, Scratch* scratch);
  static void RunVisits(absl::Span<Operation* const> batch, Scratch* scratch);

  absl::Status Full(size_t words, size_t queued) const;

  const BatcherOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable work_came_;
  std::array<Queues, 2> queues_;  // by priority; guarded by mutex_, as the next
  std::array<size_t, 2> queued_words_ = {};
  std::array<Queue, 2> waiting_;  // for room in the queue
  double seconds_per_word_ = 0;   // of late
  unsigned batches_since_bulk_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// What Run() gives, to be awaited at once.
class [[nodiscard]] Batcher::Turn {
 public:
  bool await_ready() {
    if (!batcher_.IsInline(operation_)) return false;
    batcher_.RunInline(&operation_);
    return true;
  }
  bool await_suspend(std::coroutine_handle<> waiter) {
    operation_.waiter = waiter;
    return batcher_.Enqueue(&operation_);
  }
  absl::Status await_resume() { return std::move(operation_.status); }

 private:
  friend class Batcher;

  template <typename... Work>
  explicit Turn(Batcher& batcher, Call& call, const Work&... work)
      : batcher_(batcher), operation_(call, work...) {}

  Batcher& batcher_;
  Operation operation_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_BATCHING_BATCHER_H_
