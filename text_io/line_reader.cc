// SPDX-License-Identifier: Apache-2.0
#include "text_io/line_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "text_io/text_format.h"

namespace lmserve {

absl::StatusOr<std::unique_ptr<LineReader>> LineReader::Open(
    const std::string& path) {
  absl::StatusOr<std::unique_ptr<ByteSource>> source = ByteSource::Open(path);
  if (!source.ok()) return source.status();
  return std::make_unique<LineReader>(*std::move(source));
}

std::unique_ptr<LineReader> LineReader::FromString(std::string text) {
  return std::make_unique<LineReader>(ByteSource::FromString(std::move(text)));
}

std::unique_ptr<LineReader> LineReader::OfLines(std::string name,
                                                uint64_t lines_before,
                                                std::string lines) {
  auto reader =
      std::make_unique<LineReader>(ByteSource::FromString("", std::move(name)));
  reader->begun_ = true;
  reader->buffer_ = std::move(lines);
  reader->line_number_ = lines_before;
  return reader;
}

absl::Status LineReader::Begin() {
  begun_ = true;
  // A line is enough, so that a user who types a text is answered line by line.
  size_t before;
  do {
    before = buffer_.size();
    absl::Status status = source_->Read(&buffer_);
    if (!status.ok()) return status;
  } while (
      buffer_.size() > before && buffer_.find('\n', before) == buffer_.npos &&
      (buffer_.size() < kFormatBytes ||
       (buffer_.size() < kLineEndBytes && buffer_.find('\r') != buffer_.npos)));
  const std::string problem = FormatProblem(buffer_);
  if (!problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name(), ": ", problem));
  }
  return absl::OkStatus();
}

bool LineReader::Next(absl::string_view* line) {
  if (!begun_) status_ = Begin();
  if (!status_.ok()) return false;
  size_t searched = position_;
  size_t end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    buffer_.erase(0, std::exchange(position_, 0));
    searched = buffer_.size();
    if (searched > max_line_bytes_) break;
    status_ = source_->Read(&buffer_);
    if (!status_.ok()) return false;
    if (buffer_.size() == searched) break;  // the end of the file
  }
  const bool has_end = end != std::string::npos;
  if (!has_end && buffer_.empty()) return false;
  if (!has_end) end = buffer_.size();
  if (end - position_ > max_line_bytes_) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(name(), " line ", line_number_ + 1, ": expected at most ",
                     max_line_bytes_, " bytes"));
    return false;
  }
  *line = absl::string_view(buffer_).substr(position_, end - position_);
  while (const size_t mark = ByteOrderMarkLength(*line)) {
    line->remove_prefix(mark);
    if (line->empty() && !has_end) return false;
  }
  position_ = std::min(end + 1, buffer_.size());
  has_line_end_ = has_end;
  ++line_number_;
  return true;
}

absl::Status LineError(const LineReader& lines, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat(lines.name(), " line ", lines.line_number(), ": ", problem));
}

}  // namespace lmserve
