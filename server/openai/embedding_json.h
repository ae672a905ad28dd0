// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_EMBEDDING_JSON_H_
#define LMSERVE_SERVER_OPENAI_EMBEDDING_JSON_H_

#include <cstddef>
#include <string>

#include "lm/v1/language_model.pb.h"

namespace lmserve {

// Returns the answer of OpenAI's API with the vectors of a response: as arrays
// of numbers with as few digits as give the same floats when they are read, or
// in base64 as floats in the order of bytes of little-endian machines.
std::string EmbeddingsJson(const lm::v1::EmbedResponse& response,
                           bool as_base64);

// Returns the most bytes that EmbeddingsJson() returns, in both forms.
size_t MaxEmbeddingsBytes(const lm::v1::EmbedResponse& response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_EMBEDDING_JSON_H_
