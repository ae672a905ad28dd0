// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/zip_archive.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/quoted.h"

namespace lmserve {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEndRecord = 0x06054b50;
constexpr uint32_t kEndRecord64 = 0x06064b50;
constexpr uint32_t kEndLocator64 = 0x07064b50;
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22,
                 kEndBytes64 = 56, kLocatorBytes64 = 20;
constexpr uint64_t kMostFiles = 1'000'000;
constexpr uint16_t kEncrypted = 1 << 0;

template <typename... Parts>
absl::Status BadZip(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("zip: ", parts...));
}

// Reads a little-endian number. REQUIRES: it is within the bytes.
template <typename Number>
Number NumberAt(absl::string_view bytes, uint64_t at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

uint32_t Crc32(absl::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table = {};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) {
        crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
      }
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = ~uint32_t{0};
  for (char c : bytes) {
    crc = kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF] ^ crc >> 8;
  }
  return ~crc;
}

// Where the central directory is.
struct Directory {
  uint64_t files = 0;
  uint64_t size = 0;
  uint64_t at = 0;
};

// Returns the offset of the record at the end, which a comment may follow.
std::optional<uint64_t> FindEnd(absl::string_view bytes) {
  constexpr uint64_t kMostComment = 65'535;
  if (bytes.size() < kEndBytes) return std::nullopt;
  for (uint64_t comment = 0;
       comment <= kMostComment && comment + kEndBytes <= bytes.size();
       ++comment) {
    const uint64_t at = bytes.size() - kEndBytes - comment;
    if (NumberAt<uint32_t>(bytes, at) == kEndRecord &&
        NumberAt<uint16_t>(bytes, at + 20) == comment) {
      return at;
    }
  }
  return std::nullopt;
}

absl::StatusOr<Directory> FindDirectory(absl::string_view bytes) {
  const std::optional<uint64_t> end = FindEnd(bytes);
  if (!end.has_value()) {
    return BadZip("expected the record at the end of an archive, found none");
  }
  if (NumberAt<uint16_t>(bytes, *end + 4) != 0 ||
      NumberAt<uint16_t>(bytes, *end + 6) != 0) {
    return BadZip("byte ", *end, ": expected one archive, found a part of a ",
                  "split one");
  }
  Directory directory = {NumberAt<uint16_t>(bytes, *end + 10),
                         NumberAt<uint32_t>(bytes, *end + 12),
                         NumberAt<uint32_t>(bytes, *end + 16)};
  if (*end >= kLocatorBytes64 &&
      NumberAt<uint32_t>(bytes, *end - kLocatorBytes64) == kEndLocator64) {
    const auto at = NumberAt<uint64_t>(bytes, *end - kLocatorBytes64 + 8);
    if (at > *end - kLocatorBytes64 || *end - at < kEndBytes64 ||
        NumberAt<uint32_t>(bytes, at) != kEndRecord64) {
      return BadZip("byte ", *end - kLocatorBytes64,
                    ": expected the offset of a zip64 record, found ", at);
    }
    directory = {NumberAt<uint64_t>(bytes, at + 32),
                 NumberAt<uint64_t>(bytes, at + 40),
                 NumberAt<uint64_t>(bytes, at + 48)};
  }
  if (directory.at > *end || directory.size > *end - directory.at) {
    return BadZip("directory: expected it before byte ", *end, ", found ",
                  directory.size, " bytes at ", directory.at);
  }
  if (directory.files > kMostFiles) {
    return BadZip("expected at most ", kMostFiles, " files, found ",
                  directory.files);
  }
  return directory;
}

// An entry of the central directory.
struct ZipEntry {
  std::string name;
  uint64_t size = 0;
  uint64_t stored_size = 0;
  uint64_t local_at = 0;
  uint32_t crc = 0;
  uint16_t flags = 0;
  uint16_t method = 0;
};

// Replaces sizes and offset that do not fit into 32 bits by those of the extra
// field of zip64.
absl::Status ReadExtra(absl::string_view extra, ZipEntry* entry) {
  constexpr uint16_t kZip64 = 1;
  constexpr uint32_t kInExtra = ~uint32_t{0};
  while (extra.size() >= 4) {
    const auto id = NumberAt<uint16_t>(extra, 0);
    const auto size = NumberAt<uint16_t>(extra, 2);
    if (extra.size() - 4 < size) break;
    absl::string_view field = extra.substr(4, size);
    extra.remove_prefix(4 + size);
    if (id != kZip64) continue;
    for (uint64_t* number :
         {&entry->size, &entry->stored_size, &entry->local_at}) {
      if (*number != kInExtra) continue;
      if (field.size() < sizeof(uint64_t)) {
        return BadZip("file ", Quoted(entry->name),
                      ": expected its numbers of 64 bits, found too few bytes");
      }
      *number = NumberAt<uint64_t>(field, 0);
      field.remove_prefix(sizeof(uint64_t));
    }
  }
  return absl::OkStatus();
}

// Takes the next entry off the directory.
absl::StatusOr<ZipEntry> TakeEntry(absl::string_view* directory) {
  if (directory->size() < kCentralBytes ||
      NumberAt<uint32_t>(*directory, 0) != kCentralHeader) {
    return BadZip("directory: expected an entry, found ", directory->size(),
                  " other bytes");
  }
  ZipEntry entry;
  entry.flags = NumberAt<uint16_t>(*directory, 8);
  entry.method = NumberAt<uint16_t>(*directory, 10);
  entry.crc = NumberAt<uint32_t>(*directory, 16);
  entry.stored_size = NumberAt<uint32_t>(*directory, 20);
  entry.size = NumberAt<uint32_t>(*directory, 24);
  const size_t name = NumberAt<uint16_t>(*directory, 28);
  const size_t extra = NumberAt<uint16_t>(*directory, 30);
  const size_t comment = NumberAt<uint16_t>(*directory, 32);
  entry.local_at = NumberAt<uint32_t>(*directory, 42);
  if (directory->size() - kCentralBytes < name + extra + comment) {
    return BadZip("directory: expected an entry of ",
                  kCentralBytes + name + extra + comment, " bytes, found ",
                  directory->size());
  }
  entry.name = std::string(directory->substr(kCentralBytes, name));
  absl::Status status =
      ReadExtra(directory->substr(kCentralBytes + name, extra), &entry);
  if (!status.ok()) return status;
  directory->remove_prefix(kCentralBytes + name + extra + comment);
  return entry;
}

// Returns the contents of a file, which must be before the directory.
absl::StatusOr<absl::string_view> Contents(absl::string_view bytes,
                                           const ZipEntry& entry) {
  const std::string file = absl::StrCat("file ", Quoted(entry.name));
  if (entry.method != 0 || entry.size != entry.stored_size) {
    return BadZip(file, ": expected a file that is not compressed, found one ",
                  "that is");
  }
  if (entry.flags & kEncrypted) {
    return BadZip(file, ": expected a file that is not encrypted, found one ",
                  "that is");
  }
  if (entry.local_at > bytes.size() ||
      bytes.size() - entry.local_at < kLocalBytes ||
      NumberAt<uint32_t>(bytes, entry.local_at) != kLocalHeader) {
    return BadZip(file, ": expected its header at byte ", entry.local_at,
                  ", found none");
  }
  const size_t name = NumberAt<uint16_t>(bytes, entry.local_at + 26);
  const size_t extra = NumberAt<uint16_t>(bytes, entry.local_at + 28);
  absl::string_view rest = bytes.substr(entry.local_at + kLocalBytes);
  if (rest.substr(0, name) != entry.name) {
    return BadZip(file, ": expected its name in its header, found ",
                  Quoted(rest.substr(0, name)));
  }
  if (rest.size() < name + extra || rest.size() - name - extra < entry.size) {
    return BadZip(file, ": expected ", entry.size, " bytes, found ",
                  rest.size() < name + extra ? 0 : rest.size() - name - extra);
  }
  return rest.substr(name + extra, entry.size);
}

}  // namespace

bool ZipArchive::Matches(absl::string_view bytes) {
  return absl::StartsWith(bytes, "PK\x03\x04");
}

absl::StatusOr<ZipArchive> ZipArchive::Parse(absl::string_view bytes) {
  const absl::StatusOr<Directory> found = FindDirectory(bytes);
  if (!found.ok()) return found.status();
  absl::string_view directory = bytes.substr(found->at, found->size);
  const absl::string_view before = bytes.substr(0, found->at);
  ZipArchive archive;
  uint64_t left = before.size();
  for (uint64_t i = 0; i < found->files; ++i) {
    const absl::StatusOr<ZipEntry> entry = TakeEntry(&directory);
    if (!entry.ok()) return entry.status();
    const absl::StatusOr<absl::string_view> contents = Contents(before, *entry);
    if (!contents.ok()) return contents.status();
    // Otherwise many entries could name the same bytes, and take much time.
    if (entry->size > left) {
      return BadZip("expected files that do not overlap, found more than ",
                    before.size(), " bytes in all");
    }
    left -= entry->size;
    if (const uint32_t crc = Crc32(*contents); crc != entry->crc) {
      return BadZip("file ", Quoted(entry->name), ": CRC-32: expected ",
                    entry->crc, ", found ", crc);
    }
    if (!archive.files_.emplace(entry->name, *contents).second) {
      return BadZip("file ", Quoted(entry->name),
                    ": expected each name once, found it twice");
    }
  }
  if (!directory.empty()) {
    return BadZip("directory: expected ", found->files, " entries, found ",
                  directory.size(), " more bytes");
  }
  return archive;
}

}  // namespace lmserve
