// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer inspect: verifies a version and prints what it contains.

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model_store/load_version.h"
#include "model_store/manifest.h"
#include "model_store/reranker.h"
#include "models/text.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"

namespace lmserve {
namespace {

struct InspectOptions {
  ModelOptions model;
  bool next_words = false;  // whether --next was given
  std::string context;
  int k = 10;
};

void PrintKind(const LoadedVersion& loaded) {
  if (loaded.is_reranker()) {
    std::cout << RerankerJson(loaded.reranker());
    return;
  }
  std::cout << "vocabulary  " << loaded.model().vocabulary().size() << "\n";
  const LanguageModel* model = loaded.model().word_by_word();
  if (model == nullptr) return;
  std::cout << "state       " << model->state_size() << " bytes\n";
}

void PrintVersion(const LoadedVersion& loaded) {
  const lm::v1::Manifest& manifest = loaded.manifest();
  std::cout << loaded.name() << "@" << loaded.version() << "\n"
            << "family      " << manifest.family() << "\n"
            << "created     " << manifest.created() << "\n";
  PrintKind(loaded);
  const std::map<std::string, std::string> properties(
      manifest.properties().begin(), manifest.properties().end());
  for (const auto& [key, value] : properties) {
    std::cout << absl::StreamFormat("%-10s  %s\n", key, value);
  }
  for (const lm::v1::ModelFile& file : manifest.files()) {
    std::cout << absl::StreamFormat("%-14s %12d bytes  sha256 %s\n",
                                    file.name(), file.size(), file.sha256());
  }
}

// Returns the most probable words after a context. For a bidirectional model,
// the word is the last one of the sentence, before </s>.
std::vector<ScoredWord> FindNextWords(const AnyModel& model,
                                      absl::Span<const WordId> context,
                                      size_t k) {
  std::vector<ScoredWord> best(std::min<size_t>(k, model.vocabulary().size()));
  if (model.kind() == ModelKind::kBidirectional) {
    const BidirectionalModel::Gap gap = {context, {}};
    model.bidirectional()->Fill({&gap, 1}, best.size(), absl::MakeSpan(best));
    return best;
  }
  const LanguageModel& reader = *model.left_to_right();
  std::vector<std::byte> state(reader.state_size());
  reader.Start(state.data());
  const LanguageModel::Query query = {state.data(), context, state.data(), {}};
  reader.Score({&query, 1});
  const std::byte* states[] = {state.data()};
  reader.TopK(states, best.size(), absl::MakeSpan(best));
  return best;
}

void PrintNextWords(const AnyModel& model, const InspectOptions& options) {
  std::vector<WordId> context;
  for (absl::string_view word : SplitWords(options.context)) {
    context.push_back(model.vocabulary().Find(word));
  }
  const bool fills_gap = model.kind() == ModelKind::kBidirectional;
  std::cout << (fills_gap ? "in" : "after") << " <s> " << options.context
            << (fills_gap ? " ___ </s>" : "") << "\n";
  for (const ScoredWord& next : FindNextWords(model, context, options.k)) {
    std::cout << absl::StreamFormat("%10.4f  %s\n", next.log_prob,
                                    model.vocabulary().word(next.word));
  }
}

absl::Status RunInspect(const InspectOptions& options) {
  const auto load = options.next_words ? LoadModelVersion : LoadVersion;
  const absl::StatusOr<ModelHandle> handle =
      load(options.model.store, options.model.model, /*map_files=*/false);
  if (!handle.ok()) return handle.status();
  if (options.next_words) {
    const AnyModel& model = (*handle)->model();
    if (model.kind() == ModelKind::kTranslation) {
      return absl::InvalidArgumentError(
          "--next: a translation model predicts words only for a given source");
    }
    if (!model.scores_texts()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--next: ", KindName(model.kind()), " does not predict words"));
    }
  }
  PrintVersion(**handle);
  if (options.next_words) PrintNextWords((*handle)->model(), options);
  return absl::OkStatus();
}

}  // namespace

void AddInspectCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<InspectOptions>();
  cli::App& command = *app.add_subcommand(
      "inspect",
      "Verify a version and print what it contains.\n"
      "  lm_trainer inspect --store store --model en --next 'the cat'");
  cli::Option* next =
      command.add_option("--next", options->context,
                         "Also print the most probable words after this text");
  command.add_option("-k", options->k, "Number of words that --next prints")
      ->check(cli::Range(1, 1'000'000))
      ->capture_default_str();
  AddSourceOptions(command, &options->model);
  command.callback([=] {
    options->next_words = next->count() > 0;
    *action = [=] { return RunInspect(*options); };
  });
}

}  // namespace lmserve
