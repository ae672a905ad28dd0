#ifndef LMSERVE_TRAINER_DEMO_DEMO_CORPUS_H_
#define LMSERVE_TRAINER_DEMO_DEMO_CORPUS_H_

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// A generator of English-like sentences, a small probabilistic grammar with
// about a thousand words: demos, tests and benchmarks train on it where no
// corpus is at hand. What it says is for models to find out: which word order
// is right, which verb fits, and things that only the far beginning of a
// sentence tells. The same seed gives the same sentences on every machine.
//
// One thread at a time.
class DemoCorpus {
 public:
  explicit DemoCorpus(uint64_t seed);

  // The next sentence: lower-case words and marks parted by single spaces.
  std::string Next();

  // A sentence up to a word that its far beginning alone tells, in 3 or more
  // words' distance: "as the proctor started the clock the students opened
  // their" | "exams".
  struct Probe {
    std::string context;
    std::string right;
    std::vector<std::string> wrong;  // what other beginnings would ask for
  };
  Probe NextProbe();

  // The same of a name that came up sentences ago: "jane walked into the room .
  // john walked in too . it was late ... jane said hi to" | "john", against all
  // other friends.
  Probe NextGreetingProbe();

 private:
  using Bindings = std::map<absl::string_view, std::string>;

  // A choice among patterns or words, by weight.
  struct Choice {
    std::vector<std::string> options;
    std::vector<double> weights;  // running sums
  };

  void AddOption(absl::string_view symbol, absl::string_view option,
                 double weight);
  void AddNames();
  const std::string& Choose(absl::string_view symbol);
  Bindings Bind();
  void Expand(absl::string_view pattern, const Bindings& bindings,
              std::string* text);

  std::mt19937_64 random_;
  std::map<absl::string_view, Choice> choices_;
};

// Two texts of which a model of the demo corpus must prefer the first.
struct Contrast {
  absl::string_view likely;
  absl::string_view unlikely;
};

// The examples of word order and agreement that an n-gram model can learn.
std::vector<Contrast> DemoContrasts();

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_DEMO_DEMO_CORPUS_H_
