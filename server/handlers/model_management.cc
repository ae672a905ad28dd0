// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/model_management.h"

#include <coroutine>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "model_store/model_name.h"
#include "models/printable_text.h"
#include "server/call/status.h"
#include "server/handlers/replies.h"
#include "server/handlers/serving_context.h"

namespace lmserve {
namespace {

// A page ends with the entry that reaches this size. An entry has at most a bit
// more than kEntryLimit, so a page stays below 3 MiB.
constexpr size_t kPageBytes = (3 << 20) - (64 << 10);

// A longer description of a model is shortened.
constexpr size_t kEntryLimit = 32 << 10;
constexpr int kMaxAliases = 100;
constexpr size_t kReasonBytes = 1024;

// The tag and the length of an entry in its list.
constexpr size_t kEntryBytes = 8;

void ShortenIfLong(lm::v1::ModelInfo* info) {
  if (info->ByteSizeLong() <= kEntryLimit) return;
  info->set_is_shortened(true);
  info->clear_properties();
  info->clear_labels();
  if (info->has_reranker()) info->mutable_reranker()->Clear();
  if (info->aliases_size() > kMaxAliases) {
    info->mutable_aliases()->DeleteSubrange(kMaxAliases,
                                            info->aliases_size() - kMaxAliases);
  }
}

// The name is that of a directory, and the reason may quote its files.
void SetRefused(const ServedModels::Refused& refused,
                lm::v1::RefusedVersion* version) {
  version->set_name(Printable(refused.name));
  version->set_version(refused.version);
  version->set_reason(Printable(refused.reason.message(), kReasonBytes));
}

// An awaitable change of the store. `begin` starts the change; it gets a
// callback for its end, which resumes the coroutine on the store's thread.
template <typename Begin>
class StoreChange {
 public:
  explicit StoreChange(Begin begin) : begin_(std::move(begin)) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) {
    begin_([this, waiter](const absl::Status& status) {
      status_ = status;
      waiter.resume();
    });
  }
  absl::Status await_resume() { return std::move(status_); }

 private:
  const Begin begin_;
  absl::Status status_;
};

// Adds the load of a version to the trace of a call, if it has one and the load
// began after `start`, that is, for the call.
void TraceLoad(const LoadedVersion& loaded, Call::Clock::time_point start,
               Call& call) {
  if (call.trace() == nullptr) return;
  const Call::Clock::time_point end =
      Call::Clock::now() -
      absl::ToChronoNanoseconds(absl::Now() - loaded.load_time());
  const Call::Clock::time_point begin =
      end - absl::ToChronoNanoseconds(absl::Seconds(loaded.load_seconds()));
  if (begin < start) return;
  call.trace()->Add({.kind = CallTrace::Kind::kLoad,
                     .start = begin,
                     .end = end,
                     .model = loaded.name(),
                     .version = loaded.version()});
}

// Sets what the store knows of the version that `spec` names, for a call that
// may have loaded it since `start`.
absl::Status FindModelInfo(const ModelStore& store, const std::string& spec,
                           Call::Clock::time_point start, Call& call,
                           lm::v1::ModelInfo* info) {
  const absl::StatusOr<ModelStore::Entry> entry = store.GetEntry(spec);
  if (!entry.ok()) return entry.status();
  TraceLoad(*entry->handle, start, call);
  SetModelInfo(*entry, info);
  return absl::OkStatus();
}

// Notes the model that a client wants to change. Returns an error if there is
// no store that it may change.
template <typename Request>
absl::Status BeginChange(const ModelStore* store, const Request& request,
                         Call& call) {
  call.model_name = Printable(request.name());
  call.model_version = request.version();
  if (store != nullptr) return absl::OkStatus();
  return absl::UnimplementedError(
      "models can be changed only on the server's admin address (lm_server "
      "--admin-listen)");
}

// Returns a name as users write it: NAME@VERSION, or NAME if the version is 0.
std::string Spec(const std::string& name, uint64_t version) {
  return version == 0 ? name : VersionName(name, version);
}

}  // namespace

absl::Status HandleListModels(const ModelStore& store, Call& /*call*/,
                              const lm::v1::ListModelsRequest& request,
                              lm::v1::ListModelsResponse* response) {
  return ListPage(*store.served(), request, response);
}

absl::Status ListPage(const ServedModels& served,
                      const lm::v1::ListModelsRequest& request,
                      lm::v1::ListModelsResponse* response) {
  // A token is the number of entries of the pages before.
  size_t next = 0;
  if (!request.page_token().empty() &&
      !absl::SimpleAtoi(request.page_token(), &next)) {
    return InvalidField("page_token",
                        absl::StrCat("expected a next_page_token, found '",
                                     Printable(request.page_token()), "'"));
  }
  const std::vector<ServedModels::Entry> models = served.List();
  const size_t refused_end = models.size() + served.refused.size();
  const size_t loading_end = refused_end + served.loading.size();
  const size_t all = loading_end + served.incomplete.size();
  for (size_t bytes = 0; next < all && bytes < kPageBytes; ++next) {
    if (next < models.size()) {
      lm::v1::ModelInfo* info = response->add_models();
      SetModelInfo(models[next], info);
      ShortenIfLong(info);
      bytes += info->ByteSizeLong() + kEntryBytes;
    } else if (next < refused_end) {
      lm::v1::RefusedVersion* version = response->add_refused();
      SetRefused(served.refused[next - models.size()], version);
      bytes += version->ByteSizeLong() + kEntryBytes;
    } else if (next < loading_end) {
      lm::v1::ModelVersion* version = response->add_loading();
      const auto& [name, number] = served.loading[next - refused_end];
      version->set_name(name);
      version->set_version(number);
      bytes += version->ByteSizeLong() + kEntryBytes;
    } else {
      lm::v1::RefusedVersion* version = response->add_incomplete();
      SetRefused(served.incomplete[next - loading_end], version);
      bytes += version->ByteSizeLong() + kEntryBytes;
    }
  }
  if (next < all) response->set_next_page_token(absl::StrCat(next));
  return absl::OkStatus();
}

absl::Status HandleGetModel(const ModelStore& store, Call& call,
                            const lm::v1::GetModelRequest& request,
                            lm::v1::GetModelResponse* response) {
  absl::Status status =
      FindModelInfo(store, request.model(), Call::Clock::now(), call,
                    response->mutable_model());
  if (!status.ok()) NoteMissing(request.model(), call);
  return status;
}

Task<absl::Status> HandleLoadModel(ModelStore* store, Call& call,
                                   const lm::v1::LoadModelRequest& request,
                                   lm::v1::LoadModelResponse* response) {
  absl::Status status = BeginChange(store, request, call);
  if (!status.ok()) co_return status;
  const Call::Clock::time_point start = Call::Clock::now();
  const auto load = [&](ModelStore::Done done) {
    store->Load(request.name(), request.version(), std::move(done));
  };
  status = co_await StoreChange(load);
  if (!status.ok()) co_return status;
  co_return FindModelInfo(*store, Spec(request.name(), request.version()),
                          start, call, response->mutable_model());
}

Task<absl::Status> HandleUnloadModel(
    ModelStore* store, Call& call, const lm::v1::UnloadModelRequest& request,
    lm::v1::UnloadModelResponse* /*response*/) {
  absl::Status status = BeginChange(store, request, call);
  if (!status.ok()) co_return status;
  const auto unload = [&](ModelStore::Done done) {
    store->Unload(request.name(), request.version(), std::move(done));
  };
  co_return co_await StoreChange(unload);
}

Task<absl::Status> HandleSetAlias(ModelStore* store, Call& call,
                                  const lm::v1::SetAliasRequest& request,
                                  lm::v1::SetAliasResponse* response) {
  absl::Status status = BeginChange(store, request, call);
  if (!status.ok()) co_return status;
  const Call::Clock::time_point start = Call::Clock::now();
  std::optional<uint64_t> expected;
  if (request.has_expected_version()) expected = request.expected_version();
  const auto set = [&](ModelStore::Done done) {
    store->SetAlias(request.name(), request.alias(), request.version(),
                    expected, std::move(done));
  };
  status = co_await StoreChange(set);
  const bool removed = request.version() == 0;
  if (!status.ok() || removed) co_return status;
  co_return FindModelInfo(*store,
                          absl::StrCat(request.name(), "@", request.alias()),
                          start, call, response->mutable_model());
}

}  // namespace lmserve
