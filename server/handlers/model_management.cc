#include "server/handlers/model_management.h"

#include <coroutine>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"

namespace lmserve {
namespace {

void SetInfo(const ModelStore::Entry& entry, lm::v1::ModelInfo* info) {
  const LoadedVersion& loaded = *entry.handle;
  info->set_name(loaded.name());
  info->set_version(loaded.version());
  info->mutable_aliases()->Add(entry.aliases.begin(), entry.aliases.end());
  info->set_is_default(entry.is_default);
  info->set_family(loaded.manifest().family());
  info->mutable_properties()->insert(loaded.manifest().properties().begin(),
                                     loaded.manifest().properties().end());
  info->set_file_bytes(loaded.file_bytes());
  info->set_load_seconds(loaded.load_seconds());
  if (loaded.is_reranker()) {
    *info->mutable_reranker() = loaded.reranker();
    return;
  }
  const AnyModel& model = loaded.model();
  info->set_vocabulary_size(model.vocabulary().size());
  info->set_translation(model.kind() == ModelKind::kTranslation);
  info->set_bidirectional(model.kind() == ModelKind::kBidirectional);
  if (const LanguageModel* word_by_word = model.word_by_word()) {
    info->set_state_bytes(word_by_word->state_size());
  }
}

// A change of the store, to be awaited: `begin` gets what is to be called when
// it is done, and the coroutine goes on there, on the store's thread.
template <typename Begin>
class Change {
 public:
  explicit Change(Begin begin) : begin_(std::move(begin)) {}

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

// Tells what is loaded under a name.
absl::Status SetInfo(const ModelStore& store, const std::string& spec,
                     lm::v1::ModelInfo* info) {
  const absl::StatusOr<ModelStore::Entry> entry = store.GetEntry(spec);
  if (entry.ok()) SetInfo(*entry, info);
  return entry.status();
}

// A name as a user would write it; version 0: the bare name.
std::string Spec(const std::string& name, uint64_t version) {
  return version == 0 ? name : VersionName(name, version);
}

}  // namespace

absl::Status ListModels(const ModelStore& store,
                        const lm::v1::ListModelsRequest& /*request*/,
                        lm::v1::ListModelsResponse* response) {
  const std::shared_ptr<const ServedModels> served = store.served();
  for (const ModelStore::Entry& entry : served->List()) {
    SetInfo(entry, response->add_models());
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

absl::Status GetModel(const ModelStore& store,
                      const lm::v1::GetModelRequest& request,
                      lm::v1::GetModelResponse* response) {
  return SetInfo(store, request.model(), response->mutable_model());
}

Task<absl::Status> LoadModel(ModelStore& store,
                             const lm::v1::LoadModelRequest& request,
                             lm::v1::LoadModelResponse* response) {
  const auto load = [&](ModelStore::Done done) {
    store.Load(request.name(), request.version(), std::move(done));
  };
  absl::Status status = co_await Change(load);
  if (!status.ok()) co_return status;
  co_return SetInfo(store, Spec(request.name(), request.version()),
                    response->mutable_model());
}

Task<absl::Status> UnloadModel(ModelStore& store,
                               const lm::v1::UnloadModelRequest& request,
                               lm::v1::UnloadModelResponse* /*response*/) {
  const auto unload = [&](ModelStore::Done done) {
    store.Unload(request.name(), request.version(), std::move(done));
  };
  co_return co_await Change(unload);
}

Task<absl::Status> SetAlias(ModelStore& store,
                            const lm::v1::SetAliasRequest& request,
                            lm::v1::SetAliasResponse* response) {
  std::optional<uint64_t> expected;
  if (request.has_expected_version()) expected = request.expected_version();
  const auto set = [&](ModelStore::Done done) {
    store.SetAlias(request.name(), request.alias(), request.version(), expected,
                   std::move(done));
  };
  absl::Status status = co_await Change(set);
  const bool removed = request.version() == 0;
  if (!status.ok() || removed) co_return status;
  co_return SetInfo(store, absl::StrCat(request.name(), "@", request.alias()),
                    response->mutable_model());
}

}  // namespace lmserve
