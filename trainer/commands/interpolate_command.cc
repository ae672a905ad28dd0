// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer interpolate: publishes one n-gram model that interpolates others.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/member_weights.h"
#include "trainer/commands/ngram_input.h"
#include "trainer/commands/ngram_output.h"
#include "trainer/ngram/interpolate.h"
#include "trainer/text/corpus.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct InterpolateOptions {
  MemberOptions members;
  std::string valid;
  TextRules rules;
  double unknown_share = 0.1;
  NgramOutput output;
};

absl::StatusOr<std::vector<NgramInput>> ReadMembers(
    const InterpolateOptions& options) {
  std::vector<NgramInput> members;
  for (const std::string& spec : options.members.members) {
    absl::StatusOr<NgramInput> member =
        ReadNgramInput(options.output.target.store, spec);
    if (!member.ok()) return member.status();
    members.push_back(*std::move(member));
  }
  return members;
}

NgramUnion UnionOf(const InterpolateOptions& options,
                   absl::Span<const NgramInput> members) {
  std::vector<NgramUnion::Model> models;
  for (const NgramInput& member : members) {
    models.push_back({&member.vocabulary, &member.table});
  }
  return NgramUnion(models, options.unknown_share);
}

std::vector<std::string> Names(absl::Span<const NgramInput> members) {
  std::vector<std::string> names;
  for (const NgramInput& member : members) names.push_back(member.name);
  return names;
}

// Says which words the members share their <unk> with.
void ReportVocabularies(absl::Span<const NgramInput> members,
                        const NgramUnion& models) {
  for (size_t m = 0; m < members.size(); ++m) {
    if (models.Unknown(m) == 0) continue;
    PrintMessage(absl::StrCat(
        members[m].name, " does not know ", models.Unknown(m), " of the ",
        models.vocabulary().size(), " words (see --unknown-share)"));
  }
}

// Reads the validation text as Corpus::words. Returns no words if there is no
// validation text.
absl::StatusOr<std::vector<WordId>> ReadValid(const InterpolateOptions& options,
                                              const NgramUnion& models) {
  if (options.valid.empty()) return std::vector<WordId>();
  return ReadTextFile(options.valid, models.vocabulary(), options.rules);
}

ScoredText ScoreText(const NgramUnion& models, absl::Span<const WordId> text) {
  ScoredText scored;
  for (WordId word : text) {
    if (word != models.vocabulary().begin_sentence()) {
      scored.words.push_back(word);
    }
  }
  for (size_t m = 0; m < models.size(); ++m) {
    scored.log_probs.push_back(models.Score(m, text));
  }
  return scored;
}

// Prints the perplexity of the model that was made, in a further row of the
// table of its members.
void PrintModelRow(const Vocabulary& vocabulary, const NgramTable& table,
                   absl::Span<const WordId> text) {
  const NgramUnion::Model model = {&vocabulary, &table};
  const NgramUnion alone({&model, 1}, /*share=*/0);
  const ScoredText scored = ScoreText(alone, text);
  Evaluation result;
  result.Add(scored.words, scored.log_probs[0], vocabulary.unknown());
  PrintMixtureRow("model", 1, result);
}

absl::Status RunInterpolate(const InterpolateOptions& options) {
  absl::Status status = CheckNgramOutput(options.output);
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<NgramInput>> members = ReadMembers(options);
  if (!members.ok()) return members.status();
  const NgramUnion models = UnionOf(options, *members);
  ReportVocabularies(*members, models);
  const absl::StatusOr<std::vector<WordId>> text = ReadValid(options, models);
  if (!text.ok()) return text.status();
  const Vocabulary& vocabulary = models.vocabulary();
  std::vector<double> weights;
  if (text->empty()) {
    weights = GivenWeights(options.members);
  } else {
    const MixtureResult result =
        AssessMixture(options.members, Names(*members),
                      ScoreText(models, *text), vocabulary.unknown());
    PrintMixture(result);
    weights = result.fit.weights;
  }
  const absl::StatusOr<NormalizedTable> made = models.Interpolate(weights);
  if (!made.ok()) return made.status();
  WarnOfScaling(made->scaled);
  if (!text->empty()) PrintModelRow(vocabulary, made->table, *text);
  return WriteNgramTable(options.output, vocabulary, made->table,
                         {{"members", absl::StrJoin(Names(*members), " ")},
                          {"weights", absl::StrJoin(weights, " ")}},
                         {FirstWords(vocabulary)})
      .status();
}

// Throws the exception by which CLI11 reports a wrong command line.
void CheckOptions(const InterpolateOptions& options) {
  CheckMembers(options.members);
  CheckLayoutOptions(options.output.layout);
  if (!options.valid.empty() || !options.members.weights.empty()) return;
  throw cli::ValidationError("--valid", "expected a text or --weights");
}

}  // namespace

void AddInterpolateCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<InterpolateOptions>();
  cli::App& command = *app.add_subcommand(
      "interpolate",
      "Publish one n-gram model that interpolates several, which may have "
      "different words. A member reads a word that only others know as <unk>.\n"
      "  lm_trainer interpolate --members en,news@2,old.arpa.gz --valid "
      "valid.xz --store store --model mixed");
  AddMemberOptions(command, absl::StrCat("each ", kNgramInputHelp),
                   &options->members);
  command.add_option("--valid", options->valid,
                     "Held-out text: the weights are fitted to it, unless they "
                     "are given, and perplexities on it are reported");
  AddTextRules(command, &options->rules);
  command
      .add_option("--unknown-share", options->unknown_share,
                  "The part of the probability of a member's <unk> that the "
                  "words which only other members know share equally; <unk> "
                  "keeps the rest. With 0 these words are impossible for the "
                  "member, as in SRILM")
      ->check(cli::Range(0.0, 1.0))
      ->capture_default_str();
  AddNgramOutputOptions(command, "about 5 to 8", &options->output);
  command.callback([=] {
    CheckOptions(*options);
    *action = [=] { return RunInterpolate(*options); };
  });
}

}  // namespace lmserve
