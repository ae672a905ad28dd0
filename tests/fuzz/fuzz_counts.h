// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_FUZZ_COUNTS_H_
#define LMSERVE_TESTS_FUZZ_FUZZ_COUNTS_H_

#include <string>
#include <vector>

#include "tests/fuzz/counts_input.h"
#include "tests/testing/temporary_directory.h"
#include "trainer/counting/count_options.h"
#include "trainer/counting/merge_counts.h"

namespace lmserve {

// Sound counts of a small text, of order 4, for work that is resumed.
class FuzzCounts {
 public:
  static const FuzzCounts& Get();

  // The directory of the counts.
  const std::string& directory() const { return directory_; }
  // The options with which the text is counted, and the counts are merged.
  const CountOptions& count() const { return count_; }
  const MergeOptions& merge() const { return merge_; }

  // Copies the words of the counts to a new directory.
  void CopyWords(const std::string& output) const;

  // Returns the files of work directories in which some stages are finished.
  std::vector<std::string> LinkedTrie() const;
  std::vector<std::string> UnlinkedTrie() const;
  std::vector<std::string> SpilledMerge() const;
  std::vector<std::string> ReadText() const;
  std::vector<std::string> SpilledText() const;

 private:
  FuzzCounts();

  const TemporaryDirectory files_;
  const std::string directory_;
  CountOptions count_;
  MergeOptions merge_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_FUZZ_COUNTS_H_
