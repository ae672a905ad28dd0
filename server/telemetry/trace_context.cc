// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/trace_context.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lmserve {
namespace {

constexpr size_t kMaxTraceParentBytes = 128;
constexpr size_t kMaxTraceStateBytes = 512;
constexpr size_t kMaxTraceStateMembers = 32;

// The bytes of a traceparent of version 00: version, trace, parent and flags in
// lower-case hexadecimal digits, with hyphens between them.
constexpr absl::string_view kTraceParentForm =
    "00-00000000000000000000000000000000-0000000000000000-00";

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool HasTraceParentForm(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_hex = IsDigit(c) || (c >= 'a' && c <= 'f');
    if (kTraceParentForm[i] == '-' ? c != '-' : !is_hex) return false;
  }
  return true;
}

// REQUIRES: 1 to 16 lower-case hexadecimal digits.
uint64_t FromHex(absl::string_view digits) {
  uint64_t value = 0;
  for (char c : digits) {
    value =
        value << 4 | static_cast<uint64_t>(IsDigit(c) ? c - '0' : c - 'a' + 10);
  }
  return value;
}

// A part of a key, with a first character that `is_first` accepts.
template <typename IsFirst>
bool IsKeyPart(absl::string_view text, size_t max_bytes, IsFirst is_first) {
  return !text.empty() && text.size() <= max_bytes && is_first(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsLower(c) || IsDigit(c) || c == '_' || c == '-' ||
                  c == '*' || c == '/';
         });
}

// A key is NAME, or TENANT@SYSTEM.
bool IsTraceStateKey(absl::string_view key) {
  constexpr size_t kMaxName = 256, kMaxTenant = 241, kMaxSystem = 14;
  const size_t at = key.find('@');
  if (at == key.npos) return IsKeyPart(key, kMaxName, IsLower);
  const auto is_first = [](char c) { return IsLower(c) || IsDigit(c); };
  return IsKeyPart(key.substr(0, at), kMaxTenant, is_first) &&
         IsKeyPart(key.substr(at + 1), kMaxSystem, IsLower);
}

bool IsTraceStateValue(absl::string_view value) {
  constexpr size_t kMaxValue = 256;
  return !value.empty() && value.size() <= kMaxValue && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return c >= ' ' && c <= '~' && c != ',' && c != '=';
         });
}

absl::string_view WithoutBlanks(absl::string_view text) {
  constexpr char kBlanks[] = " \t";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

}  // namespace

std::optional<TraceParent> ParseTraceParent(absl::string_view text) {
  const size_t size = kTraceParentForm.size();
  if (text.size() < size || text.size() > kMaxTraceParentBytes ||
      !HasTraceParentForm(text.substr(0, size))) {
    return std::nullopt;
  }
  const absl::string_view version = text.substr(0, 2);
  const absl::string_view more = text.substr(size);
  if (version == "ff") return std::nullopt;
  if (!more.empty() && (version == "00" || more[0] != '-' ||
                        !std::all_of(more.begin(), more.end(), [](char c) {
                          return c > ' ' && c <= '~';
                        }))) {
    return std::nullopt;
  }
  const TraceParent parent = {
      .trace_id = {.high = FromHex(text.substr(3, 16)),
                   .low = FromHex(text.substr(19, 16))},
      .span_id = FromHex(text.substr(36, 16)),
      .is_sampled = FromHex(text.substr(53, 2)) % 2 == 1};
  if (parent.trace_id == TraceId() || parent.span_id == 0) return std::nullopt;
  return parent;
}

bool IsTraceState(absl::string_view text) {
  if (text.size() > kMaxTraceStateBytes) return false;
  size_t members = 0;
  for (absl::string_view part : absl::StrSplit(text, ',')) {
    const absl::string_view member = WithoutBlanks(part);
    if (member.empty()) continue;
    const size_t equals = member.find('=');
    if (++members > kMaxTraceStateMembers || equals == member.npos ||
        !IsTraceStateKey(member.substr(0, equals)) ||
        !IsTraceStateValue(member.substr(equals + 1))) {
      return false;
    }
  }
  return members > 0;
}

std::string ToHex(const TraceId& id) {
  return absl::StrCat(absl::Hex(id.high, absl::kZeroPad16),
                      absl::Hex(id.low, absl::kZeroPad16));
}

std::string ToHex(uint64_t span_id) {
  return absl::StrCat(absl::Hex(span_id, absl::kZeroPad16));
}

}  // namespace lmserve
