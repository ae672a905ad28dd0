// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_KENLM_WRITER_H_
#define LMSERVE_TESTS_TESTING_KENLM_WRITER_H_

#include <map>
#include <string>
#include <vector>

namespace lmserve {

// An n-gram's log10 probability and back-off weight.
struct KenlmNgram {
  float prob = 0;
  float backoff = 0;
};

// The n-grams of a model by their words, in the order in which they are read.
// All words, <unk> among them, must be 1-grams, and the contexts of n-grams
// must be n-grams; suffixes may be missing.
using KenlmNgrams = std::map<std::vector<std::string>, KenlmNgram>;

// Which of the four kinds of file to write.
struct KenlmKind {
  int prob_bits = 0;  // 0: not quantized
  int backoff_bits = 0;
  int pointer_bits = -1;  // -1: no array pointers
};

// Returns the bytes of a binary file of KenLM with a trie: a naive reference
// for the reader, written from the layout in kenlm_layout.h. Quantized values
// are exact: the bits must suffice for all distinct ones.
std::string WriteKenlm(const KenlmNgrams& ngrams, const KenlmKind& kind = {});

// Returns the same n-grams as an ARPA file whose numbers have all digits of the
// floats, with the words in the order of the ids of the binary file.
std::string KenlmArpa(const KenlmNgrams& ngrams);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_KENLM_WRITER_H_
