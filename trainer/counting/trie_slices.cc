// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/trie_slices.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// Joins the files of the slices of order k.
class SliceMerger {
 public:
  SliceMerger(const TrieShape& shape, int k, const std::vector<Slice>& slices,
              WorkDirectory& work)
      : shape_(shape), k_(k), slices_(slices), work_(work) {}

  absl::Status Merge() {
    const bool has_links = k_ < shape_.order();
    absl::Status status;
    if (slices_.size() == 1) {
      status = Rename(TrieRanksFile(k_));
      if (status.ok() && has_links) status = Rename(TrieLinksFile(k_));
      if (status.ok()) status = Rename(TrieAdjustedFile(k_ - 1));
      return status;
    }
    status = MergeByContext(has_links);
    if (status.ok()) status = Concatenate(TrieAdjustedFile(k_ - 1));
    if (!status.ok()) return status;
    for (size_t i = 0; i < slices_.size(); ++i) {
      work_.Remove(SliceFile(TrieRanksFile(k_), i));
      work_.Remove(SliceFile(TrieLinksFile(k_), i));
      work_.Remove(SliceFile(TrieAdjustedFile(k_ - 1), i));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Rename(const std::string& name) {
    const std::string from = work_.File(SliceFile(name, 0));
    const std::string to = work_.File(name);
    return rename(from.c_str(), to.c_str()) == 0
               ? absl::OkStatus()
               : absl::ErrnoToStatus(errno, to);
  }

  absl::Status Open(const std::string& name,
                    std::vector<std::unique_ptr<ByteReader>>* readers) {
    for (size_t i = 0; i < slices_.size(); ++i) {
      auto reader =
          ByteReader::Open(work_.File(SliceFile(name, i)), 0, UINT64_MAX,
                           /*hashed=*/false, kSliceBufferBytes);
      if (!reader.ok()) return reader.status();
      readers->push_back(*std::move(reader));
    }
    return absl::OkStatus();
  }

  // The children of a context are in the files of the slice that has its
  // suffix.
  absl::Status MergeByContext(bool has_links) {
    std::vector<std::unique_ptr<ByteReader>> ranks, links;
    absl::Status status = Open(TrieRanksFile(k_), &ranks);
    if (status.ok() && has_links) status = Open(TrieLinksFile(k_), &links);
    if (!status.ok()) return status;
    auto ranks_out = ByteWriter::Create(work_.File(TrieRanksFile(k_)));
    if (!ranks_out.ok()) return ranks_out.status();
    std::unique_ptr<ByteWriter> links_out;
    if (has_links) {
      auto created = ByteWriter::Create(work_.File(TrieLinksFile(k_)));
      if (!created.ok()) return created.status();
      links_out = *std::move(created);
    }
    absl::StatusOr<ContextReader> contexts =
        ContextReader::Open(shape_, k_, work_);
    if (!contexts.ok()) return contexts.status();
    const int index_bytes = shape_.index_bytes(k_ - 1);
    for (uint64_t i = 0; i < shape_.ngrams[k_ - 2]; ++i) {
      contexts->Next();
      const size_t slice = SliceOf(contexts->suffix());
      for (uint64_t j = 0; j < contexts->children(); ++j) {
        (*ranks_out)->WriteVarint(ranks[slice]->ReadVarint());
        if (has_links) {
          links_out->WriteFixed(links[slice]->ReadFixed(index_bytes),
                                index_bytes);
        }
      }
    }
    status = contexts->status();
    for (const auto& reader : ranks) status.Update(reader->status());
    for (const auto& reader : links) status.Update(reader->status());
    status.Update((*ranks_out)->Close());
    if (has_links) status.Update(links_out->Close());
    return status;
  }

  size_t SliceOf(uint64_t context) const {
    const auto after = std::upper_bound(slices_.begin(), slices_.end(), context,
                                        [](uint64_t c, const Slice& slice) {
                                          return c < slice.contexts_begin;
                                        });
    return after - slices_.begin() - 1;
  }

  absl::Status Concatenate(const std::string& name) {
    auto out = ByteWriter::Create(work_.File(name));
    if (!out.ok()) return out.status();
    std::string bytes;
    for (size_t i = 0; i < slices_.size(); ++i) {
      auto in = ByteReader::Open(work_.File(SliceFile(name, i)));
      if (!in.ok()) return in.status();
      while (!(*in)->AtEnd()) {
        bytes.resize(
            std::min<uint64_t>(1 << 16, (*in)->size() - (*in)->position()));
        (*in)->Read(bytes.data(), bytes.size());
        (*out)->Write(bytes);
      }
      if (!(*in)->status().ok()) return (*in)->status();
    }
    return (*out)->Close();
  }

  static constexpr size_t kSliceBufferBytes = 32 << 10;

  const TrieShape& shape_;
  const int k_;
  const std::vector<Slice>& slices_;
  WorkDirectory& work_;
};

}  // namespace

// Divides the contexts of order k - 2 into slices of at most `memory` bytes,
// and of at least one context.
absl::StatusOr<std::vector<Slice>> PlanSlices(const TrieShape& shape, int k,
                                              uint64_t memory,
                                              const WorkDirectory& work) {
  auto degrees = ByteReader::Open(work.File(TrieDegreesFile(k - 2)));
  if (!degrees.ok()) return degrees.status();
  std::vector<Slice> slices(1);
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < shape.ngrams[k - 3]; ++i) {
    const uint64_t offset = (*degrees)->position();
    const uint64_t degree = (*degrees)->ReadVarint();
    if (degree > shape.ngrams[k - 2] - slices.back().children_end) {
      return (*degrees)->Damaged("more children than n-grams");
    }
    const uint64_t more = kContextBytes + degree * kChildBytes;
    if (bytes > 0 && bytes + more > memory) {
      const Slice& last = slices.back();
      slices.push_back({.contexts_begin = i,
                        .contexts_end = i,
                        .children_begin = last.children_end,
                        .children_end = last.children_end,
                        .degrees_offset = offset});
      bytes = 0;
    }
    bytes += more;
    slices.back().contexts_end = i + 1;
    slices.back().children_end += degree;
  }
  if (!(*degrees)->status().ok()) return (*degrees)->status();
  return slices;
}

std::string SliceFile(const std::string& file, size_t slice) {
  return absl::StrCat(file, ".", slice);
}

absl::StatusOr<ContextReader> ContextReader::Open(const TrieShape& shape, int k,
                                                  const WorkDirectory& work) {
  auto degrees = ByteReader::Open(work.File(TrieDegreesFile(k - 1)));
  if (!degrees.ok()) return degrees.status();
  // The suffix of a bigram is its last word.
  auto links = ByteReader::Open(
      work.File(k == 3 ? TrieWordsFile(2) : TrieLinksFile(k - 1)));
  if (!links.ok()) return links.status();
  return ContextReader(*std::move(degrees), *std::move(links),
                       k == 3 ? shape.word_bytes() : shape.index_bytes(k - 2),
                       shape.ngrams[k - 1]);
}

absl::Status MergeSlices(const TrieShape& shape, int k,
                         const std::vector<Slice>& slices,
                         WorkDirectory& work) {
  return SliceMerger(shape, k, slices, work).Merge();
}

}  // namespace lmserve
