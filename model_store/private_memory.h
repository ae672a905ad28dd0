// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_PRIVATE_MEMORY_H_
#define LMSERVE_MODEL_STORE_PRIVATE_MEMORY_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// Memory that no file backs, so that nobody else can change it or make an
// access to it fail. Large memory begins at a multiple of 2 MiB and asks for
// huge pages, with which look-ups in a large model take less time. All bytes
// are 0 at first. Owns the memory. Movable. Any number of threads may read it.
class PrivateMemory {
 public:
  // RESOURCE_EXHAUSTED if the address space does not suffice or if the process
  // would need more memory than AvailableMemory().
  static absl::StatusOr<PrivateMemory> Allocate(size_t size);

  PrivateMemory() = default;
  PrivateMemory(PrivateMemory&& other) noexcept;
  PrivateMemory& operator=(PrivateMemory&& other) noexcept;
  ~PrivateMemory();

  absl::string_view bytes() const { return {data_, size_}; }

  // REQUIRES: Seal() was not called.
  absl::Span<char> writable() { return {data_, size_}; }

  // Makes the memory read-only.
  void Seal();

 private:
  PrivateMemory(char* data, size_t size) : data_(data), size_(size) {}

  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_PRIVATE_MEMORY_H_
