// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_SERVING_CONTEXT_H_
#define LMSERVE_SERVER_HANDLERS_SERVING_CONTEXT_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "model_store/loaded_version.h"
#include "model_store/model_store.h"
#include "models/printable_text.h"
#include "server/admission/budget.h"
#include "server/batching/batcher.h"
#include "server/call/call.h"
#include "server/call/limits.h"
#include "server/call/status.h"
#include "server/handlers/score_cache.h"

namespace lmserve {

// Writes down which version answers a call, for the log.
inline void NoteModel(const LoadedVersion& loaded, Call& call) {
  call.model_name = loaded.name();
  call.model_version = loaded.version();
}

// The same for a name for which there is no model that can answer.
inline void NoteMissing(absl::string_view name, Call& call) {
  call.model_name = Printable(name);
  call.model_version = 0;
}

// What handlers need to answer any call. Owns nothing.
struct ServingContext {
  const ModelStore& store;
  const Limits& limits;
  Batcher& batcher;
  Budgets& budgets;
  ScoreCache& score_cache;
};

// Finds the served model that the field `model` of a request names, as
// ModelStore::Get() does, and notes it in the call, or its name if it is
// missing.
inline absl::StatusOr<ModelHandle> FindModel(const ServingContext& serving,
                                             Call& call,
                                             absl::string_view name) {
  absl::StatusOr<ModelHandle> handle = serving.store.Get(name);
  if (handle.ok()) {
    NoteModel(**handle, call);
  } else {
    NoteMissing(name, call);
  }
  if (absl::IsInvalidArgument(handle.status())) {
    absl::string_view problem = handle.status().message();
    absl::ConsumePrefix(&problem, "model: ");
    return InvalidField("model", problem);
  }
  return handle;
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SERVING_CONTEXT_H_
