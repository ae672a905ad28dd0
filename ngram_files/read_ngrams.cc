// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/read_ngrams.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ngram_files/arpa.h"
#include "ngram_files/kenlm_file.h"
#include "ngram_files/kenlm_layout.h"
#include "text_io/line_reader.h"

namespace lmserve {

absl::StatusOr<ImportedNgrams> ReadNgrams(const std::string& path,
                                          bool literal) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  std::array<char, 64> head = {};
  // A pipe is read once: it can be no binary file.
  if (std::filesystem::is_regular_file(path, ignored)) {
    std::ifstream file(path, std::ios::binary);
    file.read(head.data(), head.size());
  }
  if (IsKenlmFile({head.data(), head.size()})) {
    return ReadKenlm(path, {.literal = literal});
  }
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(path);
  if (!lines.ok()) return lines.status();
  return ReadArpa(**lines, {.literal = literal});
}

}  // namespace lmserve
