// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_EMBEDDING_REQUEST_H_
#define LMSERVE_SERVER_OPENAI_EMBEDDING_REQUEST_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {

// A request of OpenAI's API for embeddings, and two members that it lacks:
// pooling and normalize.
struct EmbeddingRequest {
  // What is asked of Embed; its model may be empty.
  lm::v1::EmbedRequest embed;
  // The length that the vectors must have, if the request says so.
  std::optional<uint32_t> dimensions = {};
  bool as_base64 = false;  // otherwise as arrays of numbers
};

// Parses the body of a request. Members that are not known are ignored, as by
// OpenAI's clients. Returns INVALID_ARGUMENT, naming the member, for one that
// is not of its type or range.
absl::StatusOr<EmbeddingRequest> ParseEmbeddingRequest(absl::string_view json);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_EMBEDDING_REQUEST_H_
