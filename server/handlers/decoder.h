// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_DECODER_H_
#define LMSERVE_SERVER_HANDLERS_DECODER_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/serving_context.h"
#include "server/handlers/state_table.h"

namespace lmserve {

// The server's side of one LanguageModelService.Decode stream. Owns the states
// of its hypotheses, and keeps the model version that the first request names
// loaded. One request at a time; `serving` and `call` must outlive it.
class Decoder {
 public:
  Decoder(const ServingContext& serving, Call& call)
      : serving_(serving),
        call_(call),
        state_bytes_(serving.budgets.state_bytes) {}

  // Answers the next request. A request after the first one that asks for what
  // is not possible gets `failed` and changes nothing. After an error, the
  // decoder must not be used any more.
  Task<absl::Status> Answer(const lm::v1::DecodeRequest& request,
                            lm::v1::DecodeResponse* response);

 private:
  using Handles = google::protobuf::RepeatedField<uint32_t>;

  Task<absl::Status> AnswerStep(const lm::v1::DecodeRequest& request,
                                lm::v1::DecodeResponse* response);
  absl::Status Start(const lm::v1::DecodeStart& start,
                     lm::v1::DecodeStarted* started);
  Task<absl::Status> Extend(const lm::v1::DecodeExtend& extend,
                            lm::v1::DecodeExtended* extended);
  Task<absl::Status> Best(const lm::v1::DecodeBest& best,
                          lm::v1::DecodedBest* found);

  // Makes room for this many more handles, and reserves their bytes from the
  // budget of all calls.
  absl::Status Reserve(size_t more);

  absl::Status CheckHandle(absl::string_view field, int index,
                           StateTable::Handle handle) const;
  absl::Status CheckHandles(absl::string_view field,
                            const Handles& handles) const;
  absl::Status CheckExtend(const lm::v1::DecodeExtend& extend) const;
  absl::Status CheckReleases(const Handles& handles);
  absl::Status AddWords(absl::Span<const ScoredWord> words,
                        Budget::Reservation* answer,
                        lm::v1::DecodedBest* found) const;

  const LanguageModel& model() const {
    return *handle_->model().left_to_right();
  }

  const ServingContext& serving_;
  Call& call_;
  ModelHandle handle_;  // null before the first request
  std::optional<StateTable> states_;
  Budget::Reservation state_bytes_;
  size_t most_handles_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_DECODER_H_
