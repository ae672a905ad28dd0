// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_DEMO_DEMO_GRAMMAR_H_
#define LMSERVE_TRAINER_DEMO_DEMO_GRAMMAR_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The grammar of the demo corpus, as data. In a pattern, $x is the symbol x. It
// is replaced by a pattern of the rules for x, chosen by weight, or by a word
// of the class x.

struct GrammarRule {
  absl::string_view symbol;
  double weight;
  absl::string_view pattern;
  absl::string_view kind = "";  // of a sentence: what it says
};

// The words of a class. Word i, from 0, has the weight 1 / (i + 1), as in
// Zipf's law.
struct WordClass {
  absl::string_view symbol;
  absl::string_view words;  // separated by spaces
};

// Words and classes whose words have the same part of speech, a tag of
// Universal Dependencies. Roles and things are nouns.
struct PartOfSpeech {
  absl::string_view tag;
  absl::string_view words;  // and $classes, separated by spaces
};

// A role of a person and the thing that goes with it. In a sentence, the role
// determines the thing; the words between them are independent of both.
struct Agreement {
  absl::string_view role;
  absl::string_view thing;
};

absl::Span<const GrammarRule> GrammarRules();
absl::Span<const WordClass> WordClasses();
absl::Span<const Agreement> Agreements();

// Has all words of patterns, and all classes.
absl::Span<const PartOfSpeech> PartsOfSpeech();

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_DEMO_DEMO_GRAMMAR_H_
