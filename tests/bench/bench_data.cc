// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_data.h"

#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "models/ngram/ngram_set.h"
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
  const bool is_shared = !train.empty() && !test.empty();
  corpus_ = is_shared ? "wikitext-2" : "demo corpus";
  WriteText(is_shared ? ReadSharedLines(train) : DemoLines(200'000, 1));
  Train();
  Encode(is_shared ? ReadSharedLines(test) : DemoLines(20'000, 2));
}

const char* BenchData::Name(Layout layout) {
  constexpr const char* kNames[] = {"fast", "compact", "values", "quantized"};
  return kNames[layout];
}

void BenchData::WriteText(const std::vector<std::string>& lines) {
  std::ofstream out(directory_.File("train.txt"));
  for (const std::string& line : lines) {
    out << line << '\n';
    training_tokens_ += SplitWords(line).size() + 1;
  }
}

void BenchData::Train() {
  const std::vector<std::string> train = {
      "ngram", "--corpus", directory_.File("train.txt"), "--order", "5"};
  const auto started = std::chrono::steady_clock::now();
  const rusage usage = RunTrainer(train, Name(kFast));
  training_seconds_ =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started)
          .count();
  training_peak_bytes_ = usage.ru_maxrss * 1024.0;

  std::vector<std::string> compact = train;
  compact.insert(compact.end(), {"--layout", "compact"});
  RunTrainer(compact, Name(kCounts));
  RunTrainer({"convert", "--layout", "compact", "--as", Name(kValues)},
             Name(kFast));
  RunTrainer({"convert", "--layout", "compact", "--quantize", "8", "--as",
              Name(kQuantized)},
             Name(kFast));
  for (int i = 0; i < kLayouts; ++i) {
    handles_[i] = LoadModel(store(), Name(Layout(i)), 1).value();
  }
  const auto* const ngrams = dynamic_cast<const NgramSet*>(&model());
  for (int k = 1; k <= ngrams->order(); ++k) ngrams_ += ngrams->Count(k);
}

rusage BenchData::RunTrainer(std::vector<std::string> arguments,
                             const char* model) const {
  arguments.insert(arguments.begin(), LMSERVE_TRAINER);
  arguments.insert(arguments.end(), {"--store", store(), "--model", model});
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
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
  return usage;
}

void BenchData::Encode(const std::vector<std::string>& lines) {
  const Vocabulary& vocabulary = model().vocabulary();
  for (const std::string& line : lines) {
    std::vector<WordId>& sentence = sentences_.emplace_back();
    for (absl::string_view word : SplitWords(line)) {
      sentence.push_back(vocabulary.Find(word));
    }
    sentence.push_back(vocabulary.end_sentence());
    test_tokens_ += sentence.size();
  }
}

}  // namespace lmserve
