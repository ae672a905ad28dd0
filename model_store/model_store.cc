// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_store.h"

#include <malloc.h>

#include <utility>

#include "absl/memory/memory.h"

namespace lmserve {
namespace {

absl::Status Stopped() {
  return absl::UnavailableError("the server is shutting down");
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

ModelStore::ModelStore(const std::string& directory,
                       const StoreOptions& options)
    : directory_(directory),
      served_(std::make_shared<const ServedModels>()),
      thread_(std::make_shared<BackgroundThread>()),
      loader_(directory, options.keep,
              {.load =
                   [this](const std::string& name, uint64_t version) {
                     return LoadUnlessStopped(name, version);
                   },
               .publish =
                   [this](std::shared_ptr<const ServedModels> served) {
                     Publish(std::move(served));
                   }}) {}

absl::StatusOr<std::unique_ptr<ModelStore>> ModelStore::Open(
    const std::string& directory, const StoreOptions& options) {
  auto store = absl::WrapUnique(new ModelStore(directory, options));
  absl::Status status = store->loader_.Refresh();
  if (!status.ok()) return status;
  if (options.poll.count() > 0) {
    store->thread_->RepeatEvery(options.poll, [store = store.get()] {
      // refused() reports the error.
      if (!store->stopped_) store->loader_.Refresh().IgnoreError();
    });
  }
  return store;
}

ModelStore::~ModelStore() { Stop(); }

void ModelStore::Stop() {
  stopped_ = true;
  thread_->Stop();
}

std::shared_ptr<const ServedModels> ModelStore::served() const {
  const MutexLock lock(mutex_);
  return served_;
}

absl::StatusOr<ModelStore::Entry> ModelStore::GetEntry(
    absl::string_view spec) const {
  return served()->GetEntry(spec);
}

absl::StatusOr<ModelHandle> ModelStore::Get(absl::string_view spec) const {
  return served()->Get(spec);
}

void ModelStore::OnChange(std::function<void()> function) {
  const MutexLock lock(on_change_mutex_);
  on_change_ = std::move(function);
  if (on_change_) on_change_();
}

void ModelStore::Refresh(Done done) {
  Post([this] { return loader_.Refresh(); }, done);
}

void ModelStore::Load(const std::string& name, uint64_t version, Done done) {
  Post([=, this] { return loader_.Load(name, version); }, std::move(done));
}

void ModelStore::Unload(const std::string& name, uint64_t version, Done done) {
  Post([=, this] { return loader_.Unload(name, version); }, std::move(done));
}

void ModelStore::SetAlias(const std::string& name, const std::string& alias,
                          uint64_t version, std::optional<uint64_t> expected,
                          Done done) {
  Post([=, this] { return loader_.SetAlias(name, alias, version, expected); },
       std::move(done));
}

void ModelStore::Post(std::function<absl::Status()> change, const Done& done) {
  const bool posted = thread_->Post([this, change = std::move(change), done] {
    done(stopped_ ? Stopped() : change());
  });
  if (!posted) done(Stopped());
}

absl::StatusOr<ModelHandle> ModelStore::LoadUnlessStopped(
    const std::string& name, uint64_t version) const {
  if (stopped_) return Stopped();
  absl::StatusOr<ModelHandle> handle =
      LoadModel(directory_, name, version, [this] { return stopped_.load(); });
  if (!handle.ok()) return handle;
  return DestroyedBy(thread_, *std::move(handle));
}

void ModelStore::Publish(std::shared_ptr<const ServedModels> served) {
  {
    const MutexLock lock(mutex_);
    served_.swap(served);
  }
  const MutexLock lock(on_change_mutex_);
  if (on_change_) on_change_();
}

}  // namespace lmserve
