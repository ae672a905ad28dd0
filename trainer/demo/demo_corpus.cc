// SPDX-License-Identifier: Apache-2.0
#include "trainer/demo/demo_corpus.h"

#include <algorithm>

#include "absl/base/macros.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "trainer/demo/demo_grammar.h"

namespace lmserve {
namespace {

constexpr absl::string_view kFirstSyllables =
    "ka lo mi ra te so da ve ni pu ba el or";
constexpr absl::string_view kLastSyllables =
    "na ris lan mo dor tia ven ko lin sha bert go mas rel dan pia tor";

}  // namespace

DemoCorpus::DemoCorpus(uint64_t seed) : random_(seed) {
  for (const GrammarRule& rule : GrammarRules()) {
    AddOption(rule.symbol, rule.pattern, rule.weight);
    if (!rule.kind.empty()) kinds_.emplace(rule.pattern, rule.kind);
  }
  for (const WordClass& words : WordClasses()) {
    double rank = 0;
    for (absl::string_view word : absl::StrSplit(words.words, ' ')) {
      AddOption(words.symbol, word, 1 / ++rank);
    }
  }
  AddNames();
  AddTags();
}

void DemoCorpus::AddOption(absl::string_view symbol, absl::string_view option,
                           double weight) {
  Choice& choice = choices_[symbol];
  choice.options.emplace_back(option);
  choice.weights.push_back(
      weight + (choice.weights.empty() ? 0 : choice.weights.back()));
}

// Adds many names, most of them so rare that no sample has all of them.
void DemoCorpus::AddNames() {
  double rank = 0;
  for (absl::string_view name : {"jane", "john", "mary", "peter"}) {
    AddOption("name", name, 1 / ++rank);
  }
  for (absl::string_view last : absl::StrSplit(kLastSyllables, ' ')) {
    for (absl::string_view first : absl::StrSplit(kFirstSyllables, ' ')) {
      for (absl::string_view middle : {"", "ri", "la"}) {
        AddOption("name", absl::StrCat(first, middle, last), 1 / ++rank);
      }
    }
  }
}

// A word of several classes has the same part of speech in all of them.
void DemoCorpus::AddTags() {
  for (const PartOfSpeech& part : PartsOfSpeech()) {
    for (absl::string_view word : absl::StrSplit(part.words, ' ')) {
      const auto words = choices_.find(absl::StripPrefix(word, "$"));
      if (word[0] != '$') {
        tags_.emplace(word, part.tag);
      } else if (words != choices_.end()) {
        for (const std::string& option : words->second.options) {
          tags_.emplace(option, part.tag);
        }
      }
    }
  }
  for (const Agreement& agreement : Agreements()) {
    tags_.emplace(agreement.role, "NOUN");
    tags_.emplace(agreement.thing, "NOUN");
  }
}

const std::string& DemoCorpus::Choose(absl::string_view symbol) {
  const auto found = choices_.find(symbol);
  ABSL_ASSERT(found != choices_.end());
  const Choice& choice = found->second;
  const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;
  const auto chosen =
      std::upper_bound(choice.weights.begin(), choice.weights.end() - 1,
                       uniform * choice.weights.back());
  return choice.options[chosen - choice.weights.begin()];
}

// Chooses the symbols that stay the same within a sentence.
DemoCorpus::Bindings DemoCorpus::Bind() {
  const auto agreements = Agreements();
  const Agreement& agreement = agreements[random_() % agreements.size()];
  Bindings bindings = {{"role", std::string(agreement.role)},
                       {"thing", std::string(agreement.thing)},
                       {"name", Choose("name")},
                       {"host", Choose("friend")}};
  do {
    bindings["guest"] = Choose("friend");
  } while (bindings["guest"] == bindings["host"]);
  return bindings;
}

void DemoCorpus::Expand(absl::string_view pattern, const Bindings& bindings,
                        std::string* text) {
  for (absl::string_view token : absl::StrSplit(pattern, ' ')) {
    if (token[0] != '$') {
      absl::StrAppend(text, text->empty() ? "" : " ", token);
      continue;
    }
    const absl::string_view symbol = token.substr(1);
    const auto bound = bindings.find(symbol);
    if (bound != bindings.end()) {
      absl::StrAppend(text, text->empty() ? "" : " ", bound->second);
    } else {
      Expand(Choose(symbol), bindings, text);
    }
  }
}

DemoCorpus::Labeled DemoCorpus::NextLabeled() {
  const Bindings bindings = Bind();
  const std::string& pattern = Choose("sentence");
  Labeled labeled = {.kind = kinds_.find(pattern)->second};
  Expand(pattern, bindings, &labeled.text);
  for (absl::string_view word : absl::StrSplit(labeled.text, ' ')) {
    const auto tag = tags_.find(word);
    ABSL_ASSERT(tag != tags_.end());
    labeled.tags.push_back(tag->second);
  }
  return labeled;
}

DemoCorpus::Probe DemoCorpus::NextProbe() {
  const Bindings bindings = Bind();
  std::string text;
  Expand("$agreement", bindings, &text);
  Probe probe;
  probe.right = bindings.at("thing");
  probe.context = text.substr(0, text.rfind(' '));
  for (const Agreement& agreement : Agreements()) {
    if (agreement.thing != probe.right) {
      probe.wrong.emplace_back(agreement.thing);
    }
  }
  return probe;
}

DemoCorpus::Probe DemoCorpus::NextGreetingProbe() {
  const Bindings bindings = Bind();
  std::string text;
  Expand("$greeting", bindings, &text);
  Probe probe;
  probe.right = bindings.at("guest");
  probe.context = text.substr(0, text.rfind(' '));
  for (const std::string& name : choices_["friend"].options) {
    if (name != probe.right) probe.wrong.push_back(name);
  }
  return probe;
}

std::vector<Contrast> DemoContrasts() {
  return {
      {"the cat is small .", "small is the cat ."},
      {"jane is walking home after school .",
       "jane is walking house after school ."},
      {"i have a book .", "i has a book ."},
      {"i had a book yesterday .", "me had a book yesterday ."},
      {"he has a book .", "he have a book ."},
      {"the cats are small .", "the cats is small ."},
  };
}

}  // namespace lmserve
