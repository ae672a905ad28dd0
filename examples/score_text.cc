// SPDX-License-Identifier: Apache-2.0
//
// score_text ARPA-FILE TEXT...: prints ln P of each text by an n-gram model of
// an ARPA file or a KenLM trie, then the best words after the first text.
// score_text STORE NAME TEXT...: the same by a version of a store.

#include <filesystem>
#include <iostream>
#include <vector>

#include "lmserve/local/local_model.h"

int main(int argc, char** argv) {
  const bool is_store = argc > 3 && std::filesystem::is_directory(argv[1]);
  const int first = is_store ? 3 : 2;
  if (argc <= first) {
    std::cerr << "usage: score_text (ARPA-FILE | STORE NAME) TEXT...\n";
    return 2;
  }
  const auto model = is_store ? lmserve::LocalModel::Open(argv[1], argv[2])
                              : lmserve::LocalModel::FromFile(argv[1]);
  if (!model.ok()) {
    std::cerr << model.status() << "\n";
    return 1;
  }
  const std::vector<absl::string_view> texts(argv + first, argv + argc);
  const auto scores = model->Score(texts, {.threads = 2});
  if (!scores.ok()) {
    std::cerr << scores.status() << "\n";
    return 1;
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    std::cout << (*scores)[i].log_prob() << "\t" << texts[i] << "\n";
  }
  const auto best = model->Predict(texts[0], 3);
  if (!best.ok()) return 0;  // a bidirectional model predicts no next word
  for (const lmserve::ScoredWord& word : *best) {
    std::cout << word.log_prob << "\t..." << model->vocabulary().word(word.word)
              << "\n";
  }
}
