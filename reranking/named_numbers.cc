// SPDX-License-Identifier: Apache-2.0
#include "reranking/named_numbers.h"

#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace lmserve {
namespace {

// Adds NAME=NUMBER to the numbers.
absl::Status AddNamedNumber(absl::string_view text,
                            std::map<std::string, double>* numbers) {
  const size_t equals = text.rfind('=');
  double number;
  if (equals == absl::string_view::npos || equals == 0 ||
      !absl::SimpleAtod(text.substr(equals + 1), &number) ||
      !std::isfinite(number)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected NAME=NUMBER, found '", text, "'"));
  }
  const absl::string_view name = text.substr(0, equals);
  if (numbers->emplace(name, number).second) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected each name once, found '", name, "' twice"));
}

}  // namespace

absl::StatusOr<std::map<std::string, double>> ParseNamedNumbers(
    absl::Span<const std::string> texts) {
  std::map<std::string, double> numbers;
  for (const std::string& text : texts) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(text, absl::ByAnyChar(", \t\r\n"), absl::SkipEmpty());
    if (parts.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected NAME=NUMBER, found '", text, "'"));
    }
    for (absl::string_view part : parts) {
      absl::Status status = AddNamedNumber(part, &numbers);
      if (!status.ok()) return status;
    }
  }
  return numbers;
}

}  // namespace lmserve
