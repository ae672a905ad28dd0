// SPDX-License-Identifier: Apache-2.0
//
// keep_states STORE NAME WORD...: reads the words one by one in two hypotheses
// at once, as a decoder does, and keeps their states. The second hypothesis
// leaves out the last word and ends instead. Prints ln P of both.

#include <cstddef>
#include <iostream>
#include <vector>

#include "lmserve/local/local_model.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: keep_states STORE NAME WORD...\n";
    return 2;
  }
  const auto model = lmserve::LocalModel::Open(argv[1], argv[2]);
  if (!model.ok()) {
    std::cerr << model.status() << "\n";
    return 1;
  }
  const auto start = model->State();
  if (!start.ok()) {
    std::cerr << start.status() << "\n";
    return 1;
  }
  // A state is plain bytes, so a hypothesis is copied like a value.
  std::vector<std::vector<std::byte>> states = {*start, *start};
  double sums[2] = {0, 0};
  for (int i = 3; i < argc; ++i) {
    const lmserve::WordId word = model->vocabulary().Find(argv[i]);
    const bool is_last = i + 1 == argc;
    const lmserve::WordId other =
        is_last ? model->vocabulary().end_sentence() : word;
    const auto log_probs =
        model->Extend(absl::MakeSpan(states), std::vector{word, other});
    if (!log_probs.ok()) {
      std::cerr << log_probs.status() << "\n";
      return 1;
    }
    for (int h = 0; h < 2; ++h) sums[h] += (*log_probs)[h];
  }
  std::cout << sums[0] << "\n" << sums[1] << "\n";
}
