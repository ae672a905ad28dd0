// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer verify: checks a version as far as its family allows.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "lm/v1/manifest.pb.h"
#include "model_store/load_version.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "models/ngram/ngram_set.h"
#include "models/text.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/ngram/distribution_sums.h"
#include "trainer/ngram/table_of_model.h"

namespace lmserve {
namespace {

// The largest difference of a sum from 1, unless --tolerance is given.
constexpr double kExactTolerance = 1e-4;
constexpr double kQuantizedTolerance = 0.1;

struct VerifyOptions {
  ModelOptions model;
  std::optional<double> tolerance;
};

void PrintRow(absl::string_view name, absl::string_view value) {
  std::cout << absl::StreamFormat("%-14s %s\n", name, value);
}

std::string Spell(const Vocabulary& vocabulary,
                  absl::Span<const WordId> words) {
  return absl::StrJoin(words, " ", [&](std::string* out, WordId word) {
    absl::StrAppend(out, vocabulary.word(word));
  });
}

// Reports the sum that differs most from 1, of distributions after contexts,
// and fails if it differs by more than the tolerance.
absl::Status ReportSums(double tolerance, const Vocabulary& vocabulary,
                        const DistributionSums& sums) {
  const double error = std::abs(sums.worst - 1);
  const std::string context = Spell(vocabulary, sums.worst_context);
  PrintRow("distributions",
           absl::StrFormat("%d, sums within %.2g of 1", sums.contexts, error));
  PrintRow("worst sum",
           absl::StrFormat("%.9g after '%s'", sums.worst, context));
  if (error <= tolerance) return absl::OkStatus();
  return absl::DataLossError(absl::StrFormat(
      "the distribution after '%s': expected a sum within %g of 1 "
      "(--tolerance), found %.9g",
      context, tolerance, sums.worst));
}

// Sums the distribution after each word of the texts of the self-test.
DistributionSums SumAlong(const LanguageModel& model,
                          const lm::v1::SelfTest& self_test) {
  const Vocabulary& vocabulary = model.vocabulary();
  DistributionSums sums;
  std::vector<float> log_probs(vocabulary.size());
  std::vector<std::byte> state(model.state_size());
  for (const lm::v1::SelfTestCase& test : self_test.cases()) {
    std::vector<WordId> context;
    model.Start(state.data());
    const auto add = [&] {
      model.Distribution({state.data()}, log_probs.data());
      double sum = 0;
      for (float log_prob : log_probs) sum += std::exp(double{log_prob});
      ++sums.contexts;
      if (std::abs(sum - 1) <= std::abs(sums.worst - 1)) return;
      sums.worst = sum;
      sums.worst_context = context;
    };
    add();
    for (absl::string_view word : SplitWords(test.text())) {
      context.push_back(vocabulary.Find(word));
      model.Score({{state.data(), {&context.back(), 1}, state.data(), {}}});
      add();
    }
  }
  return sums;
}

absl::Status VerifyModel(const VerifyOptions& options,
                         const LoadedVersion& loaded) {
  lm::v1::SelfTest self_test;
  absl::Status status = FromJson(
      kSelfTestFile, loaded.files().at(std::string(kSelfTestFile)), &self_test);
  if (!status.ok()) return status;
  PrintRow("self-test", absl::StrCat(self_test.cases_size(),
                                     " texts, probabilities as published"));
  const LanguageModel* model = loaded.model().left_to_right();
  if (model == nullptr) return absl::OkStatus();
  const double tolerance = options.tolerance.value_or(
      loaded.manifest().properties().contains("quantize") ? kQuantizedTolerance
                                                          : kExactTolerance);
  const auto* ngram = dynamic_cast<const NgramSet*>(model);
  if (ngram == nullptr) {
    return ReportSums(tolerance, model->vocabulary(),
                      SumAlong(*model, self_test));
  }
  if (ngram->rule() == UnseenRule::kStupid) {
    PrintRow("distributions",
             "not checked: stupid back-off gives scores, not probabilities");
    return absl::OkStatus();
  }
  const absl::StatusOr<NgramTable> table = TableOf(*ngram);
  if (!table.ok()) {  // a floor instead of back-off weights
    return ReportSums(tolerance, model->vocabulary(),
                      SumAlong(*model, self_test));
  }
  return ReportSums(tolerance, model->vocabulary(), SumDistributions(*table));
}

absl::Status RunVerify(const VerifyOptions& options) {
  const absl::StatusOr<ModelHandle> handle =
      LoadVersion(options.model.store, options.model.model);
  if (!handle.ok()) return handle.status();
  const LoadedVersion& loaded = **handle;
  std::cout << VersionName(loaded.name(), loaded.version()) << "\n";
  PrintRow("family", loaded.manifest().family());
  PrintRow("files", absl::StrFormat("%d, %d bytes, sizes and SHA-256 correct",
                                    loaded.manifest().files_size(),
                                    loaded.file_bytes()));
  if (loaded.is_reranker()) return absl::OkStatus();
  return VerifyModel(options, loaded);
}

}  // namespace

void AddVerifyCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<VerifyOptions>();
  cli::App& command = *app.add_subcommand(
      "verify",
      "Check a version: the sizes and checksums of its files, what a server "
      "checks when it loads them, the self-test, and that distributions sum to "
      "1 - those after every context for an n-gram model with back-off "
      "weights, those along the texts of the self-test for other models that "
      "predict words.\n"
      "  lm_trainer verify --store store --model en");
  command
      .add_option("--tolerance", options->tolerance,
                  "Largest difference of a sum from 1; by default 0.0001, or "
                  "0.1 for a quantized model")
      ->check(cli::NonNegativeNumber());
  AddSourceOptions(command, &options->model);
  command.callback([=] { *action = [=] { return RunVerify(*options); }; });
}

}  // namespace lmserve
