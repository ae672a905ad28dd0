// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/shared_data.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "models/text.h"
#include "text_io/line_reader.h"

namespace lmserve {

std::string SharedFile(absl::string_view name) {
  const char* folder = std::getenv("LMSERVE_SHARED");
  const std::string path =
      absl::StrCat(folder == nullptr ? LMSERVE_SHARED : folder, "/", name);
  return std::filesystem::exists(path) ? path : "";
}

std::vector<std::string> ReadSharedLines(const std::string& path) {
  const std::unique_ptr<LineReader> reader = LineReader::Open(path).value();
  std::vector<std::string> lines;
  absl::string_view line;
  while (reader->Next(&line)) {
    if (SplitWords(line).empty()) continue;
    lines.push_back(absl::StrReplaceAll(line, {{"<unk>", "_UNK_"}}));
  }
  return lines;
}

}  // namespace lmserve
