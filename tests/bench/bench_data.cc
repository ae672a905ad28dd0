// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_data.h"

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/shared_data.h"

namespace lmserve {
namespace {

[[noreturn]] void Die(absl::string_view problem) {
  std::cerr << "bench: " << problem << std::endl;
  std::exit(1);
}

std::vector<std::string> DemoLines(int sentences, uint64_t seed) {
  const std::string text = DemoText(sentences, seed);
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

const BenchData& BenchData::Get() {
  static const BenchData data;
  return data;
}

BenchData::BenchData() {
  const std::string train = SharedFile("data/wikitext-2/train.txt.xz");
  const std::string test = SharedFile("data/wikitext-2/test.txt.xz");
  if (train.empty() || test.empty()) {
    corpus_ = "demo corpus";
    Train(DemoLines(200'000, 1));
    Encode(DemoLines(20'000, 2));
  } else {
    corpus_ = "wikitext-2";
    Train(ReadSharedLines(train));
    Encode(ReadSharedLines(test));
  }
}

void BenchData::Train(const std::vector<std::string>& lines) {
  const std::string text = directory_.File("train.txt");
  std::ofstream out(text);
  for (const std::string& line : lines) {
    out << line << '\n';
    training_tokens_ += SplitWords(line).size() + 1;
  }
  out.close();
  const std::vector<std::string> arguments = {
      LMSERVE_TRAINER, "ngram", "--corpus", text,   "--order", "5",
      "--store",       store(), "--model",  "bench"};
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const auto started = std::chrono::steady_clock::now();
  pid_t child;
  if (posix_spawn(&child, LMSERVE_TRAINER, nullptr, nullptr, argv.data(),
                  environ) != 0) {
    Die(absl::StrCat("cannot start ", LMSERVE_TRAINER));
  }
  int status;
  rusage usage;
  if (wait4(child, &status, 0, &usage) != child || status != 0) {
    Die("lm_trainer failed");
  }
  training_seconds_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started)
          .count();
  training_peak_bytes_ = usage.ru_maxrss * 1024.0;
  handle_ = LoadModel(store(), "bench", 1).value();
  model_ = dynamic_cast<const NgramModel*>(handle_->model().left_to_right());
}

void BenchData::Encode(const std::vector<std::string>& lines) {
  const Vocabulary& vocabulary = model_->vocabulary();
  for (const std::string& line : lines) {
    std::vector<WordId>& sentence = sentences_.emplace_back();
    for (absl::string_view word : SplitWords(line)) {
      sentence.push_back(vocabulary.Find(word));
    }
    sentence.push_back(vocabulary.end_sentence());
    test_tokens_ += sentence.size();
  }
}

size_t BenchData::ngrams() const {
  size_t total = 0;
  for (int k = 1; k <= model_->order(); ++k) total += model_->Count(k);
  return total;
}

}  // namespace lmserve
