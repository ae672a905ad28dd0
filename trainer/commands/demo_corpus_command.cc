// lm_trainer demo-corpus: text to train on where no corpus is at hand.

#include <iostream>
#include <memory>

#include "trainer/commands/command.h"
#include "trainer/demo/demo_corpus.h"

namespace lmserve {
namespace {

struct Options {
  uint64_t sentences = 50000;
  uint64_t seed = 1;
};

absl::Status Write(const Options& options) {
  DemoCorpus corpus(options.seed);
  for (uint64_t i = 0; i < options.sentences && std::cout; ++i) {
    std::cout << corpus.Next() << '\n';
  }
  if (std::cout.flush()) return absl::OkStatus();
  return absl::DataLossError("standard output: could not be written");
}

}  // namespace

void AddDemoCorpusCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "demo-corpus",
      "Write English-like sentences of a small grammar, for tries and tests.\n"
      "  lm_trainer demo-corpus --sentences 20000 --seed 2 > valid.txt");
  command.add_option("--sentences", options->sentences, "How many")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "The same seed, the same text")
      ->capture_default_str();
  command.callback([=] { *work = [=] { return Write(*options); }; });
}

}  // namespace lmserve
