// SPDX-License-Identifier: Apache-2.0
#include "model_store/version_loads.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model_store/background_thread.h"
#include "model_store/mutex.h"

namespace lmserve {
namespace {

using LoadClock = std::chrono::steady_clock;

absl::Status TookTooLong(std::chrono::milliseconds timeout) {
  return absl::DeadlineExceededError(
      absl::StrCat("loading: expected an end after at most ",
                   std::chrono::duration<double>(timeout).count(),
                   " s, found that it takes longer"));
}

}  // namespace

// One load. Its thread shares it with the list of loads; after Cancel() the
// list does not have it any more.
struct VersionLoads::Load {
  enum class Phase { kWaiting, kRunning, kEnded };

  Version version;
  std::string stamp;
  // Only used with the mutex of the state, except for the two atomic members.
  Phase phase = Phase::kWaiting;
  LoadClock::time_point start = {};
  absl::StatusOr<ModelHandle> result = absl::UnknownError("not loaded");
  std::atomic<LoadClock::time_point> progress = LoadClock::time_point();
  std::atomic<bool> is_cancelled = false;
};

struct VersionLoads::State : std::enable_shared_from_this<State> {
  explicit State(Options options_in) : options(std::move(options_in)) {}

  // Starts waiting loads as far as the rules allow it.
  void StartNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Start(const std::shared_ptr<Load>& load)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The thread of a load.
  void Run(std::shared_ptr<Load> load);
  absl::Status Check(Load& load) const;
  bool IsOverdue(const Load& load) const;
  bool IsStalled(const Load& load, std::chrono::milliseconds patience) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  const Options options;
  std::atomic<bool> has_low_priority = false;
  mutable Mutex mutex;
  ConditionVariable changed;
  std::vector<std::shared_ptr<Load>> loads ABSL_GUARDED_BY(mutex);
  // Loads that took too long and whose threads have not ended. As long as one
  // hangs, its files are not loaded again.
  std::vector<std::shared_ptr<Load>> abandoned ABSL_GUARDED_BY(mutex);
  int threads ABSL_GUARDED_BY(mutex) = 0;  // with those that were abandoned
  bool is_stopped ABSL_GUARDED_BY(mutex) = false;
};

void VersionLoads::State::StartNext() {
  for (const auto& load : loads) {
    if (is_stopped || threads >= kMostThreads) return;
    if (load->phase == Load::Phase::kRunning &&
        !IsStalled(*load, options.patience))
      return;
    if (load->phase != Load::Phase::kWaiting) continue;
    Start(load);
    if (load->phase == Load::Phase::kRunning) return;
  }
}

void VersionLoads::State::Start(const std::shared_ptr<Load>& load) {
  load->phase = Load::Phase::kRunning;
  load->start = LoadClock::now();
  load->progress = load->start;
  ++threads;
  try {
    std::thread([state = shared_from_this(), own = load]() mutable {
      state->Run(std::move(own));
    }).detach();
  } catch (const std::system_error& error) {
    --threads;
    load->phase = Load::Phase::kEnded;
    load->result = absl::ResourceExhaustedError(absl::StrCat(
        "threads: expected another one for loading, found: ", error.what()));
  }
}

void VersionLoads::State::Run(std::shared_ptr<Load> load) {
  if (has_low_priority) LowerThreadPriority();
  absl::StatusOr<ModelHandle> result =
      options.load(load->version, [&] { return Check(*load); });
  {
    const MutexLock lock(mutex);
    load->result = std::move(result);
    load->phase = Load::Phase::kEnded;
    std::erase(abandoned, load);
    StartNext();
  }
  const Version version = load->version;
  load.reset();  // if it was cancelled, this destroys the result
  options.on_end(version);
  const MutexLock lock(mutex);
  --threads;
  StartNext();
  changed.NotifyAll();
}

bool VersionLoads::State::IsOverdue(const Load& load) const {
  return options.timeout.count() > 0 &&
         LoadClock::now() - load.start > options.timeout;
}

bool VersionLoads::State::IsStalled(const Load& load,
                                    std::chrono::milliseconds patience) const {
  return load.phase == Load::Phase::kRunning &&
         LoadClock::now() - load.progress.load() > patience;
}

absl::Status VersionLoads::State::Check(Load& load) const {
  load.progress = LoadClock::now();
  if (load.is_cancelled) return absl::CancelledError("loading was cancelled");
  return IsOverdue(load) ? TookTooLong(options.timeout) : absl::OkStatus();
}

VersionLoads::VersionLoads(Options options)
    : state_(std::make_shared<State>(std::move(options))) {}

VersionLoads::~VersionLoads() { Stop(std::chrono::milliseconds(0)); }

std::optional<absl::StatusOr<ModelHandle>> VersionLoads::Take(
    const Version& version, const std::string& stamp) {
  std::shared_ptr<Load> dropped;  // destroyed without the lock
  const MutexLock lock(state_->mutex);
  if (state_->is_stopped) return std::nullopt;
  auto& loads = state_->loads;
  auto found = std::find_if(loads.begin(), loads.end(), [&](const auto& load) {
    return load->version == version;
  });
  if (found != loads.end() && (*found)->stamp != stamp) {
    dropped = *found;
    dropped->is_cancelled = true;
    loads.erase(found);
    found = loads.end();
  }
  if (found == loads.end()) {
    for (const auto& load : state_->abandoned) {
      if (load->version == version && load->stamp == stamp) {
        return TookTooLong(state_->options.timeout);
      }
    }
    auto load = std::make_shared<Load>();
    load->version = version;
    load->stamp = stamp;
    loads.push_back(load);
    state_->StartNext();
    return std::nullopt;
  }
  const std::shared_ptr<Load> load = *found;
  if (load->phase == Load::Phase::kEnded) {
    loads.erase(found);
    return std::move(load->result);
  }
  if (load->phase == Load::Phase::kRunning && state_->IsOverdue(*load)) {
    load->is_cancelled = true;
    state_->abandoned.push_back(load);
    loads.erase(found);
    state_->StartNext();
    return TookTooLong(state_->options.timeout);
  }
  return std::nullopt;
}

void VersionLoads::Drop(const Version& version) {
  std::vector<std::shared_ptr<Load>> dropped;  // destroyed without the lock
  const MutexLock lock(state_->mutex);
  std::erase_if(state_->loads, [&](const auto& load) {
    const bool drops =
        load->version == version && load->phase == Load::Phase::kEnded;
    if (drops) dropped.push_back(load);
    return drops;
  });
}

std::vector<VersionLoads::Version> VersionLoads::Tick() {
  const MutexLock lock(state_->mutex);
  state_->StartNext();
  std::vector<Version> ended;
  for (const auto& load : state_->loads) {
    const bool is_overdue =
        load->phase == Load::Phase::kRunning && state_->IsOverdue(*load);
    if (is_overdue || load->phase == Load::Phase::kEnded) {
      ended.push_back(load->version);
    }
  }
  return ended;
}

bool VersionLoads::IsBusy() const {
  const MutexLock lock(state_->mutex);
  return !state_->loads.empty();
}

bool VersionLoads::IsStalled(std::chrono::milliseconds patience) const {
  const MutexLock lock(state_->mutex);
  if (state_->loads.empty()) return false;
  if (state_->threads >= kMostThreads) return true;
  for (const auto& load : state_->loads) {
    if (!state_->IsStalled(*load, patience)) return false;
  }
  return true;
}

void VersionLoads::LowerPriority() { state_->has_low_priority = true; }

bool VersionLoads::Stop(std::chrono::milliseconds patience) {
  std::vector<std::shared_ptr<Load>> dropped;  // destroyed without the lock
  const MutexLock lock(state_->mutex);
  state_->is_stopped = true;
  for (const auto& load : state_->loads) load->is_cancelled = true;
  const auto end = LoadClock::now() + patience;
  while (state_->threads > 0 && state_->changed.WaitUntil(state_->mutex, end)) {
  }
  dropped.swap(state_->loads);
  return state_->threads == 0;
}

}  // namespace lmserve
