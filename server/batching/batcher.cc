// SPDX-License-Identifier: Apache-2.0
#include "server/batching/batcher.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "model_store/processors.h"
#include "models/translation_model.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;
using Operations = absl::Span<BatchOperation* const>;

// How long work of look-up models may take before others have their turn.
constexpr std::chrono::milliseconds kLookupTurn(1);

// The most states whose distributions are in memory at a time.
constexpr size_t kMostDistributions = 64;

// The most best words that are in memory at a time, unless one state has more.
constexpr size_t kMostBest = 1 << 16;

double Seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

size_t WordsLeft(Operations operations) {
  size_t words = 0;
  for (const BatchOperation* operation : operations) {
    words += operation->words_left;
  }
  return words;
}

// The memory that a thread reuses from batch to batch.
struct Scratch {
  std::vector<LanguageModel::Query> queries;
  std::vector<const std::byte*> states;
  std::vector<ScoredWord> best;
  std::vector<float> log_probs;
};

void RunAttention(Operations batch) {
  std::vector<TranslationModel::AttentionQuery> queries;
  for (const BatchOperation* operation : batch) {
    const ModelWork& work = operation->work();
    if (work.attention.empty()) continue;
    const size_t size = work.attention.size() / work.states.size();
    for (size_t i = operation->first_state(); i < operation->end_state(); ++i) {
      queries.push_back(
          {work.states[i], work.attention.subspan(i * size, size)});
    }
  }
  if (queries.empty()) return;
  batch.front()->work().model.model().translation()->Attend(queries);
}

// Finds the k best words after the states that the operations took last.
// REQUIRES: all have this k.
void RunBest(Operations operations, size_t k, Scratch* scratch) {
  scratch->states.clear();
  std::vector<ScoredWord*> results;  // where those of each state go
  for (const BatchOperation* operation : operations) {
    const auto states = operation->states();
    scratch->states.insert(scratch->states.end(), states.begin(), states.end());
    for (size_t i = operation->first_state(); i < operation->end_state(); ++i) {
      results.push_back(operation->work().best.data() + i * k);
    }
  }
  const LanguageModel& model = operations.front()->model();
  const size_t most = std::max<size_t>(1, kMostBest / k);
  for (size_t begin = 0; begin < results.size(); begin += most) {
    const auto states =
        absl::MakeConstSpan(scratch->states).subspan(begin, most);
    scratch->best.resize(states.size() * k);
    model.TopK(states, k, absl::MakeSpan(scratch->best));
    for (size_t i = 0; i < states.size(); ++i) {
      std::copy_n(scratch->best.begin() + i * k, k, results[begin + i]);
    }
  }
}

// Finds the best words, with one call of the model for all operations that
// want the same number of words.
void RunBest(Operations batch, Scratch* scratch) {
  std::map<size_t, std::vector<BatchOperation*>> by_k;
  for (BatchOperation* operation : batch) {
    if (operation->work().k > 0 && !operation->states().empty()) {
      by_k[operation->work().k].push_back(operation);
    }
  }
  for (const auto& [k, operations] : by_k) RunBest(operations, k, scratch);
}

// Computes the distributions, at most kMostDistributions at a time.
void RunVisits(Operations batch, Scratch* scratch) {
  std::vector<std::pair<const BatchOperation*, size_t>> rows;
  for (const BatchOperation* operation : batch) {
    if (!operation->work().visit.has_value()) continue;
    for (size_t i = operation->first_state(); i < operation->end_state(); ++i) {
      rows.emplace_back(operation, i);
    }
  }
  if (rows.empty()) return;
  const LanguageModel& model = batch.front()->model();
  const size_t vocabulary = model.vocabulary().size();
  for (size_t begin = 0; begin < rows.size(); begin += kMostDistributions) {
    const auto part =
        absl::MakeConstSpan(rows).subspan(begin, kMostDistributions);
    scratch->states.clear();
    for (const auto& [operation, i] : part) {
      scratch->states.push_back(operation->work().states[i]);
    }
    scratch->log_probs.resize(part.size() * vocabulary);
    model.Distribution(scratch->states, scratch->log_probs.data());
    for (size_t i = 0; i < part.size(); ++i) {
      (*part[i].first->work().visit)(part[i].second,
                                     absl::MakeConstSpan(scratch->log_probs)
                                         .subspan(i * vocabulary, vocabulary));
    }
  }
}

// Returns the sentences of a list that the operations took last and that have
// this pooling.
template <typename Sentence>
std::vector<Sentence> TakenSentences(
    Operations batch, absl::Span<const Sentence> ModelWork::*list,
    Pooling pooling = Pooling::kMean) {
  std::vector<Sentence> sentences;
  for (const BatchOperation* operation : batch) {
    if (operation->work().pooling != pooling) continue;
    const auto taken = operation->Taken(operation->work().*list);
    sentences.insert(sentences.end(), taken.begin(), taken.end());
  }
  return sentences;
}

void RunSentences(Operations batch) {
  const AnyModel& model = batch.front()->work().model.model();
  if (const auto tagged = TakenSentences(batch, &ModelWork::tagged);
      !tagged.empty()) {
    model.tagger()->Tag(tagged);
  }
  if (const auto classified = TakenSentences(batch, &ModelWork::classified);
      !classified.empty()) {
    model.classifier()->Classify(classified);
  }
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    if (const auto encoded =
            TakenSentences(batch, &ModelWork::encoded, pooling);
        !encoded.empty()) {
      model.sentence_encoder()->Encode(encoded, pooling);
    }
  }
}

// Does at most `limit` words of the work of a batch, and at most `state_limit`
// words of it for states. REQUIRES: it is not empty, and is for one model.
void RunBatch(Operations batch, size_t limit, size_t state_limit) {
  thread_local Scratch scratch;
  BatchOperation* first = batch.front();
  if (first->is_exclusive) {
    first->RunExclusive();
    return;
  }
  size_t words = 0;
  scratch.queries.clear();
  for (BatchOperation* operation : batch) {
    if (words >= limit) break;
    words += operation->TakeQueries(limit - words, &scratch.queries);
  }
  if (!scratch.queries.empty()) first->model().Score(scratch.queries);
  // A long sentence or an expensive state alone may exceed the limit.
  const auto left = [&] { return words < limit ? limit - words : 0; };
  for (BatchOperation* operation : batch) {
    words += operation->TakeSentences(left(), words == 0);
  }
  RunSentences(batch);
  for (BatchOperation* operation : batch) {
    words += operation->TakeStates(std::min(left(), state_limit), words == 0);
  }
  RunAttention(batch);
  RunBest(batch, &scratch);
  RunVisits(batch, &scratch);
}

// Does the work of a look-up model in parts. A word takes a microsecond, but a
// thousand times as long in a model that was made for that; so the first part
// is small, the next ones are larger while they are fast, and after kLookupTurn
// no other part begins. Returns the words done, at most `limit` of them.
size_t RunLookups(Operations batch, size_t limit) {
  constexpr size_t kFirstWords = 128, kFirstStates = 16;
  constexpr std::chrono::milliseconds kFast(1);
  const Clock::time_point start = Clock::now();
  const size_t all = WordsLeft(batch);
  Clock::time_point part_start = start;
  for (size_t factor = 1;;) {
    const size_t done = all - WordsLeft(batch);
    if (done == all || done >= limit) return done;
    RunBatch(batch, std::min(factor * kFirstWords, limit - done),
             factor * kFirstStates);
    const Clock::time_point now = Clock::now();
    if (now - start > kLookupTurn) return all - WordsLeft(batch);
    if (now - part_start < kFast) factor *= 2;
    part_start = now;
  }
}

// Adds to the trace of the operation's call, if it has one, that it was in the
// queue until `end`.
void TraceQueue(const BatchOperation& operation, Clock::time_point end) {
  CallTrace* trace = operation.call.trace();
  if (trace == nullptr) return;
  const LoadedVersion& model = operation.work().model;
  trace->Add({.kind = CallTrace::Kind::kQueue,
              .start = operation.queued_at,
              .end = end,
              .model = model.name(),
              .version = model.version()});
}

size_t ThreadCount(const BatcherOptions& options) {
  if (options.threads > 0) return options.threads;
  return AvailableProcessors();
}

}  // namespace

Batcher::Batcher(BatcherOptions options)
    : options_(std::move(options)),
      queue_({.max_words = options_.queue_words,
              .batch_words = options_.batch_words,
              .threads = ThreadCount(options_)}) {
  for (size_t i = 0; i < ThreadCount(options_); ++i) {
    threads_.emplace_back([this] { RunBatches(); });
  }
}

Batcher::~Batcher() {
  queue_.Stop();
  for (std::thread& thread : threads_) thread.join();
}

Batcher::Turn Batcher::Run(Call& call, const ModelWork& work) {
  return Turn(*this, call, work);
}

Batcher::Turn Batcher::Run(Call& call, const LoadedVersion& model, size_t words,
                           absl::FunctionRef<void()> work) {
  return Turn(*this, call, model, words, work);
}

bool Batcher::IsInline(const BatchOperation& operation) const {
  return !operation.is_exclusive && operation.is_lookup() &&
         operation.words_left <= options_.inline_words &&
         operation.call.turn_seconds < Seconds(kLookupTurn) &&
         !queue_.IsWaiting(operation.call, operation.QueuedWork::model);
}

// Returns whether the work is done or has failed.
bool Batcher::RunInline(BatchOperation* operation) {
  operation->status = operation->call.CheckWanted();
  if (!operation->status.ok()) return true;
  const Clock::time_point start = Clock::now();
  const size_t words = RunLookups({&operation, 1}, operation->words_left);
  const Clock::time_point end = Clock::now();
  const double seconds = Seconds(end - start);
  operation->call.compute_seconds += seconds;
  operation->call.turn_seconds += seconds;
  if (CallTrace* trace = operation->call.trace(); trace != nullptr) {
    const LoadedVersion& model = operation->work().model;
    trace->Add({.kind = CallTrace::Kind::kCompute,
                .start = start,
                .end = end,
                .model = model.name(),
                .version = model.version(),
                .words = words});
  }
  if (options_.on_batch != nullptr) {
    options_.on_batch({operation->work().model, 1, words, seconds, {}});
  }
  if (operation->words_left > 0) return false;
  // If the next work of the request is queued, it is not the first.
  operation->call.Admit();
  return true;
}

// Returns whether the caller must wait. As soon as the operation is in the
// queue, another thread may finish it, and free it.
bool Batcher::Enqueue(BatchOperation* operation) {
  operation->status = operation->call.CheckWanted();
  if (!operation->status.ok()) return false;
  absl::Status status = queue_.Add(operation);
  if (status.ok()) return true;
  operation->status = std::move(status);
  return false;
}

// Runs a batch, and returns how many seconds it took. REQUIRES: it is not
// empty.
double Batcher::RunQueued(Operations batch) const {
  const size_t words = WordsLeft(batch);
  const Clock::time_point start = Clock::now();
  const BatchOperation& first = *batch.front();
  if (!first.is_exclusive && first.is_lookup()) {
    RunLookups(batch, options_.batch_words);
  } else {
    RunBatch(batch, options_.batch_words, options_.batch_words);
  }
  const Clock::time_point end = Clock::now();
  const double seconds = Seconds(end - start);
  const size_t words_done = words - WordsLeft(batch);
  std::vector<double> queue_seconds;
  for (BatchOperation* operation : batch) {
    queue_seconds.push_back(Seconds(start - operation->queued_at));
    operation->call.queue_seconds += queue_seconds.back();
    operation->call.compute_seconds += seconds;
    operation->call.turn_seconds = 0;
    CallTrace* trace = operation->call.trace();
    if (trace == nullptr) continue;
    TraceQueue(*operation, start);
    const LoadedVersion& model = operation->work().model;
    trace->Add({.kind = CallTrace::Kind::kCompute,
                .start = start,
                .end = end,
                .model = model.name(),
                .version = model.version(),
                .words = operation->queued_words - operation->words_left,
                .batch_calls = batch.size(),
                .batch_words = words_done});
  }
  if (options_.on_batch != nullptr) {
    options_.on_batch({batch.front()->work().model, batch.size(), words_done,
                       seconds, queue_seconds});
  }
  return seconds;
}

// Runs batches until the queue is stopped and empty.
void Batcher::RunBatches() {
  while (true) {
    const std::vector<QueuedWork*> taken = queue_.TakeBatch();
    if (taken.empty()) return;
    std::vector<BatchOperation*> batch, ended;
    for (QueuedWork* work : taken) {
      // The batcher adds nothing else to its queue.
      auto* operation = static_cast<BatchOperation*>(work);
      operation->status = operation->call.CheckWanted();
      operation->is_dropped = !operation->status.ok();
      if (operation->is_dropped) TraceQueue(*operation, Clock::now());
      (operation->is_dropped ? ended : batch).push_back(operation);
    }
    const double seconds = batch.empty() ? 0 : RunQueued(batch);
    for (BatchOperation* operation : batch) {
      if (operation->words_left == 0) ended.push_back(operation);
    }
    // From here on another thread may finish and free what is not ended.
    queue_.FinishBatch(taken, seconds);
    for (BatchOperation* operation : ended) operation->waiter.resume();
  }
}

}  // namespace lmserve
