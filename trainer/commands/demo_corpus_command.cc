// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer demo-corpus: generates a text to train on.

#include <iostream>
#include <memory>

#include "trainer/commands/command.h"
#include "trainer/demo/demo_corpus.h"

namespace lmserve {
namespace {

struct DemoCorpusOptions {
  uint64_t sentences = 50000;
  uint64_t seed = 1;
};

// Ends early if the standard output cannot be written.
absl::Status WriteCorpus(const DemoCorpusOptions& options) {
  DemoCorpus corpus(options.seed);
  for (uint64_t i = 0; i < options.sentences && std::cout; ++i) {
    std::cout << corpus.Next() << '\n';
  }
  return absl::OkStatus();
}

}  // namespace

void AddDemoCorpusCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<DemoCorpusOptions>();
  cli::App& command = *app.add_subcommand(
      "demo-corpus",
      "Write sentences that a small English-like grammar generates, for "
      "experiments and tests.\n"
      "  lm_trainer demo-corpus --sentences 20000 --seed 2 > valid.txt");
  command.add_option("--sentences", options->sentences, "Number of sentences")
      ->check(cli::Range(1, 1'000'000'000))
      ->capture_default_str();
  command
      .add_option("--seed", options->seed,
                  "Random seed; the same seed gives the same text")
      ->capture_default_str();
  command.callback([=] { *action = [=] { return WriteCorpus(*options); }; });
}

}  // namespace lmserve
