// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_store.h"

#include <malloc.h>

#include <atomic>
#include <list>
#include <map>
#include <new>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "model_store/background_thread.h"
#include "model_store/disk_work.h"
#include "model_store/mutex.h"
#include "model_store/store_change.h"
#include "model_store/store_loader.h"
#include "model_store/version_loads.h"

namespace lmserve {
namespace {

absl::Status Stopped() {
  return absl::UnavailableError("the server is shutting down; ask again");
}

// Returns freed memory to the operating system.
void TrimMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

// Returns a handle that destroys its version on the thread. The last owner may
// be answering a request, and destroying a large model takes time.
ModelHandle DestroyedBy(std::shared_ptr<BackgroundThread> thread,
                        ModelHandle handle) {
  const LoadedVersion* model = handle.get();
  const auto release = [thread = std::move(thread), handle = std::move(handle)](
                           const LoadedVersion*) mutable {
    thread->Post([handle = std::move(handle)]() mutable {
      handle.reset();
      TrimMemory();
    });
  };
  return ModelHandle(model, release);
}

}  // namespace

// What the store and its threads share. A thread that was abandoned keeps it.
class ModelStore::Core : public std::enable_shared_from_this<Core> {
 public:
  // Makes a step of a change, see StoreLoader::Outcome.
  using Step = std::function<StoreLoader::Outcome(StoreLoader&)>;

  Core(const std::string& directory, StoreOptions options)
      : directory_(directory),
        options_(std::move(options)),
        served_(std::make_shared<const ServedModels>()),
        thread_(std::make_shared<BackgroundThread>(
            BackgroundThread::Priority::kNormal)) {}

  // Connects the parts. Must be called once, before all other functions.
  void Start();

  const StoreOptions& options() const { return options_; }

  std::shared_ptr<const ServedModels> served() const {
    const MutexLock lock(mutex_);
    return served_;
  }

  void OnChange(std::function<void()> function) {
    const MutexLock lock(on_change_mutex_);
    on_change_ = std::move(function);
    if (on_change_) on_change_();
  }

  // Queues a change.
  void Post(Step step, Done done);

  // Begins to scan the directory from time to time.
  void Poll();

  // Whether there is work in progress and none of it makes progress.
  bool IsStalled() const;

  // Gives all work from now on the lowest priority.
  void LowerPriority() {
    disk_.LowerPriority();
    loads_->LowerPriority();
    thread_->Post(LowerThreadPriority);
  }

  bool Stop();

 private:
  // A change that has not ended.
  struct Change {
    uint64_t id;  // of its Done
    Step step;
  };

  StoreLoader::Hooks MakeHooks();
  void Begin(Change change);
  void Continue();
  void Tick();
  void KeepTicking();
  void OnLoadEnded(const VersionLoads::Version& version);
  void OnDiskWorkEnded(const std::function<void()>& then);
  void Publish(std::shared_ptr<const ServedModels> served);

  uint64_t Remember(Done done);
  void Finish(uint64_t id, const absl::Status& status);

  const std::string directory_;
  const StoreOptions options_;
  mutable Mutex mutex_;
  std::shared_ptr<const ServedModels> served_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Done> waiting_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  Mutex on_change_mutex_;  // held while on_change_ runs
  std::function<void()> on_change_ ABSL_GUARDED_BY(on_change_mutex_);
  std::atomic<bool> stopped_ = false;
  // Shared with the handles, which post the destruction of their version to it.
  const std::shared_ptr<BackgroundThread> thread_;
  std::unique_ptr<VersionLoads> loads_;
  DiskWork disk_;
  // Only the thread uses these.
  std::unique_ptr<StoreLoader> loader_;
  std::list<Change> changes_;
  bool is_ticking_ = false;
};

void ModelStore::Core::Start() {
  const std::weak_ptr<Core> weak = weak_from_this();
  const std::shared_ptr<BackgroundThread> thread = thread_;
  loads_ = std::make_unique<VersionLoads>(VersionLoads::Options{
      .load =
          [directory = directory_, load = options_.load,
           follow_links = options_.follow_links, thread](
              const VersionLoads::Version& version,
              const VersionLoads::Check& check) -> absl::StatusOr<ModelHandle> {
        absl::StatusOr<ModelHandle> handle =
            load(directory, version.first, version.second,
                 {.check = check,
                  .follow_links = follow_links,
                  .keep_files = false});
        if (!handle.ok()) return handle;
        return DestroyedBy(thread, *std::move(handle));
      },
      .on_end =
          [weak, thread](const VersionLoads::Version& version) {
            thread->Post([weak, version] {
              const std::shared_ptr<Core> core = weak.lock();
              if (core != nullptr) core->OnLoadEnded(version);
            });
          },
      .timeout = options_.load_timeout,
      .patience = options_.load_patience});
  loader_ = std::make_unique<StoreLoader>(
      StoreLoader::Options{directory_, options_.keep, options_.follow_links,
                           options_.disk_patience,
                           options_.incomplete_patience},
      MakeHooks());
}

// The loader belongs to this object, and calls these only when it is called.
StoreLoader::Hooks ModelStore::Core::MakeHooks() {
  StoreLoader::Hooks hooks;
  hooks.load = [this](const std::string& name, uint64_t version,
                      const std::string& stamp) {
    return loads_->Take({name, version}, stamp);
  };
  hooks.run = [this](const std::string& name, StoreLoader::DiskTask task) {
    return disk_.Post(name,
                      [weak = weak_from_this(), thread = thread_, name,
                       begin = options_.on_disk_work, task = std::move(task)] {
                        begin(name);
                        thread->Post([weak, then = task()] {
                          const std::shared_ptr<Core> core = weak.lock();
                          if (core != nullptr) core->OnDiskWorkEnded(then);
                        });
                      });
  };
  hooks.cancel = [this](const std::string& name, uint64_t number) {
    return disk_.Cancel(name, number);
  };
  hooks.hangs = [this](const std::string& name) {
    return disk_.IsStalled(name, options_.disk_patience);
  };
  hooks.publish = [this](std::shared_ptr<const ServedModels> served) {
    Publish(std::move(served));
  };
  return hooks;
}

uint64_t ModelStore::Core::Remember(Done done) {
  const MutexLock lock(mutex_);
  waiting_.emplace(++last_id_, std::move(done));
  return last_id_;
}

// Calls the Done of a change, unless it was called before.
void ModelStore::Core::Finish(uint64_t id, const absl::Status& status) {
  Done done;
  {
    const MutexLock lock(mutex_);
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    done = std::move(found->second);
    waiting_.erase(found);
  }
  done(status);
}

void ModelStore::Core::Post(Step step, Done done) {
  const uint64_t id = Remember(std::move(done));
  const auto begin = [core = shared_from_this(), id, step = std::move(step)] {
    core->Begin({id, step});
  };
  if (!thread_->Post(begin)) Finish(id, Stopped());
}

void ModelStore::Core::Begin(Change change) {
  changes_.push_back(std::move(change));
  Continue();
}

// Makes the next step of all changes.
void ModelStore::Core::Continue() {
  for (auto change = changes_.begin(); change != changes_.end();) {
    StoreLoader::Outcome outcome = Stopped();
    if (!stopped_) {
      try {
        outcome = change->step(*loader_);
      } catch (const std::bad_alloc&) {
        outcome = absl::ResourceExhaustedError("memory: too little");
      }
    }
    if (!outcome.has_value()) {
      ++change;
      continue;
    }
    const uint64_t id = change->id;
    change = changes_.erase(change);
    Finish(id, *outcome);
  }
  KeepTicking();
}

// Calls Tick() from time to time while something waits.
void ModelStore::Core::KeepTicking() {
  constexpr std::chrono::milliseconds kPause(50);
  if (is_ticking_ || stopped_) return;
  if (changes_.empty() && !loads_->IsBusy() && !disk_.IsBusy()) return;
  is_ticking_ = thread_->PostAfter(kPause, [weak = weak_from_this()] {
    const std::shared_ptr<Core> core = weak.lock();
    if (core != nullptr) core->Tick();
  });
}

void ModelStore::Core::Tick() {
  is_ticking_ = false;
  if (stopped_) return;
  disk_.Tick();
  loader_->CheckDisk();
  for (const VersionLoads::Version& version : loads_->Tick()) {
    OnLoadEnded(version);
  }
  Continue();
}

void ModelStore::Core::OnLoadEnded(const VersionLoads::Version& version) {
  if (stopped_) return;
  loader_->OnLoaded(version.first);
  Continue();
  loads_->Drop(version);
}

void ModelStore::Core::OnDiskWorkEnded(const std::function<void()>& then) {
  if (stopped_) return;
  then();
  Continue();
}

bool ModelStore::Core::IsStalled() const {
  const bool loads = loads_->IsBusy(), disk = disk_.IsBusy();
  return (loads || disk) &&
         (!loads || loads_->IsStalled(options_.open_patience)) &&
         (!disk || disk_.IsStalled(options_.open_patience));
}

void ModelStore::Core::Poll() {
  thread_->RepeatEvery(options_.poll, [weak = weak_from_this()] {
    const std::shared_ptr<Core> core = weak.lock();
    if (core == nullptr || core->stopped_) return;
    core->loader_->BeginSweep(/*skips_pending=*/true);
    core->KeepTicking();
  });
}

void ModelStore::Core::Publish(std::shared_ptr<const ServedModels> served) {
  {
    const MutexLock lock(mutex_);
    served_.swap(served);
  }
  const MutexLock lock(on_change_mutex_);
  if (on_change_) on_change_();
}

bool ModelStore::Core::Stop() {
  constexpr std::chrono::milliseconds kFilePatience(1'000);
  constexpr std::chrono::milliseconds kThreadPatience(500);
  const auto end = std::chrono::steady_clock::now() + kFilePatience;
  stopped_ = true;
  bool ended = loads_->Stop(kFilePatience);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      end - std::chrono::steady_clock::now());
  ended = disk_.Stop(left) && ended;
  ended = thread_->Stop(kThreadPatience) && ended;
  std::map<uint64_t, Done> waiting;
  {
    const MutexLock lock(mutex_);
    waiting.swap(waiting_);
  }
  for (const auto& [id, done] : waiting) done(Stopped());
  return ended;
}

ModelStore::ModelStore(std::shared_ptr<Core> core) : core_(std::move(core)) {}

absl::StatusOr<std::unique_ptr<ModelStore>> ModelStore::Open(
    const std::string& directory, const StoreOptions& options) {
  // The state of the first scan. Its change may end after this function.
  struct First {
    Mutex mutex;
    ConditionVariable changed;
    std::optional<absl::Status> status ABSL_GUARDED_BY(mutex);
  };
  constexpr std::chrono::milliseconds kPause(20);
  auto core = std::make_shared<Core>(directory, options);
  core->Start();
  auto store = absl::WrapUnique(new ModelStore(core));
  const auto first = std::make_shared<First>();
  store->Refresh([first](const absl::Status& status) {
    const MutexLock lock(first->mutex);
    first->status = status;
    first->changed.NotifyAll();
  });
  const auto wait = [&] {
    const MutexLock lock(first->mutex);
    if (!first->status.has_value()) {
      first->changed.WaitFor(first->mutex, kPause);
    }
    return first->status;
  };
  for (;;) {
    const std::optional<absl::Status> status = wait();
    if (status.has_value() && !status->ok()) return *status;
    if (status.has_value() || core->IsStalled()) break;
    if (options.is_cancelled()) {
      return absl::CancelledError("opening the store was cancelled");
    }
  }
  core->LowerPriority();
  if (options.poll.count() > 0) core->Poll();
  return store;
}

ModelStore::~ModelStore() { Stop(); }

bool ModelStore::Stop() { return core_->Stop(); }

std::shared_ptr<const ServedModels> ModelStore::served() const {
  return core_->served();
}

absl::StatusOr<ModelStore::Entry> ModelStore::GetEntry(
    absl::string_view spec) const {
  return served()->GetEntry(spec);
}

absl::StatusOr<ModelHandle> ModelStore::Get(absl::string_view spec) const {
  return served()->Get(spec);
}

void ModelStore::OnChange(std::function<void()> function) {
  core_->OnChange(std::move(function));
}

void ModelStore::Refresh(Done done) {
  core_->Post(
      [sweep = std::shared_ptr<const StoreLoader::Sweep>()](
          StoreLoader& loader) mutable {
        if (sweep == nullptr)
          sweep = loader.BeginSweep(/*skips_pending=*/false);
        return loader.EndOf(*sweep);
      },
      std::move(done));
}

void ModelStore::Load(const std::string& name, uint64_t version, Done done) {
  const auto change =
      std::make_shared<StoreChange>(name, version, /*alias=*/std::nullopt);
  core_->Post([change](StoreLoader& loader) { return change->Step(loader); },
              std::move(done));
}

void ModelStore::Unload(const std::string& name, uint64_t version, Done done) {
  core_->Post(
      [=](StoreLoader& loader) -> StoreLoader::Outcome {
        return loader.Unload(name, version);
      },
      std::move(done));
}

void ModelStore::SetAlias(const std::string& name, const std::string& alias,
                          uint64_t version, std::optional<uint64_t> expected,
                          Done done) {
  const auto change = std::make_shared<StoreChange>(
      name, version, StoreChange::Alias{alias, expected});
  core_->Post([change](StoreLoader& loader) { return change->Step(loader); },
              std::move(done));
}

}  // namespace lmserve
