// SPDX-License-Identifier: Apache-2.0
#include "server/openai/embedding_json.h"

#include <cstdint>

#include "absl/base/casts.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"
#include "server/http/json_printer.h"

namespace lmserve {
namespace {

// A float has at most 9 digits, beside signs, point, exponent and comma.
constexpr size_t kMaxNumberBytes = 16;
// The rest of an element, and of the whole answer without the model's name.
constexpr size_t kMaxRestBytes = 128;

void AppendNumbers(const lm::v1::Embedding& embedding, std::string* json) {
  json->push_back('[');
  for (int i = 0; i < embedding.values_size(); ++i) {
    if (i > 0) json->push_back(',');
    AppendJsonFloat(embedding.values(i), json);
  }
  json->push_back(']');
}

void AppendBase64(const lm::v1::Embedding& embedding, std::string* json) {
  std::string bytes;
  bytes.reserve(embedding.values_size() * sizeof(float));
  for (const float value : embedding.values()) {
    const auto bits = absl::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<char>(bits >> shift));
    }
  }
  absl::StrAppend(json, "\"", absl::Base64Escape(bytes), "\"");
}

}  // namespace

std::string EmbeddingsJson(const lm::v1::EmbedResponse& response,
                           bool as_base64) {
  std::string json = R"({"object":"list","data":[)";
  uint64_t words = 0;
  for (int i = 0; i < response.embeddings_size(); ++i) {
    const lm::v1::Embedding& embedding = response.embeddings(i);
    absl::StrAppend(&json, i == 0 ? "" : ",",
                    R"({"object":"embedding","index":)", i, R"(,"embedding":)");
    if (as_base64) {
      AppendBase64(embedding, &json);
    } else {
      AppendNumbers(embedding, &json);
    }
    json.push_back('}');
    words += embedding.word_count();
  }
  json.append(R"(],"model":)");
  AppendJsonString(
      absl::StrCat(response.model().name(), "@", response.model().version()),
      &json);
  absl::StrAppend(
      &json, absl::Substitute(
                 R"(,"usage":{"prompt_tokens":$0,"total_tokens":$0}})", words));
  return json;
}

size_t MaxEmbeddingsBytes(const lm::v1::EmbedResponse& response) {
  size_t bytes = kMaxRestBytes + 2 * response.model().name().size();
  for (const lm::v1::Embedding& embedding : response.embeddings()) {
    bytes += kMaxRestBytes + kMaxNumberBytes * embedding.values_size();
  }
  return bytes;
}

}  // namespace lmserve
