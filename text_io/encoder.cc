// SPDX-License-Identifier: Apache-2.0
#include "text_io/encoder.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <cstdint>

namespace lmserve {
namespace {

constexpr size_t kEncodedBlock = size_t{1} << 16;
using EncodedBlock = std::array<char, kEncodedBlock>;

class CopyingEncoder final : public Encoder {
 public:
  bool Encode(absl::string_view input, bool, std::string* output) override {
    output->append(input.data(), input.size());
    return true;
  }
};

class GzipEncoder final : public Encoder {
 public:
  GzipEncoder() {
    ready_ = deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16,
                          8, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~GzipEncoder() override { deflateEnd(&stream_); }

  bool Encode(absl::string_view input, bool ends,
              std::string* output) override {
    if (!ready_) return false;
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = input.size();
    do {
      EncodedBlock block;
      stream_.next_out = reinterpret_cast<Bytef*>(block.data());
      stream_.avail_out = block.size();
      if (deflate(&stream_, ends ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR) {
        return false;
      }
      output->append(block.data(), block.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    return true;
  }

 private:
  z_stream stream_ = {};
  bool ready_ = false;
};

class XzEncoder final : public Encoder {
 public:
  XzEncoder() {
    ready_ = lzma_easy_encoder(&stream_, LZMA_PRESET_DEFAULT,
                               LZMA_CHECK_CRC64) == LZMA_OK;
  }
  ~XzEncoder() override { lzma_end(&stream_); }

  bool Encode(absl::string_view input, bool ends,
              std::string* output) override {
    if (!ready_) return false;
    stream_.next_in = reinterpret_cast<const uint8_t*>(input.data());
    stream_.avail_in = input.size();
    do {
      EncodedBlock block;
      stream_.next_out = reinterpret_cast<uint8_t*>(block.data());
      stream_.avail_out = block.size();
      const lzma_ret result =
          lzma_code(&stream_, ends ? LZMA_FINISH : LZMA_RUN);
      if (result != LZMA_OK && result != LZMA_STREAM_END &&
          result != LZMA_BUF_ERROR) {
        return false;
      }
      output->append(block.data(), block.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    return true;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
};

class Bzip2Encoder final : public Encoder {
 public:
  Bzip2Encoder() { ready_ = BZ2_bzCompressInit(&stream_, 9, 0, 0) == BZ_OK; }
  ~Bzip2Encoder() override { BZ2_bzCompressEnd(&stream_); }

  bool Encode(absl::string_view input, bool ends,
              std::string* output) override {
    if (!ready_) return false;
    if (input.empty() && !ends) return true;
    stream_.next_in = const_cast<char*>(input.data());
    stream_.avail_in = input.size();
    int result = BZ_OK;
    do {
      EncodedBlock block;
      stream_.next_out = block.data();
      stream_.avail_out = block.size();
      result = BZ2_bzCompress(&stream_, ends ? BZ_FINISH : BZ_RUN);
      if (result < 0) return false;
      output->append(block.data(), block.size() - stream_.avail_out);
    } while (ends ? result != BZ_STREAM_END : stream_.avail_in > 0);
    return true;
  }

 private:
  bz_stream stream_ = {};
  bool ready_ = false;
};

class ZstdEncoder final : public Encoder {
 public:
  ZstdEncoder() : stream_(ZSTD_createCCtx()) {
    if (stream_ == nullptr) return;
    ZSTD_CCtx_setParameter(stream_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdEncoder() override { ZSTD_freeCCtx(stream_); }

  bool Encode(absl::string_view input, bool ends,
              std::string* output) override {
    if (stream_ == nullptr) return false;
    ZSTD_inBuffer in = {input.data(), input.size(), 0};
    size_t left = 0;
    do {
      EncodedBlock block;
      ZSTD_outBuffer out = {block.data(), block.size(), 0};
      left = ZSTD_compressStream2(stream_, &out, &in,
                                  ends ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) return false;
      output->append(block.data(), out.pos);
    } while (ends ? left > 0 : in.pos < in.size);
    return true;
  }

 private:
  ZSTD_CCtx* const stream_;
};

}  // namespace

std::unique_ptr<Encoder> Encoder::Create(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<GzipEncoder>();
    case Compression::kXz:
      return std::make_unique<XzEncoder>();
    case Compression::kBzip2:
      return std::make_unique<Bzip2Encoder>();
    case Compression::kZstd:
      return std::make_unique<ZstdEncoder>();
    case Compression::kNone:
      break;
  }
  return std::make_unique<CopyingEncoder>();
}

}  // namespace lmserve
