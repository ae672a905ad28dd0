// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TRAINER_TEXT_COMPRESS_H_
#define LMSERVE_TESTS_TRAINER_TEXT_COMPRESS_H_

#include <lzma.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// One gzip member.
inline std::string Gzip(absl::string_view text) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string bytes(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = bytes.size();
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  bytes.resize(stream.total_out);
  deflateEnd(&stream);
  return bytes;
}

// One xz stream.
inline std::string Xz(absl::string_view text) {
  std::string bytes(lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  if (lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                              reinterpret_cast<const uint8_t*>(text.data()),
                              text.size(),
                              reinterpret_cast<uint8_t*>(bytes.data()), &size,
                              bytes.size()) != LZMA_OK) {
    std::abort();
  }
  bytes.resize(size);
  return bytes;
}

inline void WriteBytes(const std::string& path, absl::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TRAINER_TEXT_COMPRESS_H_
