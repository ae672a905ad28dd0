// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_DECODER_H_
#define LMSERVE_TEXT_IO_DECODER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "text_io/text_format.h"

namespace lmserve {

// Decompresses a stream of bytes. Not thread-safe.
class Decoder {
 public:
  // REQUIRES: compression is not Compression::kNone.
  static std::unique_ptr<Decoder> Create(Compression compression);

  virtual ~Decoder() = default;

  // Consumes bytes from the front of *input and appends decompressed ones, at
  // most 128 KiB, to *output. `ended` says that no bytes follow the input.
  // Returns false if the data is corrupt.
  virtual bool Decode(absl::string_view* input, bool ended,
                      std::string* output) = 0;

  // Whether the data may end after what was decoded so far.
  virtual bool IsComplete() const = 0;

  // The name of the compression, for messages.
  virtual absl::string_view name() const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_DECODER_H_
