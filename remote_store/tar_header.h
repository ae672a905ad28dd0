// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_TAR_HEADER_H_
#define LMSERVE_REMOTE_STORE_TAR_HEADER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// The size of the blocks of a tar file. The bytes of a file follow its header,
// and zeros up to the next block. Two blocks of zeros end the tar file.
inline constexpr uint64_t kTarBlock = 512;

// Returns the header of a file, or of a directory, whose path ends with '/' and
// whose size is 0, in the format ustar (POSIX.1-1988), with the GNU form of
// sizes of 8 GiB and more. Everything that could differ from one machine to
// another is constant: owner and group 0, time 0, mode 0644 or 0755. REQUIRES:
// the path has at most 100 bytes after its last '/' but one, and at most 155
// before.
std::string TarHeader(absl::string_view path, uint64_t size);

// Returns the zeros between the end of a file and the next block.
std::string TarPadding(uint64_t size);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_TAR_HEADER_H_
