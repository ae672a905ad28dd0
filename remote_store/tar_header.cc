// SPDX-License-Identifier: Apache-2.0
#include "remote_store/tar_header.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace lmserve {
namespace {

// The fields of a header: where they begin and how long they are.
struct Field {
  size_t at;
  size_t size;
};
constexpr Field kName = {0, 100};
constexpr Field kMode = {100, 8};
constexpr Field kUser = {108, 8};
constexpr Field kGroup = {116, 8};
constexpr Field kSize = {124, 12};
constexpr Field kTime = {136, 12};
constexpr Field kChecksum = {148, 8};
constexpr Field kType = {156, 1};
constexpr Field kMagic = {257, 8};
constexpr Field kPrefix = {345, 155};

void Put(Field field, absl::string_view text, std::string* header) {
  std::copy_n(text.data(), std::min(text.size(), field.size),
              header->begin() + static_cast<int64_t>(field.at));
}

// Octal digits and a final NUL fill a field.
void PutOctal(Field field, uint64_t number, std::string* header) {
  Put(field, absl::StrFormat("%0*o", static_cast<int>(field.size) - 1, number),
      header);
}

// Sizes that octal digits cannot express: a set bit and big-endian bytes.
void PutSize(uint64_t size, std::string* header) {
  if (size < uint64_t{1} << 33) return PutOctal(kSize, size, header);
  (*header)[kSize.at] = '\x80';
  for (size_t i = 0; i < sizeof(size); ++i) {
    (*header)[kSize.at + kSize.size - 1 - i] =
        static_cast<char>(size >> (8 * i) & 0xff);
  }
}

}  // namespace

std::string TarHeader(absl::string_view path, uint64_t size) {
  const bool is_directory = absl::EndsWith(path, "/");
  std::string header(kTarBlock, '\0');
  if (path.size() <= kName.size) {
    Put(kName, path, &header);
  } else {
    const size_t slash = path.rfind('/', path.size() - 2);
    Put(kPrefix, path.substr(0, slash), &header);
    Put(kName, path.substr(slash + 1), &header);
  }
  PutOctal(kMode, is_directory ? 0755 : 0644, &header);
  PutOctal(kUser, 0, &header);
  PutOctal(kGroup, 0, &header);
  PutSize(size, &header);
  PutOctal(kTime, 0, &header);
  Put(kType, is_directory ? "5" : "0", &header);
  Put(kMagic,
      absl::string_view("ustar\0"
                        "00",
                        8),
      &header);
  // The sum of all bytes, with spaces in its own place.
  Put(kChecksum, "        ", &header);
  uint64_t sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  Put(kChecksum, absl::StrFormat("%06o", sum), &header);
  header[kChecksum.at + 6] = '\0';
  return header;
}

std::string TarPadding(uint64_t size) {
  return std::string((kTarBlock - size % kTarBlock) % kTarBlock, '\0');
}

}  // namespace lmserve
