// SPDX-License-Identifier: Apache-2.0
#include "client/text_source.h"

#include <filesystem>
#include <iostream>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
bool ArgumentsOrLines::Next(std::string* text) {
  if (!reads_lines_) {
    if (next_ == arguments_.size()) return false;
    *text = arguments_[next_++];
    return true;
  }
  if (lines_ == nullptr && status_.ok()) {
    absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open("-");
    status_ = lines.status();
    if (lines.ok()) lines_ = *std::move(lines);
  }
  absl::string_view line;
  if (!status_.ok() || !lines_->Next(&line)) {
    if (lines_ != nullptr) status_ = lines_->status();
    return false;
  }
  text->assign(line.data(), line.size());
  return true;
}

bool TextSource::Next(std::string* text) {
  if (!texts_.Next(text)) return false;
  ++read_;
  if (texts_.reads_lines() && absl::EndsWith(*text, "\r")) text->pop_back();
  return true;
}

bool TextSource::NextNotBlank(std::string* text) {
  while (Next(text)) {
    if (!StripSpaces(*text).empty()) return true;
  }
  return false;
}

std::string TextSource::Name(uint64_t number) const {
  return absl::StrCat(texts_.reads_lines() ? "line " : "text ", number);
}

void NoteIfFile(const std::vector<std::string>& texts, absl::string_view use) {
  if (texts.size() != 1) return;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(texts[0], ignored)) return;
  std::cerr << "lm_client: note: '" << texts[0]
            << "' is read as a text; to read the lines of the file, use " << use
            << "\n";
}

}  // namespace lmserve
