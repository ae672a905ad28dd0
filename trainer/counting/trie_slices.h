// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_TRIE_SLICES_H_
#define LMSERVE_TRAINER_COUNTING_TRIE_SLICES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// Parts of an order of the trie that fit into memory, for LinkSuffixes().

// Some contexts of order k - 2, with their children, the n-grams of order k
// - 1.
struct Slice {
  uint64_t contexts_begin = 0, contexts_end = 0;
  uint64_t children_begin = 0, children_end = 0;
  uint64_t degrees_offset = 0;  // of the first context, in the file of degrees
};

// The memory of a context of a slice, and of a child: word and counter.
inline constexpr uint64_t kContextBytes = sizeof(uint32_t);
inline constexpr uint64_t kChildBytes = sizeof(WordId) + sizeof(uint32_t);

// Divides the contexts of order k - 2 into slices of at most `memory` bytes,
// and of at least one context. REQUIRES: k >= 3.
absl::StatusOr<std::vector<Slice>> PlanSlices(const TrieShape& shape, int k,
                                              uint64_t memory,
                                              const WorkDirectory& work);

// Returns the name of the part of a file that belongs to a slice.
std::string SliceFile(const std::string& file, size_t slice);

// Joins the files of all slices: the ranks and links of order k, and the
// adjusted counts of order k - 1.
absl::Status MergeSlices(const TrieShape& shape, int k,
                         const std::vector<Slice>& slices, WorkDirectory& work);

// Reads the contexts of order k - 1, one after the other, with the index of
// each one's suffix. Not thread-safe.
class ContextReader {
 public:
  // REQUIRES: k >= 3.
  static absl::StatusOr<ContextReader> Open(const TrieShape& shape, int k,
                                            const WorkDirectory& work);

  // A damaged file may end too early, and has then contexts without children.
  void Next() {
    suffix_ = links_->ReadFixed(index_bytes_);
    children_ = degrees_->ReadVarint();
    if (children_ > left_) {
      is_damaged_ = true;
      children_ = 0;
    }
    left_ -= children_;
  }
  uint64_t suffix() const { return suffix_; }
  uint64_t children() const { return children_; }

  // To be called after the last context: all n-grams are children then.
  absl::Status status() const {
    if (is_damaged_ || left_ > 0) {
      return degrees_->Damaged("other numbers of children than of n-grams");
    }
    return links_->status().ok() ? degrees_->status() : links_->status();
  }

 private:
  ContextReader(std::unique_ptr<ByteReader> degrees,
                std::unique_ptr<ByteReader> links, int index_bytes,
                uint64_t ngrams)
      : degrees_(std::move(degrees)),
        links_(std::move(links)),
        index_bytes_(index_bytes),
        left_(ngrams) {}

  std::unique_ptr<ByteReader> degrees_, links_;
  int index_bytes_;
  uint64_t left_;  // the n-grams of the contexts that are not read yet
  bool is_damaged_ = false;
  uint64_t suffix_ = 0;
  uint64_t children_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_TRIE_SLICES_H_
