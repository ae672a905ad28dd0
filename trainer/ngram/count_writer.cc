// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"
#include "text_io/text_format.h"
#include "trainer/ngram/count_file.h"

namespace lmserve {
namespace {

class CountWriter {
 public:
  CountWriter(const Vocabulary& vocabulary, const NgramCounts& counts,
              std::ostream& out)
      : vocabulary_(vocabulary), counts_(counts), out_(out) {}

  void Run() {
    for (int k = 1; k <= counts_.order(); ++k) {
      Visit(1, k, 0, counts_.levels[0].size());
    }
  }

 private:
  // Writes the n-grams of order k that are or begin with the n-grams
  // [begin, end) of order j. text_ has the words before the last one.
  void Visit(int j, int k, uint32_t begin, uint32_t end) {
    const CountedLevel& level = counts_.levels[j - 1];
    const size_t size = text_.size();
    for (uint32_t i = begin; i < end; ++i) {
      absl::StrAppend(&text_, vocabulary_.word(level.words[i]));
      if (j < k) {
        text_ += ' ';
        Visit(j + 1, k, level.children[i], level.children[i + 1]);
      } else if (level.counts[i] > 0) {
        if (ByteOrderMarkLength(text_) > 0) out_ << ' ';
        out_ << text_ << '\t' << level.counts[i] << '\n';
      }
      text_.resize(size);
    }
  }

  const Vocabulary& vocabulary_;
  const NgramCounts& counts_;
  std::ostream& out_;
  std::string text_;
};

}  // namespace

void WriteCounts(const Vocabulary& vocabulary, const NgramCounts& counts,
                 std::ostream& out) {
  CountWriter(vocabulary, counts, out).Run();
}

}  // namespace lmserve
