// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_TEXT_FORMAT_H_
#define LMSERVE_TEXT_IO_TEXT_FORMAT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// How a file is compressed.
enum class Compression { kNone, kGzip, kXz, kBzip2, kZstd };

// The number of bytes that Compression::kGzip and its kin have at the start.
inline constexpr size_t kCompressionBytes = 6;
// The number of bytes from which FormatProblem() recognizes every format.
inline constexpr size_t kFormatBytes = 512;
// Lines that end with CR alone are recognized in this many bytes without an LF.
inline constexpr size_t kLineEndBytes = 64 << 10;

// Recognizes the compression of a file by its first bytes. Pure.
Compression CompressionOf(absl::string_view head);

// Returns the compression that a file with this name should have: by its end
// .gz, .xz, .bz2 or .zst, in any case of letters. Pure.
Compression CompressionOfName(absl::string_view path);

// Returns the end of a file name if it stands for a compression that is read or
// written nowhere, such as .lz4, and "" otherwise. Pure.
absl::string_view UnsupportedCompression(absl::string_view path);

// Returns the length of a byte order mark of UTF-8 at the start of a text: 3
// or 0. Pure.
size_t ByteOrderMarkLength(absl::string_view head);

// Returns "" if the bytes at the start of a decompressed file can be UTF-8
// text, and otherwise what is wrong: "expected text, found ..." with the name
// of the format, such as UTF-16, a KenLM binary or a zip archive. Of a text
// without LF all bytes should be given, or kLineEndBytes. Pure.
std::string FormatProblem(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_TEXT_FORMAT_H_
