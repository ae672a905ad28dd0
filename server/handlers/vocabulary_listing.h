// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_VOCABULARY_LISTING_H_
#define LMSERVE_SERVER_HANDLERS_VOCABULARY_LISTING_H_

#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// The answer to one LanguageModelService.GetVocabulary: messages with parts of
// the vocabulary. Keeps its model version loaded. For one thread at a time.
class VocabularyListing {
 public:
  // Fails with the status for the client.
  static absl::StatusOr<VocabularyListing> Start(
      const ServingContext& serving, Call& call,
      const lm::v1::GetVocabularyRequest& request);

  // Writes the next message and returns true; after the last message, writes
  // nothing and returns false.
  bool Next(lm::v1::GetVocabularyResponse* response);

 private:
  explicit VocabularyListing(ModelHandle handle) : handle_(std::move(handle)) {}

  ModelHandle handle_;
  WordId next_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_VOCABULARY_LISTING_H_
