// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer demo-corpus: generates a text to train on.

#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "trainer/commands/command.h"
#include "trainer/demo/demo_corpus.h"

namespace lmserve {
namespace {

struct DemoCorpusOptions {
  uint64_t sentences = 50000;
  uint64_t seed = 1;
  std::string labels;
};

// Writes a word a line, with its part of speech after a tab, and an empty line.
void WriteTags(const DemoCorpus::Labeled& sentence) {
  size_t i = 0;
  for (absl::string_view word : absl::StrSplit(sentence.text, ' ')) {
    std::cout << word << '\t' << sentence.tags[i++] << '\n';
  }
  std::cout << '\n';
}

// Ends early if the standard output cannot be written.
absl::Status WriteCorpus(const DemoCorpusOptions& options) {
  DemoCorpus corpus(options.seed);
  for (uint64_t i = 0; i < options.sentences && std::cout; ++i) {
    const DemoCorpus::Labeled sentence = corpus.NextLabeled();
    if (options.labels == "words") {
      WriteTags(sentence);
    } else if (options.labels == "sentences") {
      std::cout << sentence.kind << '\t' << sentence.text << '\n';
    } else {
      std::cout << sentence.text << '\n';
    }
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
  command
      .add_option(
          "--labels", options->labels,
          "Write labels, too: of words, their parts of speech, to train "
          "a tagger; of sentences, what they say, to train a "
          "classifier [none]")
      ->check(cli::IsMember({"words", "sentences"}));
  command.callback([=] { *action = [=] { return WriteCorpus(*options); }; });
}

}  // namespace lmserve
