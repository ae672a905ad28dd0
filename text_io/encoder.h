// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_ENCODER_H_
#define LMSERVE_TEXT_IO_ENCODER_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "text_io/text_format.h"

namespace lmserve {

// Compresses a stream of bytes. Not thread-safe.
class Encoder {
 public:
  // Compression::kNone copies the bytes.
  static std::unique_ptr<Encoder> Create(Compression compression);

  virtual ~Encoder() = default;

  // Compresses all bytes of `input` and appends what results, which may be
  // nothing yet, to *output. The last call must have `ends` and ends the
  // compressed data. Returns false if there is not enough memory.
  virtual bool Encode(absl::string_view input, bool ends,
                      std::string* output) = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_ENCODER_H_
