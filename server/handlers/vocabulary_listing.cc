// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/vocabulary_listing.h"

#include <string>
#include <utility>

#include "server/handlers/replies.h"
#include "server/handlers/stable_hash.h"

namespace lmserve {
namespace {

// Enough words to make the cost of a message small.
constexpr size_t kMessageBytes = 64 << 10;

}  // namespace

absl::StatusOr<VocabularyListing> VocabularyListing::Start(
    const ServingContext& serving, Call& call,
    const lm::v1::GetVocabularyRequest& request) {
  absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) return handle.status();
  return VocabularyListing(*std::move(handle));
}

bool VocabularyListing::Next(lm::v1::GetVocabularyResponse* response) {
  const Vocabulary& vocabulary = handle_->model().vocabulary();
  if (next_ == vocabulary.size()) return false;
  if (next_ == 0) {
    SetModelVersion(*handle_, response->mutable_model());
    response->set_vocabulary_key(StableHash(vocabulary.text()));
    response->set_vocabulary_size(vocabulary.size());
  }
  size_t bytes = 0;
  while (next_ < vocabulary.size() && bytes < kMessageBytes) {
    const absl::string_view word = vocabulary.word(next_++);
    response->add_words(std::string(word));
    bytes += word.size() + 2;  // with its tag and length
  }
  return true;
}

}  // namespace lmserve
