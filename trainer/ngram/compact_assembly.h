// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_COMPACT_ASSEMBLY_H_
#define LMSERVE_TRAINER_NGRAM_COMPACT_ASSEMBLY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trainer/counting/run_threads.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/work_directory.h"
#include "trainer/ngram/estimate.h"

namespace lmserve {

// A model in the compact layout, as a file of a work directory.
struct AssembledModel {
  std::string path;
  std::vector<std::string> notes;  // for the user, as Estimate::notes
};

// Builds a model in the compact layout from a linked trie: the same file as
// EstimateCompact() makes of the counts. Reads and writes files as streams:
// besides AssemblyMemory(), it needs some buffers. Files that are mapped are
// not part of it: the levels that are built, to which the builders of later
// levels refer.
//
// 1. The n-grams of each order are read once, `threads` orders at a time, for
//    the counts of counts and the widths of the fields ("survey-K").
// 2. They are read again, order by order; the sections of each level become
//    files ("level-K"). The files of the trie are removed when they are read.
// 3. The sections are joined to ngram.bin ("model").
//
// Each step is in the journal, so that an interrupted run continues there.
// Fails as EstimateCompact() does, with ABORTED if a stop was requested, and
// with DATA_LOSS if files are damaged. REQUIRES: IsFunctionOfCounts(options).
absl::StatusOr<AssembledModel> AssembleCompact(const TrieShape& shape,
                                               const EstimateOptions& options,
                                               int threads,
                                               const StopFlag* stop,
                                               WorkDirectory& work);

// Returns about how many bytes of memory the assembly of a model and its
// self-test need for a vocabulary, whose words have `text_bytes` bytes in all.
// Besides that, the finished file is mapped.
uint64_t AssemblyMemory(uint64_t words, uint64_t text_bytes);

// Returns about how many bytes of disk the assembly needs: sections and file;
// without the sections that a work directory has already.
uint64_t PlanAssemblyDisk(absl::Span<const uint64_t> ngrams,
                          const WorkDirectory* work = nullptr);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_COMPACT_ASSEMBLY_H_
