// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr size_t kLongestName = 64;

bool AllDigits(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
  if (plain && !name.empty() && name.size() <= kLongestName && name[0] != '.') {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      field, ": expected 1 to ", kLongestName,
      " characters of A-Z a-z 0-9 . _ -, not beginning with a dot, found '",
      absl::CHexEscape(name.substr(0, kLongestName)), "'"));
}

}  // namespace

absl::Status CheckModelName(absl::string_view name) {
  return CheckName("model", name);
}

absl::Status CheckAlias(absl::string_view alias) {
  if (absl::Status status = CheckName("alias", alias); !status.ok()) {
    return status;
  }
  if (!AllDigits(alias)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "alias: expected a character that is not a digit, found '", alias, "'"));
}

std::string VersionName(absl::string_view name, uint64_t version) {
  return absl::StrCat(name, "@", version);
}

absl::StatusOr<ModelName> ParseModelName(absl::string_view text) {
  const size_t at = text.find('@');
  ModelName parsed;
  parsed.name = std::string(text.substr(0, at));
  absl::Status status = CheckModelName(parsed.name);
  if (!status.ok()) return status;
  if (at == absl::string_view::npos) return parsed;
  const absl::string_view rest = text.substr(at + 1);
  if (!rest.empty() && AllDigits(rest)) {
    if (absl::SimpleAtoi(rest, &parsed.version) && parsed.version > 0) {
      return parsed;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "model: expected a version from 1 to 2^64 - 1, found '", rest, "'"));
  }
  if (status = CheckAlias(rest); !status.ok()) return status;
  parsed.alias = std::string(rest);
  return parsed;
}

}  // namespace lmserve
