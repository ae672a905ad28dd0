// SPDX-License-Identifier: Apache-2.0
#include "text_io/text_format.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// Returns the bytes of a literal, NUL bytes included.
template <size_t kSize>
constexpr absl::string_view Bytes(const char (&literal)[kSize]) {
  return absl::string_view(literal, kSize - 1);
}

constexpr std::pair<absl::string_view, Compression> kCompressionMagics[] = {
    {Bytes("\x1F\x8B"), Compression::kGzip},
    {Bytes("\xFD\x37zXZ\0"), Compression::kXz},
    {Bytes("\x28\xB5\x2F\xFD"), Compression::kZstd},
};

constexpr std::pair<absl::string_view, Compression> kCompressionNames[] = {
    {".gz", Compression::kGzip},
    {".xz", Compression::kXz},
    {".bz2", Compression::kBzip2},
    {".zst", Compression::kZstd},
};

// Formats that are not text, by their first bytes.
constexpr std::pair<absl::string_view, absl::string_view> kFormats[] = {
    {Bytes("mmap lm http://kheafield.com/code"),
     "a KenLM binary; import-kenlm imports a trie, import-arpa the ARPA file "
     "that it was built from"},
    {Bytes("SRILM_BINARY_NGRAM"), "a binary n-gram file of SRILM"},
    {Bytes("lmngram"), "ngram.bin of a model store"},
    {Bytes("PK\x03\x04"), "a zip archive"},
    {Bytes("PK\x05\x06"), "an empty zip archive"},
    {Bytes("7z\xBC\xAF\x27\x1C"), "a 7z archive"},
    {Bytes("Rar!\x1A\x07"), "a rar archive"},
    {Bytes("\x04\x22\x4D\x18"), "lz4 data"},
    {Bytes("\xFF\x06\0\0sNaPpY"), "snappy data"},
    {Bytes("LZIP\x01"), "lzip data"},
    {Bytes("\x1F\x9D"), "data of compress (.Z)"},
    {Bytes("\x5D\0\0"), "lzma data"},
    {Bytes("\x1F\x8B"), "gzip data inside compressed data"},
    {Bytes("\xFD\x37zXZ\0"), "xz data inside compressed data"},
    {Bytes("\x28\xB5\x2F\xFD"), "zstd data inside compressed data"},
    {Bytes("%PDF-"), "a PDF document"},
    {Bytes("\x7F"
           "ELF"),
     "a program"},
    {Bytes("\x89HDF\r\n"), "an HDF5 file"},
    {Bytes("\x89PNG\r\n"), "a PNG image"},
    {Bytes("PAR1"), "a Parquet file"},
    {Bytes("SQLite format 3\0"), "an SQLite database"},
    {Bytes("\xD6\xFD\xB2\x7E"), "an OpenFst file"},
    {Bytes("\xD0\xCF\x11\xE0\xA1\xB1"), "a Microsoft Office document"},
    {Bytes("{\\rtf"), "an RTF document"},
};

constexpr absl::string_view kUnsupportedNames[] = {
    ".7z", ".bz",   ".gzip", ".lz",  ".lz4", ".lzma", ".lzo", ".rar",
    ".sz", ".tbz2", ".tgz",  ".txz", ".z",   ".zip",  ".zstd"};

struct Utf {
  absl::string_view mark;
  absl::string_view name;
};
// UTF-32 first, because its mark starts with that of UTF-16.
constexpr Utf kWideUtfs[] = {{Bytes("\xFF\xFE\0\0"), "UTF-32LE"},
                             {Bytes("\0\0\xFE\xFF"), "UTF-32BE"},
                             {Bytes("\xFF\xFE"), "UTF-16LE"},
                             {Bytes("\xFE\xFF"), "UTF-16BE"}};

std::string WideProblem(absl::string_view name, absl::string_view by) {
  return absl::StrCat("expected UTF-8 text, found ", name, " (by its ", by,
                      "); convert it with: iconv -f ", name, " -t UTF-8");
}

// Recognizes UTF-16 and binary files by their NUL bytes. A few NUL bytes
// between words are white space.
std::string NulProblem(absl::string_view head) {
  size_t nuls[2] = {0, 0};  // at even and odd offsets
  for (size_t i = 0; i < head.size(); ++i) nuls[i % 2] += head[i] == '\0';
  const size_t count = nuls[0] + nuls[1];
  if (head.size() < 4 || count * 3 < head.size()) return "";
  if (nuls[0] == 0) return WideProblem("UTF-16LE", "NUL bytes");
  if (nuls[1] == 0) return WideProblem("UTF-16BE", "NUL bytes");
  return absl::StrCat("expected text, found a binary file (", count,
                      " of its first ", head.size(), " bytes are NUL)");
}

}  // namespace

Compression CompressionOf(absl::string_view head) {
  for (const auto& [magic, compression] : kCompressionMagics) {
    if (absl::StartsWith(head, magic)) return compression;
  }
  // bzip2: "BZh", the size of the blocks, and the first block or, if there is
  // none, the end.
  if (head.size() >= 5 && absl::StartsWith(head, "BZh") && head[3] >= '1' &&
      head[3] <= '9' && (head[4] == '\x31' || head[4] == '\x17')) {
    return Compression::kBzip2;
  }
  // A skippable frame of Zstandard, as pzstd writes it.
  if (head.size() >= 4 && (head[0] & '\xF0') == '\x50' &&
      head.substr(1, 3) == "\x2A\x4D\x18") {
    return Compression::kZstd;
  }
  return Compression::kNone;
}

Compression CompressionOfName(absl::string_view path) {
  for (const auto& [end, compression] : kCompressionNames) {
    if (absl::EndsWithIgnoreCase(path, end)) return compression;
  }
  return Compression::kNone;
}

absl::string_view UnsupportedCompression(absl::string_view path) {
  for (absl::string_view end : kUnsupportedNames) {
    if (absl::EndsWithIgnoreCase(path, end)) return end;
  }
  return "";
}

size_t ByteOrderMarkLength(absl::string_view head) {
  constexpr absl::string_view kMark = "\xEF\xBB\xBF";
  return absl::StartsWith(head, kMark) ? kMark.size() : 0;
}

std::string FormatProblem(absl::string_view text) {
  const absl::string_view head = text.substr(0, kFormatBytes);
  for (const auto& [mark, name] : kWideUtfs) {
    if (absl::StartsWith(head, mark)) {
      return WideProblem(name, "byte order mark");
    }
  }
  const bool is_bzip2 = CompressionOf(head) == Compression::kBzip2;
  if (is_bzip2) {
    return "expected text, found bzip2 data inside compressed data";
  }
  for (const auto& [magic, name] : kFormats) {
    if (absl::StartsWith(head, magic)) {
      return absl::StrCat("expected text, found ", name);
    }
  }
  constexpr size_t kTarMagicAt = 257;
  if (head.size() > kTarMagicAt &&
      absl::StartsWith(head.substr(kTarMagicAt), "ustar")) {
    return "expected text, found a tar archive";
  }
  if (std::string problem = NulProblem(head); !problem.empty()) return problem;
  const size_t carriage_return = text.find('\r');
  if (carriage_return < text.size() - 1 && !absl::StrContains(text, '\n')) {
    return "expected lines that end with LF, found CR alone; convert it with: "
           "tr '\\r' '\\n'";
  }
  return "";
}

}  // namespace lmserve
