#include "server/models.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

void SetInfo(const ModelStore::Entry& entry, lm::v1::ModelInfo* info) {
  const LoadedModel& loaded = *entry.handle;
  info->set_name(loaded.name());
  info->set_version(loaded.version());
  info->mutable_aliases()->Add(entry.aliases.begin(), entry.aliases.end());
  info->set_is_default(entry.is_default);
  info->set_family(loaded.manifest().family());
  info->mutable_properties()->insert(loaded.manifest().properties().begin(),
                                     loaded.manifest().properties().end());
  info->set_vocabulary_size(loaded.model().vocabulary().size());
  const LanguageModel* model = loaded.model().left_to_right();
  if (model != nullptr) info->set_state_bytes(model->state_size());
  info->set_bidirectional(loaded.model().bidirectional() != nullptr);
  info->set_file_bytes(loaded.file_bytes());
  info->set_load_seconds(loaded.load_seconds());
}

// Answers with what is loaded under a name.
template <typename Response>
absl::StatusOr<Response> AnswerWith(const ModelStore& store,
                                    const std::string& spec) {
  const absl::StatusOr<ModelStore::Entry> entry = store.GetEntry(spec);
  if (!entry.ok()) return entry.status();
  Response response;
  SetInfo(*entry, response.mutable_model());
  return response;
}

// A name as a user would write it; version 0: the bare name.
std::string Spec(const std::string& name, uint64_t version) {
  return version == 0 ? name : absl::StrCat(name, "@", version);
}

}  // namespace

void ListModels(const ModelStore& store, lm::v1::ListModelsResponse* response) {
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
}

absl::Status GetModel(const ModelStore& store,
                      const lm::v1::GetModelRequest& request,
                      lm::v1::GetModelResponse* response) {
  const absl::StatusOr<ModelStore::Entry> entry =
      store.GetEntry(request.model());
  if (!entry.ok()) return entry.status();
  SetInfo(*entry, response->mutable_model());
  return absl::OkStatus();
}

void LoadModel(ModelStore& store, const lm::v1::LoadModelRequest& request,
               Done<lm::v1::LoadModelResponse> done) {
  const std::string spec = Spec(request.name(), request.version());
  store.Load(request.name(), request.version(),
             [&store, spec, done](const absl::Status& status) {
               if (!status.ok()) return done(status);
               done(AnswerWith<lm::v1::LoadModelResponse>(store, spec));
             });
}

void UnloadModel(ModelStore& store, const lm::v1::UnloadModelRequest& request,
                 Done<lm::v1::UnloadModelResponse> done) {
  store.Unload(request.name(), request.version(),
               [done](const absl::Status& status) {
                 if (!status.ok()) return done(status);
                 done(lm::v1::UnloadModelResponse());
               });
}

void SetAlias(ModelStore& store, const lm::v1::SetAliasRequest& request,
              Done<lm::v1::SetAliasResponse> done) {
  std::optional<uint64_t> expected;
  if (request.has_expected_version()) expected = request.expected_version();
  const std::string spec = absl::StrCat(request.name(), "@", request.alias());
  const bool removed = request.version() == 0;
  store.SetAlias(request.name(), request.alias(), request.version(), expected,
                 [&store, spec, removed, done](const absl::Status& status) {
                   if (!status.ok()) return done(status);
                   if (removed) return done(lm::v1::SetAliasResponse());
                   done(AnswerWith<lm::v1::SetAliasResponse>(store, spec));
                 });
}

}  // namespace lmserve
