// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_EMBEDDING_H_
#define LMSERVE_TRAINER_NEURAL_EMBEDDING_H_

#include <algorithm>
#include <vector>

#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"

namespace lmserve {

// Returns the rows of the words, one after the other.
template <typename T>
std::vector<T> Embed(MatrixView<const T> table,
                     absl::Span<const WordId> words) {
  std::vector<T> rows(words.size() * table.cols);
  T* to = rows.data();
  for (WordId word : words) to = std::copy_n(table.row(word), table.cols, to);
  return rows;
}

// Adds d_rows, which has dE/d(row) for each word, to the rows of the words.
template <typename T>
void AddEmbeddingGradient(absl::Span<const WordId> words, const T* d_rows,
                          MatrixView<T> d_table) {
  for (WordId word : words) {
    T* row = d_table.row(word);
    for (size_t k = 0; k < d_table.cols; ++k) row[k] += d_rows[k];
    d_rows += d_table.cols;
  }
}

// Fills a parameter with uniform random numbers in [-range, range).
template <typename T>
void FillUniform(MatrixView<T> parameter, double range, Random* random) {
  for (size_t i = 0; i < parameter.rows * parameter.cols; ++i) {
    parameter.data[i] = static_cast<T>(random->Uniform(range));
  }
}

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_EMBEDDING_H_
