#ifndef LMSERVE_TRAINER_DEMO_DEMO_GRAMMAR_H_
#define LMSERVE_TRAINER_DEMO_DEMO_GRAMMAR_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The grammar of the demo corpus, as data. In a pattern, $name stands for a
// symbol: a choice among the patterns of its rules, by weight, or a word of its
// class.

struct GrammarRule {
  absl::string_view symbol;
  double weight;
  absl::string_view pattern;
};

// The words of a class; the i-th has the weight 1 / (i + 1), after Zipf.
struct WordClass {
  absl::string_view symbol;
  absl::string_view words;  // parted by spaces
};

// Who has which things: a person of a role, a group, what it does, and the one
// thing that fits. Between the role and the thing stand words that tell nothing
// of either.
struct Agreement {
  absl::string_view role;
  absl::string_view thing;
};

absl::Span<const GrammarRule> GrammarRules();
absl::Span<const WordClass> WordClasses();
absl::Span<const Agreement> Agreements();

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_DEMO_DEMO_GRAMMAR_H_
