// SPDX-License-Identifier: Apache-2.0
#include "server/openai/openai_error.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "models/printable_text.h"
#include "server/call/status.h"
#include "server/http/http_error.h"
#include "server/openai/json_object.h"

namespace lmserve {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMaxErrorBytes = 8 << 10;

// The fields of our API that have the texts of a request, or count what the
// texts have.
constexpr absl::string_view kTextFields[] = {"texts", "words in the request",
                                             "values: texts times dimensions"};

// From another field of our API to the member of a request that it comes from.
constexpr std::pair<absl::string_view, absl::string_view> kMembers[] = {
    {"max_words", "max_tokens"},
    {"stop: bytes", "stop"},
    {"sources", "source"},
    {"alternatives", "logprobs"},
    {"alternatives times words", "logprobs"},
};

// Returns the member that a field stands for: "prompt" for texts[2].
std::string MemberOf(absl::string_view field, absl::string_view text_member) {
  const absl::string_view name = field.substr(0, field.find('['));
  for (absl::string_view of_texts : kTextFields) {
    if (name == of_texts) return std::string(text_member);
  }
  for (const auto& [ours, member] : kMembers) {
    if (name == ours) return std::string(member);
  }
  return std::string(name.substr(0, name.find(' ')));
}

std::string TypeOf(int code) {
  switch (code) {
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return code < 500 ? "invalid_request_error" : "server_error";
  }
}

ordered_json CodeOf(int code, absl::string_view param) {
  switch (code) {
    case 401:
      return "invalid_api_key";
    case 404:
      return param == "model" ? ordered_json("model_not_found") : nullptr;
    case 429:
      return "rate_limit_exceeded";
    default:
      return nullptr;
  }
}

std::string Error(int code, absl::string_view message,
                  const std::string& param) {
  const ordered_json error = {
      {"message", Printable(message, kMaxErrorBytes)},
      {"type", TypeOf(code)},
      {"param", param.empty() ? ordered_json(nullptr) : ordered_json(param)},
      {"code", CodeOf(code, param)}};
  return DumpJson({{"error", error}});
}

}  // namespace

std::string OpenAiErrorJson(const absl::Status& error,
                            absl::string_view text_member) {
  const int code = HttpCodeOf(error);
  const std::string field = FieldOf(error);
  // A model that does not exist is no wrong field for gRPC.
  if (field.empty())
    return Error(code, error.message(), code == 404 ? "model" : "");
  const std::string member = MemberOf(field, text_member);
  absl::string_view problem = error.message();
  if (!absl::ConsumePrefix(&problem, field)) {
    return Error(code, error.message(), member);
  }
  const size_t index = field.find('[');
  return Error(
      code,
      absl::StrCat(member, index == field.npos ? "" : field.substr(index),
                   problem),
      member);
}

std::string OpenAiErrorJson(int code, absl::string_view message) {
  return Error(code, message, "");
}

}  // namespace lmserve
