// SPDX-License-Identifier: Apache-2.0
#include "model_store/private_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/available_memory.h"

namespace lmserve {
namespace {

constexpr size_t kHugePage = 2 << 20;

// Memory of at most this size is allocated without a look at what is available.
constexpr size_t kSmall = 16 << 20;

// Returns memory that begins at a multiple of kHugePage, or null.
char* MapAligned(size_t size) {
  if (size > std::numeric_limits<size_t>::max() / 2) return nullptr;
  const size_t reserved = size + kHugePage;
  void* const mapped = mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(mapped);
  const size_t before =
      (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before > 0) munmap(begin, before);
  constexpr size_t kPage = 4096;
  const size_t used = (size + kPage - 1) / kPage * kPage;
  const size_t after = reserved - before - used;
  if (after > 0) munmap(begin + before + used, after);
  madvise(begin + before, used, MADV_HUGEPAGE);  // only advice: it may fail
  return begin + before;
}

char* Map(size_t size) {
  if (size >= kHugePage) return MapAligned(size);
  void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<char*>(mapped);
}

}  // namespace

absl::StatusOr<PrivateMemory> PrivateMemory::Allocate(size_t size) {
  if (size == 0) return PrivateMemory();
  if (size > kSmall) {
    const uint64_t available = AvailableMemory();
    if (size > available) {
      return absl::ResourceExhaustedError(
          absl::StrCat("memory: expected at least ", size,
                       " bytes available, found ", available));
    }
  }
  char* const data = Map(size);
  if (data == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("memory: cannot allocate ", size, " bytes"));
  }
  return PrivateMemory(data, size);
}

PrivateMemory::PrivateMemory(PrivateMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

PrivateMemory& PrivateMemory::operator=(PrivateMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

PrivateMemory::~PrivateMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

void PrivateMemory::Seal() {
  if (data_ != nullptr) mprotect(data_, size_, PROT_READ);
}

}  // namespace lmserve
