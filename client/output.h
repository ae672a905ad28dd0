// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_OUTPUT_H_
#define LMSERVE_CLIENT_OUTPUT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns the value, or null if it is infinite or not a number, which JSON
// cannot express.
nlohmann::ordered_json JsonNumber(double value);

// Returns an object as one line of JSON. Bytes that are not valid UTF-8 become
// U+FFFD.
std::string DumpJson(const nlohmann::ordered_json& json);

// Whether the standard output is a terminal.
bool IsTerminal();

// Returns a text of a server as it is printed: unchanged for a file or a
// program, and Printable() for a terminal, which control characters could
// change.
std::string ForPeople(absl::string_view text, bool is_terminal = IsTerminal());

// Returns a log-probability or a similar value with four decimals.
std::string FormatDecimal(double value);

// Formats rows of cells as text with aligned columns. Each column is as wide as
// its widest cell; the last column is left-aligned, the others right-aligned.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) {
    Add(std::move(header));
  }

  // Adds a row, which may have fewer cells than the header. The cells are made
  // Printable().
  void Add(std::vector<std::string> row);

  // Returns the header and the rows, one a line.
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_OUTPUT_H_
