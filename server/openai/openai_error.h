// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_OPENAI_ERROR_H_
#define LMSERVE_SERVER_OPENAI_OPENAI_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Returns an error in the form of OpenAI's API:
//   {"error": {"message": "...", "type": "invalid_request_error",
//              "param": "max_tokens", "code": null}}
// `param` is the member of the request that the error names, or null. Names of
// the fields of our own API are replaced by those of the members; `text_member`
// is the one that has the texts.
std::string OpenAiErrorJson(const absl::Status& error,
                            absl::string_view text_member = "prompt");

// The same for an error of HTTP itself, which has a code but no status.
std::string OpenAiErrorJson(int code, absl::string_view message);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_OPENAI_ERROR_H_
