// lm_client rerank: candidates in the order of their worth, of one list or of a
// whole n-best list.

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/command.h"
#include "client/nbest_reranker.h"
#include "client/output.h"

namespace lmserve {
namespace {

struct Options {
  std::vector<std::string> models;
  std::vector<std::string> candidates;
  std::vector<std::string> weights;
  lm::v1::Normalization normalization = lm::v1::SUM;
  double alpha = 0;
  std::optional<lm::v1::MinimumBayesRisk::Utility> utility;
  double scale = 0;
  std::string reranker;
  uint32_t best = 0;
  std::vector<std::string> reverse_models;
  std::string source;
  std::string sources;  // a file
  std::string nbest;
  bool one_best = false;
};

// Takes NAME=VALUE apart.
absl::Status AddAssignment(absl::string_view text,
                           google::protobuf::Map<std::string, double>* values) {
  const size_t equals = text.rfind('=');
  double value;
  if (equals == absl::string_view::npos || equals == 0 ||
      !absl::SimpleAtod(text.substr(equals + 1), &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected NAME=NUMBER, found '", text, "'"));
  }
  (*values)[std::string(text.substr(0, equals))] = value;
  return absl::OkStatus();
}

// What is wrong with an assignment, or nothing.
std::string CheckAssignment(const std::string& text) {
  google::protobuf::Map<std::string, double> values;
  return std::string(AddAssignment(text, &values).message());
}

// Takes "text ||| name=value name=value" apart.
absl::Status AddCandidate(absl::string_view line,
                          lm::v1::RerankRequest* request) {
  const std::vector<absl::string_view> parts = absl::StrSplit(line, "|||");
  if (parts.size() > 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "candidate ", request->candidates_size(),
        ": expected TEXT or TEXT ||| NAME=NUMBER ..., found '", line, "'"));
  }
  lm::v1::Candidate* candidate = request->add_candidates();
  const absl::string_view text = absl::StripAsciiWhitespace(parts[0]);
  candidate->mutable_text()->set_text(std::string(text));
  if (parts.size() == 1) return absl::OkStatus();
  for (absl::string_view feature :
       absl::StrSplit(parts[1], ' ', absl::SkipWhitespace())) {
    absl::Status status = AddAssignment(feature, candidate->mutable_features());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// All but the models and the candidates.
absl::StatusOr<lm::v1::RerankRequest> MakeRequest(const Options& options) {
  lm::v1::RerankRequest request;
  request.set_normalization(options.normalization);
  request.set_alpha(options.alpha);
  if (options.utility.has_value()) {
    request.mutable_minimum_bayes_risk()->set_utility(*options.utility);
    request.mutable_minimum_bayes_risk()->set_scale(options.scale);
  }
  request.set_reranker(options.reranker);
  request.set_best(options.best);
  request.mutable_reverse_models()->Add(options.reverse_models.begin(),
                                        options.reverse_models.end());
  if (!options.source.empty()) {
    request.mutable_source()->set_text(options.source);
  }
  for (const std::string& weight : options.weights) {
    absl::Status status = AddAssignment(weight, request.mutable_weights());
    if (!status.ok()) return status;
  }
  return request;
}

absl::Status AddModels(const Options& options, const Client& client,
                       lm::v1::RerankRequest* request) {
  for (const std::string& model : options.models) request->add_models(model);
  if (!options.models.empty() || !options.reverse_models.empty() ||
      !options.reranker.empty()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> model = ChooseModel(client, "");
  if (model.ok()) request->add_models(*model);
  return model.status();
}

absl::Status AddCandidates(const Options& options,
                           lm::v1::RerankRequest* request) {
  TextSource source(options.candidates);
  for (std::string line; source.Next(&line);) {
    absl::Status status = AddCandidate(line, request);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void Print(const lm::v1::RerankRequest& request,
           const lm::v1::RerankResponse& response) {
  std::vector<std::string> header = {"rank", "line", "score"};
  const bool by_utility = request.has_minimum_bayes_risk();
  if (by_utility) header.push_back("utility");
  header.insert(header.end(), response.feature_names().begin(),
                response.feature_names().end());
  header.push_back("text");
  Table table(header);
  for (int i = 0; i < response.candidates_size(); ++i) {
    const lm::v1::RankedCandidate& ranked = response.candidates(i);
    std::vector<std::string> row = {absl::StrCat(i + 1),
                                    absl::StrCat(ranked.index() + 1),
                                    Decimal(ranked.score())};
    if (by_utility) row.push_back(Decimal(ranked.expected_utility()));
    for (double feature : ranked.features()) row.push_back(Decimal(feature));
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
    std::cout << json.dump() << "\n";
  }
}

// A line on a terminal that tells how far a list was read.
class ProgressLine {
 public:
  // bytes: of the input, 0 where nobody knows.
  explicit ProgressLine(uint64_t bytes) : bytes_(bytes) {}

  void Update(const NbestReranker::Progress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(200)) return;
    last_ = now;
    Print(progress, "");
  }

  void Finish(const NbestReranker::Progress& progress) const {
    if (shown_) Print(progress, "\n");
  }

 private:
  void Print(const NbestReranker::Progress& progress, const char* end) const {
    std::cerr << "\r";
    if (bytes_ > 0) std::cerr << progress.bytes * 100 / bytes_ << " %, ";
    std::cerr << progress.lists << " lists, " << progress.candidates
              << " candidates" << end << std::flush;
  }

  const uint64_t bytes_;
  const bool shown_ = isatty(STDERR_FILENO) != 0;
  std::chrono::steady_clock::time_point last_;
};

// Of a file that has a size; else 0.
uint64_t FileSize(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

// The lines of the file of sources; none, where there is none.
absl::StatusOr<std::vector<std::string>> ReadSources(const Options& options) {
  std::vector<std::string> sources;
  if (options.sources.empty()) return sources;
  std::ifstream file(options.sources, std::ios::binary);
  if (!file.is_open()) {
    return absl::NotFoundError(
        absl::StrCat("--sources: cannot read '", options.sources, "'"));
  }
  for (std::string line; std::getline(file, line);) sources.push_back(line);
  return sources;
}

absl::Status RunNbest(const Options& options, const Client& client,
                      const lm::v1::RerankRequest& request) {
  std::ifstream file;
  if (options.nbest != "-") {
    file.open(options.nbest, std::ios::binary);
    if (!file.is_open()) {
      return absl::NotFoundError(
          absl::StrCat("--nbest: cannot read '", options.nbest, "'"));
    }
  }
  absl::StatusOr<std::vector<std::string>> sources = ReadSources(options);
  if (!sources.ok()) return sources.status();
  NbestReranker reranker(
      client, request,
      {.one_best = options.one_best, .sources = *std::move(sources)});
  ProgressLine line(FileSize(options.nbest));
  NbestReranker::Progress last;
  absl::Status status =
      reranker.Run(options.nbest == "-" ? std::cin : file, std::cout,
                   [&](const NbestReranker::Progress& progress) {
                     last = progress;
                     line.Update(progress);
                   });
  line.Finish(last);
  std::cout.flush();
  return status;
}

absl::Status RunOneList(const CommonOptions& common, const Client& client,
                        const lm::v1::RerankRequest& request) {
  const auto response = client.Rerank(request);
  if (!response.ok()) return response.status();
  common.json ? PrintJson(request, *response) : Print(request, *response);
  return absl::OkStatus();
}

absl::StatusOr<bool> Run(const Options& options, const CommonOptions& common) {
  const bool one_list = options.nbest.empty();
  absl::StatusOr<lm::v1::RerankRequest> request = MakeRequest(options);
  if (!request.ok()) return request.status();
  absl::Status status;
  if (one_list) status = AddCandidates(options, &*request);
  if (!status.ok()) return status;
  const Client client(common.client);
  status = AddModels(options, client, &*request);
  if (status.ok()) {
    status = one_list ? RunOneList(common, client, *request)
                      : RunNbest(options, client, *request);
  }
  if (!status.ok()) return status;
  return true;
}

}  // namespace

void AddRerankCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "rerank",
      "Order the candidates of one list by models and features of their own.\n"
      "  lm_client rerank --model en 'i has' 'i have' 'me have'\n"
      "  lm_client rerank --model en --weights en=0.5,tm=1 < candidates.txt\n"
      "where a line is a text, or: text ||| tm=-3.2 length=4\n"
      "Or give the candidates of many lists features of models, or take the "
      "best of each:\n"
      "  lm_client rerank --model en --nbest dev.nbest > dev.scored.nbest\n"
      "  lm_client rerank --model en --nbest dev.nbest --one-best "
      "--weights 'en=0.5,tm[0]=1'\n"
      "  lm_client rerank --reranker mt --nbest dev.nbest --one-best");
  CLI::Option* candidates =
      command.add_option("candidate", options->candidates,
                         "Candidates; none: the lines of the standard input");
  CLI::Option* nbest =
      command
          .add_option("--nbest", options->nbest,
                      "An n-best list as Moses or Marian write it, or - for "
                      "the standard input: print it with the models' features "
                      "NAME, NAME.unknown, NAME.words and NAME.end "
                      "appended")
          ->excludes(candidates);
  command
      .add_option("--source", options->source,
                  "What the candidates translate, for translation models")
      ->excludes(nbest);
  command
      .add_option("--sources", options->sources,
                  "File of what the candidates of --nbest translate: line N, "
                  "from 0, of those with the id N")
      ->needs(nbest);
  CLI::Option* reverse_models =
      command
          .add_option(
              "--reverse-model", options->reverse_models,
              "Translation model from the candidates' language into the "
              "source's; may be given several times")
          ->allow_extra_args(false);
  command
      .add_flag("--one-best", options->one_best,
                "Print the best text of each list instead")
      ->needs(nbest);
  CLI::Option* models =
      command
          .add_option("--model", options->models,
                      "Models whose scores to take; may be given several times")
          ->allow_extra_args(false);
  CLI::Option* weights =
      command
          .add_option("--weights", options->weights,
                      "Weights of the features, NAME=NUMBER parted by commas; "
                      "without any, the models' scores count alone")
          ->check(CheckAssignment)
          ->delimiter(',')
          ->allow_extra_args(false);
  const std::map<std::string, lm::v1::Normalization> normalizations = {
      {"sum", lm::v1::SUM}, {"mean", lm::v1::MEAN}, {"power", lm::v1::POWER}};
  CLI::Option* normalization =
      command
          .add_option("--normalization", options->normalization,
                      "Divide ln P by nothing (sum), the words (mean), or the "
                      "words to the power of alpha (power)")
          ->transform(CLI::CheckedTransformer(normalizations, CLI::ignore_case))
          ->default_str("sum");
  CLI::Option* alpha =
      command.add_option("--alpha", options->alpha, "Of --normalization power")
          ->check(CLI::Range(0.0, 100.0));
  const std::map<std::string, lm::v1::MinimumBayesRisk::Utility> utilities = {
      {"bleu", lm::v1::MinimumBayesRisk::BLEU},
      {"chrf", lm::v1::MinimumBayesRisk::CHRF}};
  CLI::Option* risk =
      command
          .add_option("--minimum-bayes-risk", options->utility,
                      "Order by how like the others a candidate is, in bleu or "
                      "chrf, each counted by exp(scale score)")
          ->transform(CLI::CheckedTransformer(utilities, CLI::ignore_case));
  command.add_option("--scale", options->scale, "Of --minimum-bayes-risk")
      ->check(CLI::PositiveNumber)
      ->default_str("1")
      ->needs(risk);
  CLI::Option* reranker = command.add_option(
      "--reranker", options->reranker,
      "Reranker of the server's store, which has models, weights and all");
  for (CLI::Option* option :
       {models, reverse_models, weights, normalization, alpha, risk}) {
    reranker->excludes(option);
  }
  command.add_option("--best", options->best, "How many to print; 0 for all")
      ->excludes(nbest)
      ->capture_default_str();
  command.callback([=] {
    *work = [=](const CommonOptions& common) { return Run(*options, common); };
  });
}

}  // namespace lmserve
