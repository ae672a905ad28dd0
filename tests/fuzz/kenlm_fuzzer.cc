// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the reader of KenLM's binary files. A file that is accepted must be a
// sound model.

#include <algorithm>
#include <cstring>
#include <random>

#include "ngram_files/kenlm_file.h"
#include "tests/fuzz/check_imported.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

void ReadAndCheck(absl::string_view bytes) {
  auto model = ParseKenlm(bytes, "file", KenlmOptions());
  if (model.ok()) CheckImported(*std::move(model));
}

// Changes a bit, a byte or a number of 4 or 8 bytes in place: most changes of
// the size make a file that is refused at once.
void MutateInPlace(std::minstd_rand& random, uint8_t* data, size_t size) {
  // Most of the bytes before are the magic.
  constexpr size_t kFieldsAt = 88;
  const size_t begin = size > kFieldsAt && random() % 16 > 0 ? kFieldsAt : 0;
  for (int changes = 1 + random() % 3; changes > 0; --changes) {
    const size_t at = begin + random() % (size - begin);
    switch (random() % 4) {
      case 0:
        data[at] ^= static_cast<uint8_t>(1 << random() % 8);
        break;
      case 1:
        data[at] = static_cast<uint8_t>(random());
        break;
      case 2:
        data[at] = data[begin + random() % (size - begin)];
        break;
      default: {
        const uint64_t value = random() % 8;
        std::memcpy(data + at, &value,
                    std::min<size_t>(random() % 2 == 0 ? 4 : 8, size - at));
      }
    }
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::ReadAndCheck({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates in place and, in one of four cases, in any way.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  random.discard(3);
  if (size == 0 || random() % 4 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  lmserve::MutateInPlace(random, data, size);
  return size;
}
