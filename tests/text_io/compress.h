// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TEXT_IO_COMPRESS_H_
#define LMSERVE_TESTS_TEXT_IO_COMPRESS_H_

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/string_view.h"
#include "text_io/encoder.h"

namespace lmserve {

// Returns a text as one compressed stream.
inline std::string Compress(absl::string_view text, Compression compression) {
  std::string bytes;
  if (!Encoder::Create(compression)->Encode(text, true, &bytes)) std::abort();
  return bytes;
}
inline std::string Gzip(absl::string_view text) {
  return Compress(text, Compression::kGzip);
}
inline std::string Xz(absl::string_view text) {
  return Compress(text, Compression::kXz);
}
inline std::string Bzip2(absl::string_view text) {
  return Compress(text, Compression::kBzip2);
}
inline std::string Zstd(absl::string_view text) {
  return Compress(text, Compression::kZstd);
}

inline void WriteBytes(const std::string& path, absl::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TEXT_IO_COMPRESS_H_
