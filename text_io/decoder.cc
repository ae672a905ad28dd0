// SPDX-License-Identifier: Apache-2.0
#include "text_io/decoder.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace lmserve {
namespace {

constexpr size_t kMaxOutput = size_t{1} << 17;

// Space for kMaxOutput bytes at the end of a string, of which Keep() keeps
// some.
class OutputSpace {
 public:
  explicit OutputSpace(std::string* output)
      : output_(*output), before_(output->size()) {
    output->resize(before_ + kMaxOutput);
  }
  char* data() { return output_.data() + before_; }
  // Keeps all but the last `rest` bytes.
  void Keep(size_t rest) { output_.resize(before_ + kMaxOutput - rest); }

 private:
  std::string& output_;
  const size_t before_;
};

class GzipDecoder final : public Decoder {
 public:
  // The largest window, gzip framing.
  GzipDecoder() { ready_ = inflateInit2(&stream_, 15 + 16) == Z_OK; }
  ~GzipDecoder() override { inflateEnd(&stream_); }

  bool Decode(absl::string_view* input, bool, std::string* output) override {
    if (!ready_) return false;
    if (input->empty() && complete_) return true;
    OutputSpace space(output);
    stream_.next_in =
        reinterpret_cast<Bytef*>(const_cast<char*>(input->data()));
    stream_.avail_in = input->size();
    stream_.next_out = reinterpret_cast<Bytef*>(space.data());
    stream_.avail_out = kMaxOutput;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    input->remove_prefix(input->size() - stream_.avail_in);
    space.Keep(stream_.avail_out);
    complete_ = result == Z_STREAM_END;
    // A file may have several members.
    if (complete_) return inflateReset(&stream_) == Z_OK;
    return result == Z_OK || result == Z_BUF_ERROR;
  }
  bool IsComplete() const override { return complete_; }
  absl::string_view name() const override { return "gzip"; }

 private:
  z_stream stream_ = {};
  bool ready_ = false;
  bool complete_ = false;  // between members
};

class XzDecoder final : public Decoder {
 public:
  XzDecoder() {
    ready_ = lzma_stream_decoder(&stream_, std::numeric_limits<uint64_t>::max(),
                                 LZMA_CONCATENATED) == LZMA_OK;
  }
  ~XzDecoder() override { lzma_end(&stream_); }

  bool Decode(absl::string_view* input, bool ended,
              std::string* output) override {
    if (!ready_) return false;
    if (complete_) return input->empty();
    OutputSpace space(output);
    stream_.next_in = reinterpret_cast<const uint8_t*>(input->data());
    stream_.avail_in = input->size();
    stream_.next_out = reinterpret_cast<uint8_t*>(space.data());
    stream_.avail_out = kMaxOutput;
    const lzma_ret result = lzma_code(&stream_, ended ? LZMA_FINISH : LZMA_RUN);
    input->remove_prefix(input->size() - stream_.avail_in);
    space.Keep(stream_.avail_out);
    complete_ = result == LZMA_STREAM_END;
    return complete_ || result == LZMA_OK || result == LZMA_BUF_ERROR;
  }
  bool IsComplete() const override { return complete_; }
  absl::string_view name() const override { return "xz"; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
  bool complete_ = false;  // after the last stream
};

class Bzip2Decoder final : public Decoder {
 public:
  Bzip2Decoder() { Begin(); }
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }

  bool Decode(absl::string_view* input, bool, std::string* output) override {
    // A file may have several streams; pbzip2 writes many.
    if (complete_ && input->empty()) return true;
    if (complete_) {
      BZ2_bzDecompressEnd(&stream_);
      Begin();
    }
    if (!ready_) return false;
    complete_ = false;
    OutputSpace space(output);
    stream_.next_in = const_cast<char*>(input->data());
    stream_.avail_in = input->size();
    stream_.next_out = space.data();
    stream_.avail_out = kMaxOutput;
    const int result = BZ2_bzDecompress(&stream_);
    input->remove_prefix(input->size() - stream_.avail_in);
    space.Keep(stream_.avail_out);
    complete_ = result == BZ_STREAM_END;
    return complete_ || result == BZ_OK;
  }
  bool IsComplete() const override { return complete_; }
  absl::string_view name() const override { return "bzip2"; }

 private:
  void Begin() {
    stream_ = {};
    ready_ = BZ2_bzDecompressInit(&stream_, 0, 0) == BZ_OK;
  }

  bz_stream stream_ = {};
  bool ready_ = false;
  bool complete_ = false;  // between streams
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : stream_(ZSTD_createDStream()) {
    // As zstd --long=31 does.
    ready_ = stream_ != nullptr &&
             !ZSTD_isError(ZSTD_DCtx_setParameter(
                 stream_, ZSTD_d_windowLogMax,
                 ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound));
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }

  bool Decode(absl::string_view* input, bool, std::string* output) override {
    if (!ready_) return false;
    if (input->empty() && complete_) return true;
    OutputSpace space(output);
    ZSTD_inBuffer in = {input->data(), input->size(), 0};
    ZSTD_outBuffer out = {space.data(), kMaxOutput, 0};
    const size_t result = ZSTD_decompressStream(stream_, &out, &in);
    input->remove_prefix(in.pos);
    space.Keep(kMaxOutput - out.pos);
    complete_ = result == 0;
    return !ZSTD_isError(result);
  }
  bool IsComplete() const override { return complete_; }
  absl::string_view name() const override { return "zstd"; }

 private:
  ZSTD_DStream* const stream_;
  bool ready_ = false;
  bool complete_ = false;  // between frames
};

}  // namespace

std::unique_ptr<Decoder> Decoder::Create(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<GzipDecoder>();
    case Compression::kXz:
      return std::make_unique<XzDecoder>();
    case Compression::kBzip2:
      return std::make_unique<Bzip2Decoder>();
    case Compression::kZstd:
      return std::make_unique<ZstdDecoder>();
    case Compression::kNone:
      break;
  }
  return nullptr;
}

}  // namespace lmserve
