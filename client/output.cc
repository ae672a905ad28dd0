// SPDX-License-Identifier: Apache-2.0
#include "client/output.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// More than the text of any message.
constexpr size_t kNoLimit = size_t{1} << 40;

// Returns the number of characters (code points) of a UTF-8 text.
size_t Width(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
}

}  // namespace

nlohmann::ordered_json JsonNumber(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

std::string DumpJson(const nlohmann::ordered_json& json) {
  using Json = nlohmann::ordered_json;
  return json.dump(-1, ' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace);
}

bool IsTerminal() { return isatty(STDOUT_FILENO) == 1; }

std::string ForPeople(absl::string_view text, bool is_terminal) {
  return is_terminal ? Printable(text, kNoLimit) : std::string(text);
}

std::string FormatDecimal(double value) {
  return absl::StrFormat("%.4f", value);
}

void TextTable::Add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = Printable(cell, kNoLimit);
  rows_.push_back(std::move(row));
}

std::string TextTable::ToString() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) absl::StrAppend(&text, "  ");
      if (i + 1 < widths.size()) text.append(widths[i] - Width(row[i]), ' ');
      absl::StrAppend(&text, row[i]);
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace lmserve
