// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_DEMO_DEMO_CORPUS_H_
#define LMSERVE_TRAINER_DEMO_DEMO_CORPUS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// Generates English-like sentences from a small probabilistic grammar with
// about a thousand words. Demos, tests and benchmarks train on it when there is
// no corpus. Models can learn word order, verb agreement, and words that depend
// only on the distant beginning of a sentence. The same seed gives the same
// sentences on every machine. Not thread-safe.
class DemoCorpus {
 public:
  explicit DemoCorpus(uint64_t seed);

  // Returns the next sentence: lower-case words and punctuation, separated by
  // single spaces.
  std::string Next() { return NextLabeled().text; }

  // A sentence with labels for a tagger and a classifier.
  struct Labeled {
    std::string text;
    std::vector<std::string> tags;  // the part of speech of each word
    std::string kind;               // what the sentence says: "question"
  };
  // Returns the sentence that Next() would return.
  Labeled NextLabeled();

  // A sentence up to a word that only the beginning of the sentence determines,
  // at a distance of 3 or more words, as in
  //   "as the proctor started the clock the students opened their" | "exams"
  struct Probe {
    std::string context;
    std::string right;
    std::vector<std::string> wrong;  // the answers for other beginnings
  };
  Probe NextProbe();

  // Returns a probe whose answer is a name from an earlier sentence; the names
  // of all other friends are wrong:
  //   "jane walked into the room . john walked in too . it was late ... jane
  //   said hi to" | "john"
  Probe NextGreetingProbe();

 private:
  using Bindings = std::map<absl::string_view, std::string>;

  // The patterns or words of a symbol, to choose from by weight.
  struct Choice {
    std::vector<std::string> options;
    std::vector<double> weights;  // running sums
  };

  void AddOption(absl::string_view symbol, absl::string_view option,
                 double weight);
  void AddNames();
  void AddTags();
  const std::string& Choose(absl::string_view symbol);
  Bindings Bind();
  void Expand(absl::string_view pattern, const Bindings& bindings,
              std::string* text);

  std::mt19937_64 random_;
  std::map<absl::string_view, Choice> choices_;
  std::map<std::string, std::string, std::less<>> kinds_;  // of sentences
  std::map<std::string, std::string, std::less<>> tags_;   // of words
};

// Two texts; a model of the demo corpus must prefer the first.
struct Contrast {
  absl::string_view likely;
  absl::string_view unlikely;
};

// Returns examples of word order and agreement that an n-gram model can learn.
std::vector<Contrast> DemoContrasts();

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_DEMO_DEMO_CORPUS_H_
