// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/model_management.h"

#include <coroutine>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "server/handlers/replies.h"

namespace lmserve {
namespace {

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

// Sets what the store knows of the version that `spec` names.
absl::Status FindModelInfo(const ModelStore& store, const std::string& spec,
                           lm::v1::ModelInfo* info) {
  const absl::StatusOr<ModelStore::Entry> entry = store.GetEntry(spec);
  if (entry.ok()) SetModelInfo(*entry, info);
  return entry.status();
}

// Returns a name as users write it: NAME@VERSION, or NAME if the version is 0.
std::string Spec(const std::string& name, uint64_t version) {
  return version == 0 ? name : VersionName(name, version);
}

}  // namespace

absl::Status HandleListModels(const ModelStore& store,
                              const lm::v1::ListModelsRequest& /*request*/,
                              lm::v1::ListModelsResponse* response) {
  const std::shared_ptr<const ServedModels> served = store.served();
  for (const ModelStore::Entry& entry : served->List()) {
    SetModelInfo(entry, response->add_models());
  }
  for (const auto& [name, version] : served->loading) {
    lm::v1::ModelVersion* loading = response->add_loading();
    loading->set_name(name);
    loading->set_version(version);
  }
  for (const ModelStore::Refused& refused : served->refused) {
    lm::v1::RefusedVersion* version = response->add_refused();
    version->set_name(refused.name);
    version->set_version(refused.version);
    version->set_reason(std::string(refused.reason.message()));
  }
  return absl::OkStatus();
}

absl::Status HandleGetModel(const ModelStore& store,
                            const lm::v1::GetModelRequest& request,
                            lm::v1::GetModelResponse* response) {
  return FindModelInfo(store, request.model(), response->mutable_model());
}

Task<absl::Status> HandleLoadModel(ModelStore& store,
                                   const lm::v1::LoadModelRequest& request,
                                   lm::v1::LoadModelResponse* response) {
  const auto load = [&](ModelStore::Done done) {
    store.Load(request.name(), request.version(), std::move(done));
  };
  absl::Status status = co_await StoreChange(load);
  if (!status.ok()) co_return status;
  co_return FindModelInfo(store, Spec(request.name(), request.version()),
                          response->mutable_model());
}

Task<absl::Status> HandleUnloadModel(
    ModelStore& store, const lm::v1::UnloadModelRequest& request,
    lm::v1::UnloadModelResponse* /*response*/) {
  const auto unload = [&](ModelStore::Done done) {
    store.Unload(request.name(), request.version(), std::move(done));
  };
  co_return co_await StoreChange(unload);
}

Task<absl::Status> HandleSetAlias(ModelStore& store,
                                  const lm::v1::SetAliasRequest& request,
                                  lm::v1::SetAliasResponse* response) {
  std::optional<uint64_t> expected;
  if (request.has_expected_version()) expected = request.expected_version();
  const auto set = [&](ModelStore::Done done) {
    store.SetAlias(request.name(), request.alias(), request.version(), expected,
                   std::move(done));
  };
  absl::Status status = co_await StoreChange(set);
  const bool removed = request.version() == 0;
  if (!status.ok() || removed) co_return status;
  co_return FindModelInfo(store,
                          absl::StrCat(request.name(), "@", request.alias()),
                          response->mutable_model());
}

}  // namespace lmserve
