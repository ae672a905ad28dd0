#include "server/models.h"

#include <string>

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
}

}  // namespace

absl::Status ListModels(const ModelStore& store,
                        const lm::v1::ListModelsRequest& /*request*/,
                        lm::v1::ListModelsResponse* response) {
  for (const ModelStore::Entry& entry : store.List()) {
    SetInfo(entry, response->add_models());
  }
  for (const ModelStore::Refused& refused : store.refused()) {
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
  const absl::StatusOr<ModelStore::Entry> entry =
      store.GetEntry(request.model());
  if (!entry.ok()) return entry.status();
  SetInfo(*entry, response->mutable_model());
  return absl::OkStatus();
}

}  // namespace lmserve
