// SPDX-License-Identifier: Apache-2.0
//
// lm_client rerank: orders the candidates of one list, or of each list of an
// n-best file.

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/nbest_files.h"
#include "client/output.h"
#include "client/rerank_request.h"
#include "client/text_source.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

struct RerankCommandOptions {
  RerankOptions request;
  std::vector<std::string> candidates;
  NbestFiles files;  // without --nbest: the candidates are one list
};

// Adds the server's only model if the options name neither models nor a
// reranker.
absl::Status AddDefaultModel(const RerankOptions& options, const Client& client,
                             lm::v1::RerankRequest* request) {
  if (!options.models.empty() || !options.reverse_models.empty() ||
      !options.reranker.empty()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> model = ChooseModel(client, "");
  if (model.ok()) request->add_models(*model);
  return model.status();
}

absl::Status AddCandidates(const RerankCommandOptions& options,
                           lm::v1::RerankRequest* request) {
  TextSource source(options.candidates);
  for (std::string line; source.NextNotBlank(&line);) {
    absl::Status status = FindInvalidUtf8(line) == std::string::npos
                              ? AddCandidate(line, request)
                              : absl::InvalidArgumentError("invalid UTF-8");
    if (!status.ok()) {
      return absl::Status(
          status.code(),
          absl::StrCat(source.Name(source.number()), ": ", status.message()));
    }
  }
  return source.status();
}

void Print(const lm::v1::RerankRequest& request,
           const lm::v1::RerankResponse& response) {
  std::vector<std::string> header = {"rank", "line", "score"};
  const bool by_utility = request.has_minimum_bayes_risk();
  if (by_utility) header.push_back("utility");
  header.insert(header.end(), response.feature_names().begin(),
                response.feature_names().end());
  header.push_back("text");
  TextTable table(header);
  for (int i = 0; i < response.candidates_size(); ++i) {
    const lm::v1::RankedCandidate& ranked = response.candidates(i);
    std::vector<std::string> row = {absl::StrCat(i + 1),
                                    absl::StrCat(ranked.index() + 1),
                                    FormatDecimal(ranked.score())};
    if (by_utility) row.push_back(FormatDecimal(ranked.expected_utility()));
    for (double feature : ranked.features()) {
      row.push_back(FormatDecimal(feature));
    }
    row.push_back(request.candidates(ranked.index()).text().text());
    table.Add(row);
  }
  std::cout << table.ToString();
}

void PrintJson(const lm::v1::RerankRequest& request,
               const lm::v1::RerankResponse& response) {
  for (const lm::v1::RankedCandidate& ranked : response.candidates()) {
    nlohmann::ordered_json features;
    for (int i = 0; i < ranked.features_size(); ++i) {
      features[response.feature_names(i)] = JsonNumber(ranked.features(i));
    }
    nlohmann::ordered_json json = {{"index", ranked.index()},
                                   {"score", JsonNumber(ranked.score())}};
    if (request.has_minimum_bayes_risk()) {
      json["expected_utility"] = ranked.expected_utility();
    }
    json["features"] = features;
    json["text"] = request.candidates(ranked.index()).text().text();
    std::cout << DumpJson(json) << "\n";
  }
}

absl::Status RerankOneList(const CommonOptions& common, const Client& client,
                           const lm::v1::RerankRequest& request) {
  const auto response = client.Rerank(request);
  if (!response.ok()) return response.status();
  common.json ? PrintJson(request, *response) : Print(request, *response);
  return absl::OkStatus();
}

absl::StatusOr<bool> RunRerank(const RerankCommandOptions& options,
                               const CommonOptions& common) {
  const bool is_one_list = options.files.nbest.empty();
  if (!is_one_list && common.json) {
    return absl::InvalidArgumentError(
        "--json: applies to the candidates of one list, found --nbest");
  }
  NoteIfFile(options.candidates, "--nbest FILE, or < FILE for one list");
  absl::StatusOr<lm::v1::RerankRequest> request =
      MakeRerankRequest(options.request);
  if (!request.ok()) return request.status();
  absl::Status status;
  if (is_one_list) status = AddCandidates(options, &*request);
  if (!status.ok()) return status;
  const Client client(common.client);
  status = AddDefaultModel(options.request, client, &*request);
  if (status.ok()) {
    status = is_one_list ? RerankOneList(common, client, *request)
                         : RerankNbestFile(client, *request, options.files);
  }
  if (!status.ok()) return status;
  return true;
}

// Adds the options that say what to rerank. Returns --nbest.
cli::Option* AddCandidateOptions(cli::App& command,
                                 RerankCommandOptions* options) {
  cli::Option* candidates =
      command.add_option("candidate", options->candidates,
                         "Candidates of one list [the lines of standard "
                         "input]");
  cli::Option* nbest =
      command
          .add_option("--nbest", options->files.nbest,
                      "File with n-best lists in the format of Moses or "
                      "Marian, or - for standard input; prints it with the "
                      "features NAME, NAME.unknown, NAME.words and NAME.end of "
                      "each model NAME appended, in place of features of the "
                      "same names")
          ->excludes(candidates);
  command
      .add_flag("--one-best", options->files.one_best,
                "Print only the best text of each list of --nbest")
      ->needs(nbest);
  command
      .add_option("--source", options->request.source,
                  "The source text that the candidates translate; for "
                  "translation models")
      ->excludes(nbest);
  cli::Option* sources =
      command
          .add_option("--sources", options->files.sources,
                      "File with the source texts of --nbest, one per line; "
                      "the first line belongs to the list with id 0 or "
                      "--first-id")
          ->needs(nbest);
  command
      .add_option("--first-id", options->files.first_id,
                  "Id of the list that the first line of --sources belongs to; "
                  "required if the first list has another id than 0")
      ->needs(sources);
  return nbest;
}

// Adds the options that say how to score the candidates.
void AddScoringOptions(cli::App& command, RerankOptions* options) {
  cli::Option* models =
      command
          .add_option("--model", options->models,
                      "Model that scores the candidates; may be repeated")
          ->allow_extra_args(false);
  cli::Option* reverse_models =
      command
          .add_option("--reverse-model", options->reverse_models,
                      "Translation model from the language of the candidates "
                      "into the language of the source; may be repeated")
          ->allow_extra_args(false);
  cli::Option* weights =
      command
          .add_option("--weights", options->weights,
                      "Weights of the features, NAME=NUMBER separated by "
                      "commas or spaces; a feature that is not named has "
                      "weight 0 [the log-probability of each model: 1]")
          ->check(CheckWeights)
          ->allow_extra_args(false);
  cli::Option* normalization =
      command
          .add_enum<lm::v1::Normalization>(
              "--normalization", options->normalization,
              {{"sum", lm::v1::NORMALIZATION_SUM},
               {"mean", lm::v1::NORMALIZATION_MEAN},
               {"power", lm::v1::NORMALIZATION_POWER}},
              "Divide the log-probability of n words by 1 (sum), n (mean) or "
              "n^ALPHA (power)")
          ->default_str("sum");
  cli::Option* alpha =
      command
          .add_option("--alpha", options->alpha,
                      "The exponent of --normalization power [1]")
          ->check(cli::Range(0.0, 100.0));
  cli::Option* risk = command.add_enum<lm::v1::MinimumBayesRisk::Utility>(
      "--minimum-bayes-risk", options->utility,
      {{"bleu", lm::v1::MinimumBayesRisk::UTILITY_BLEU},
       {"chrf", lm::v1::MinimumBayesRisk::UTILITY_CHRF}},
      "Rank candidates by their similarity to all candidates, in bleu or chrf, "
      "where a candidate of score s has the weight exp(SCALE * s)");
  command
      .add_option("--scale", options->scale,
                  "The scale of --minimum-bayes-risk")
      ->check(cli::PositiveNumber())
      ->default_str("1")
      ->needs(risk);
  cli::Option* reranker = command.add_option(
      "--reranker", options->reranker,
      "Reranker of the server's model store; replaces all options that choose "
      "models and weights");
  for (cli::Option* option :
       {models, reverse_models, weights, normalization, alpha, risk}) {
    reranker->excludes(option);
  }
}

}  // namespace

void AddRerankCommand(cli::App& app, CommandFunction* run) {
  auto options = std::make_shared<RerankCommandOptions>();
  cli::App& command = *app.add_subcommand(
      "rerank",
      "Order the candidates of one list by the scores of models and by their "
      "own features.\n"
      "  lm_client rerank --model en 'i has' 'i have' 'me have'\n"
      "  lm_client rerank --model en --weights en=0.5,tm=1 < candidates.txt\n"
      "A line of candidates.txt is a text, or: text ||| tm=-3.2 length=4\n"
      "With --nbest, append the models' features to n-best lists, or print the "
      "best text of each list:\n"
      "  lm_client rerank --model en --nbest dev.nbest > dev.scored.nbest\n"
      "  lm_client rerank --model en --nbest dev.nbest --one-best "
      "--weights 'en=0.5,tm[0]=1'\n"
      "  lm_client rerank --reranker mt --nbest dev.nbest --one-best");
  cli::Option* nbest = AddCandidateOptions(command, options.get());
  AddScoringOptions(command, &options->request);
  command
      .add_option("--best", options->request.best,
                  "Number of candidates to print; 0 for all")
      ->excludes(nbest)
      ->capture_default_str();
  command.parse_complete_callback([=] {
    const bool appends =
        !options->files.nbest.empty() && !options->files.one_best;
    const char* order = !options->request.weights.empty() ? "--weights"
                        : options->request.utility.has_value()
                            ? "--minimum-bayes-risk"
                            : nullptr;
    if (appends && order != nullptr) {
      throw cli::ValidationError(
          order, "has an effect on --nbest only with --one-best");
    }
  });
  command.callback([=] {
    *run = [=](const CommonOptions& common) {
      return RunRerank(*options, common);
    };
  });
}

}  // namespace lmserve
