// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the RPCs of the server, from the buffer that gRPC passes in to the one
// that it gets back. Every answer must be an error that blames the client, or
// must have the properties that the API promises.

#include <grpcpp/support/slice.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_name.h"
#include "server/handlers/classify.h"
#include "server/handlers/embed.h"
#include "server/handlers/generation.h"
#include "server/handlers/inspect.h"
#include "server/handlers/model_management.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "server/handlers/tag.h"
#include "server/rpc/unary.h"
#include "tests/fuzz/client_error.h"
#include "tests/fuzz/fuzz_models.h"
#include "tests/fuzz/request_input.h"
#include "tests/server/handlers/test_serving_context.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

// Low enough that inputs exceed them.
constexpr Limits kLimits = {.words_per_text = 50,
                            .words = 200,
                            .texts = 20,
                            .models = 4,
                            .features = 8,
                            .bytes_compared = 20'000,
                            .predictions = 500,
                            .generated_words = 100,
                            .stop_words = 4,
                            .beam = 8};

const TestServing& FuzzServing() {
  static const TestServing serving(FuzzStore(), kLimits);
  return serving;
}

// Returns whether a number is finite or -infinity.
bool IsLogProb(double log_prob) {
  return log_prob < std::numeric_limits<double>::infinity();
}

template <typename List>
bool AreLogProbs(const List& list) {
  return std::all_of(list.begin(), list.end(), IsLogProb);
}

void Check(const lm::v1::ScoreRequest& request,
           const lm::v1::ScoreResponse& response) {
  Require(response.scores_size() == request.texts_size(),
          "every text has a score");
  const bool has_end = !request.has_include_end() || request.include_end();
  for (const lm::v1::TextScore& score : response.scores()) {
    if (score.has_failed()) {
      Require(request.keep_going() && score.word_count() == 0 &&
                  !score.has_words() && score.failed().code() == 3 &&
                  !score.failed().message().empty(),
              "a text fails alone only if the request allows it");
      continue;
    }
    Require((score.word_count() > 0 || !has_end) &&
                score.unknown_count() <= score.word_count(),
            "a text has a valid number of words");
    Require(IsLogProb(score.log_prob()) && IsLogProb(score.known_log_prob()) &&
                score.perplexity() >= 0 && score.known_perplexity() >= 0,
            "a score is a number");
    Require(
        score.has_words() == (request.per_word() || request.ngram_lengths() ||
                              request.ranks() || request.alternatives() > 0),
        "word scores are present if requested");
    if (!score.has_words()) continue;
    const lm::v1::WordScores& words = score.words();
    const int count = static_cast<int>(score.word_count());
    Require(words.words_size() == count && words.log_probs_size() == count &&
                words.unknown_size() == count,
            "word scores are parallel arrays");
    Require(words.ngram_lengths_size() == (request.ngram_lengths() ? count : 0),
            "every word has the length of an n-gram if requested");
    Require(AreLogProbs(words.log_probs()), "every word has a log-probability");
    Require(std::count(words.unknown().begin(), words.unknown().end(), true) ==
                score.unknown_count(),
            "the number of unknown words is right");
  }
}

void Check(const lm::v1::InspectRequest& request,
           const lm::v1::InspectResponse& response) {
  Require(request.layers().empty() ||
              response.layers_size() == request.layers_size(),
          "every selected layer is returned");
  for (const lm::v1::InspectedLayer& layer : response.layers()) {
    const int words = layer.reads_source() ? response.source_words_size()
                                           : response.words_size();
    Require(layer.values_size() ==
                words * layer.units_size() * layer.quantities_size(),
            "a layer has a value for each word, unit and quantity");
    Require(std::all_of(layer.values().begin(), layer.values().end(),
                        [](float value) { return std::isfinite(value); }),
            "gates and states are numbers");
    Require(
        std::all_of(layer.units().begin(), layer.units().end(),
                    [&](uint32_t unit) { return unit < layer.unit_count(); }),
        "the layer has the units");
  }
  Require(response.attention().empty() ||
              (request.attention() &&
               response.attention_size() ==
                   response.words_size() * response.source_words_size()),
          "attention is returned if requested, to each word of the source");
}

void Check(const lm::v1::EmbedRequest& request,
           const lm::v1::EmbedResponse& response) {
  Require(response.embeddings_size() == request.texts_size(),
          "every text has a vector");
  const int dimensions = response.embeddings(0).values_size();
  for (const lm::v1::Embedding& embedding : response.embeddings()) {
    Require(dimensions > 0 && embedding.values_size() == dimensions,
            "all vectors have the same length");
    Require(embedding.unknown_count() <= embedding.word_count(),
            "a text has a valid number of words");
    double squares = 0;
    for (float value : embedding.values()) squares += double{value} * value;
    Require(std::isfinite(squares), "vectors are numbers");
    Require(
        !request.normalize() || squares == 0 || std::abs(squares - 1) < 1e-5,
        "a vector has the length 1 if requested");
  }
}

// Requires that labels are sorted and distinct, and that there are at most k.
template <typename Labels>
void CheckLabels(const Labels& scores, uint32_t k) {
  Require(scores.labels_size() == scores.log_probs_size() &&
              scores.labels_size() > 0,
          "labels and log-probabilities are parallel arrays");
  Require(static_cast<uint32_t>(scores.labels_size()) <= k,
          "there are no more labels than requested");
  Require(AreLogProbs(scores.log_probs()) &&
              std::is_sorted(scores.log_probs().begin(),
                             scores.log_probs().end(), std::greater<>()),
          "labels are sorted");
  const std::set<std::string> distinct(scores.labels().begin(),
                                       scores.labels().end());
  Require(distinct.size() == scores.labels_size() * size_t{1},
          "no label comes twice");
}

void Check(const lm::v1::TagRequest& request,
           const lm::v1::TagResponse& response) {
  Require(response.sentences_size() == request.sentences_size(),
          "every sentence is tagged");
  for (const lm::v1::TaggedSentence& sentence : response.sentences()) {
    const int words = sentence.words_size();
    const int expected = request.alternatives() > 0 ? words : 0;
    Require(sentence.labels_size() == words &&
                sentence.unknown_size() == words &&
                sentence.log_probs_size() == expected &&
                sentence.alternatives_size() == expected,
            "a sentence consists of parallel arrays");
    Require(AreLogProbs(sentence.log_probs()),
            "every label has a log-probability if requested");
    for (const lm::v1::LabelScores& labels : sentence.alternatives()) {
      CheckLabels(labels, request.alternatives());
    }
  }
}

void Check(const lm::v1::ClassifyRequest& request,
           const lm::v1::ClassifyResponse& response) {
  Require(response.texts_size() == request.texts_size(),
          "every text is classified");
  for (const lm::v1::ClassifiedText& text : response.texts()) {
    CheckLabels(text, request.best() == 0 ? ~uint32_t{0} : request.best());
    Require(text.unknown_count() <= text.word_count(),
            "a text has a valid number of words");
  }
}

void Check(const lm::v1::PredictRequest& request,
           const lm::v1::PredictResponse& response) {
  Require(response.predictions_size() == request.contexts_size(),
          "every context has a prediction");
  const uint32_t k = request.k() == 0 ? 10 : request.k();
  const bool may_be_unknown =
      !request.has_include_unknown() || request.include_unknown();
  for (const lm::v1::NextWords& next : response.predictions()) {
    const int count = next.ids_size();
    Require(next.words_size() == count && next.log_probs_size() == count,
            "a prediction consists of parallel arrays");
    Require(AreLogProbs(next.log_probs()),
            "a prediction contains log-probabilities");
    if (request.words_size() > 0) {
      Require(count == request.words_size(), "every given word is rated");
      continue;
    }
    Require(static_cast<uint32_t>(count) <= k,
            "there are no more words than requested");
    Require(std::is_sorted(next.log_probs().begin(), next.log_probs().end(),
                           std::greater<>()),
            "predictions are sorted");
    Require(std::all_of(next.words().begin(), next.words().end(),
                        [&](const std::string& word) {
                          return absl::StartsWith(word, request.prefix());
                        }),
            "predicted words have the prefix");
    const std::set<uint32_t> ids(next.ids().begin(), next.ids().end());
    Require(ids.size() == next.words_size() * size_t{1},
            "no word is predicted twice");
    Require(std::count(next.words().begin(), next.words().end(),
                       may_be_unknown ? "<s>" : "<unk>") == 0,
            "an excluded word is not predicted");
  }
}

void Check(const lm::v1::RerankRequest& request,
           const lm::v1::RerankResponse& response) {
  const int all = request.candidates_size();
  const int best = request.best() == 0 || request.best() > uint32_t(all)
                       ? all
                       : static_cast<int>(request.best());
  Require(response.candidates_size() == best,
          "as many candidates as requested are returned");
  const bool named = !request.reranker().empty();
  Require(named == response.has_reranker(),
          "the version of a reranker is returned");
  const int models = named ? 2 : request.models_size();
  const int reverse_models = named ? 1 : request.reverse_models_size();
  Require(response.models_size() == models + reverse_models,
          "the version of every model is returned");
  int features =
      request.candidates(0).features_size() + 4 * models + reverse_models;
  for (const auto& [member, brought] :
       {std::pair{"tiny@1", 4}, {"de-en", 4}, {"en-de", 1}}) {
    if (named && request.candidates(0).features().contains(member)) {
      features -= brought;
    }
  }
  Require(response.feature_names_size() == features &&
              response.weights_size() == features,
          "every feature has a name and a weight");
  std::set<uint32_t> seen;
  double last = std::numeric_limits<double>::infinity();
  for (const lm::v1::RankedCandidate& candidate : response.candidates()) {
    Require(candidate.index() < uint32_t(all) &&
                seen.insert(candidate.index()).second,
            "the indexes are distinct");
    const double value = named || request.has_minimum_bayes_risk()
                             ? candidate.expected_utility()
                             : candidate.score();
    Require(value <= last, "candidates are sorted");
    last = value;
    Require(candidate.features_size() == features &&
                AreLogProbs(candidate.features()),
            "every candidate has every feature");
  }
}

void Check(const lm::v1::ListModelsRequest&,
           const lm::v1::ListModelsResponse& response) {
  Require(response.models_size() == static_cast<int>(FuzzModels().size()) + 5,
          "every model is listed");
}

void Check(const lm::v1::GetModelRequest& request,
           const lm::v1::GetModelResponse& response) {
  const std::string& name = response.model().name();
  Require(request.model().substr(0, name.size()) == name,
          "the requested model is described");
}

ModelStore::Entry AdminEntry(const std::string& spec) {
  const auto entry = FuzzAdminStore().GetEntry(spec);
  RequireOk(entry.status(), "the changed version is served");
  return *entry;
}

void Check(const lm::v1::LoadModelRequest& request,
           const lm::v1::LoadModelResponse& response) {
  const lm::v1::ModelInfo& model = response.model();
  Require(model.name() == request.name() &&
              (request.version() == 0 || model.version() == request.version()),
          "the requested version is loaded");
  AdminEntry(VersionName(model.name(), model.version()));
}

// Keeps at least one version loaded, so that changes have an effect.
void Check(const lm::v1::UnloadModelRequest& request,
           const lm::v1::UnloadModelResponse& /*response*/) {
  Require(!FuzzAdminStore()
               .Get(VersionName(request.name(), request.version()))
               .ok(),
          "what was unloaded is not served");
  if (FuzzAdminStore().List().empty()) LoadAdminModel();
}

void Check(const lm::v1::SetAliasRequest& request,
           const lm::v1::SetAliasResponse& response) {
  const std::string spec = absl::StrCat(request.name(), "@", request.alias());
  if (request.version() == 0) {
    Require(!FuzzAdminStore().Get(spec).ok(), "a removed alias is not served");
    return;
  }
  Require(response.model().version() == request.version() &&
              AdminEntry(spec).handle->version() == request.version(),
          "an alias stands for the requested version");
}

// Requires that hypotheses are sorted, distinct and no longer than requested.
void CheckHypotheses(const lm::v1::GenerateRequest& request,
                     const lm::v1::GenerateResponse& response) {
  const uint32_t most = request.max_words() == 0 ? 100 : request.max_words();
  const lm::v1::BeamSearch& beam = request.beam_search();
  Require(response.hypotheses().hypotheses_size() <=
              static_cast<int>(std::max(beam.best(), 1u)),
          "there are no more hypotheses than requested");
  std::set<std::string> seen;
  bool ended = true;
  double last = std::numeric_limits<double>::infinity();
  for (const lm::v1::Hypothesis& hypothesis :
       response.hypotheses().hypotheses()) {
    const int words = hypothesis.words_size();
    Require(hypothesis.ids_size() == words &&
                hypothesis.log_probs_size() == words + hypothesis.ended(),
            "a hypothesis consists of parallel arrays");
    Require(words <= static_cast<int>(most),
            "there are no more words than requested");
    Require(std::isfinite(hypothesis.log_prob()),
            "a hypothesis has a probability above 0");
    Require(hypothesis.ended() <= ended, "hypotheses that ended come first");
    if (ended && !hypothesis.ended()) {
      ended = false;
      last = std::numeric_limits<double>::infinity();
    }
    Require(hypothesis.score() <= last, "hypotheses are sorted");
    last = hypothesis.score();
    Require(seen.insert(absl::StrJoin(hypothesis.words(), " ") +
                        (hypothesis.ended() ? "" : " ..."))
                .second,
            "no hypothesis comes twice");
  }
}

// Requires that a generation sends at most max_words words and then the end, or
// only the hypotheses.
void CheckGeneration(const lm::v1::GenerateRequest& request) {
  Call call;
  auto generation = Generation::Start(*FuzzServing(), call, request);
  if (!generation.ok()) return RequireClientError(generation.status());
  const uint32_t most = request.max_words() == 0 ? 100 : request.max_words();
  uint32_t words = 0;
  lm::v1::GenerateResponse response;
  if (request.has_beam_search()) {
    Require(Wait((*generation)->Next(&response)).value(), "a search answers");
    CheckHypotheses(request, response);
    Require(!Wait((*generation)->Next(&response)).value(),
            "nothing comes after the hypotheses");
    return;
  }
  while (Wait((*generation)->Next(&response)).value()) {
    grpc::ByteBuffer bytes;
    SerializeMessage(response, &bytes);
    if (response.has_end()) break;
    const std::string& word = response.word().word();
    Require(++words <= most, "there are no more words than requested");
    Require(std::isfinite(response.word().log_prob()),
            "a drawn word has a probability above 0");
    Require(!word.empty() && word != "</s>" && word != "<s>" &&
                (request.allow_unknown() || word != "<unk>"),
            "a word drawn may be drawn");
    Require(std::count(request.stop_words().begin(), request.stop_words().end(),
                       word) == 0,
            "a stop word ends the text");
    response.Clear();
  }
  Require(response.has_end() && response.end().word_count() == words &&
              std::isfinite(response.end().log_prob()),
          "the end reports the words and their sum");
  Require(!request.has_seed() || response.end().seed() == request.seed(),
          "the end reports the seed");
  Require(!Wait((*generation)->Next(&response)).value(),
          "nothing comes after the end");
}

// Generates like the server, but without a gRPC stream.
void AnswerGenerate(const grpc::ByteBuffer& in) {
  Budget budget(kLimits.all_request_bytes);
  RequestReader reader(budget);
  lm::v1::GenerateRequest request;
  const absl::Status status = ReadRequest(in, &reader, &request);
  if (!status.ok()) return RequireClientError(status);
  CheckGeneration(request);
}

// `answer` is Task<absl::Status>(const Request&, Response*).
template <typename Request, typename Response, typename Handle>
void AnswerWith(const grpc::ByteBuffer& in, const Handle& answer) {
  grpc::ByteBuffer out;
  Budget budget(kLimits.all_request_bytes);
  Exchange<Request, Response> exchange(budget);
  absl::Status status =
      ReadRequest(in, &exchange.reader(), exchange.mutable_request());
  if (status.ok()) {
    status = Wait(answer(exchange.request(), exchange.response()));
  }
  if (!status.ok()) return RequireClientError(status);
  SerializeMessage(*exchange.response(), &out);
  Request request;
  Response response;
  RequestReader reader(budget);
  RequireOk(ReadRequest(in, &reader, &request),
            "an answered request can be parsed");
  RequireOk(ReadRequest(out, &reader, &response), "an answer can be parsed");
  Check(request, response);
}

template <typename Request, typename Response>
void Answer(const grpc::ByteBuffer& in,
            Task<absl::Status> (*handler)(const ServingContext&, Call&,
                                          const Request&, Response*)) {
  Call call;
  AnswerWith<Request, Response>(
      in, [&](const Request& request, Response* response) {
        return handler(*FuzzServing(), call, request, response);
      });
}

template <typename Request, typename Response>
void Answer(const grpc::ByteBuffer& in,
            absl::Status (*handler)(const ModelStore&, Call&, const Request&,
                                    Response*)) {
  Call call;
  AnswerWith<Request, Response>(
      in,
      [&](const Request& request, Response* response) -> Task<absl::Status> {
        co_return handler(FuzzStore(), call, request, response);
      });
}

template <typename Request, typename Response>
void Answer(const grpc::ByteBuffer& in,
            Task<absl::Status> (*handler)(ModelStore*, Call&, const Request&,
                                          Response*)) {
  Call call;
  AnswerWith<Request, Response>(
      in, [&](const Request& request, Response* response) {
        return handler(&FuzzAdminStore(), call, request, response);
      });
}

// Returns a buffer like gRPC's, of one or several pieces.
grpc::ByteBuffer Buffer(absl::string_view bytes, bool in_pieces) {
  const size_t piece = in_pieces ? 7 : std::max<size_t>(bytes.size(), 1);
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < bytes.size(); i += piece) {
    const absl::string_view part = bytes.substr(i, piece);
    slices.emplace_back(part.data(), part.size());
  }
  if (slices.empty()) slices.emplace_back();
  return grpc::ByteBuffer(slices.data(), slices.size());
}

void AnswerCall(absl::string_view input) {
  if (input.empty()) return;
  const uint8_t first = input[0];
  const grpc::ByteBuffer in = Buffer(input.substr(1), first & kInPieces);
  switch (RpcOf(first)) {
    case Rpc::kScore:
      return Answer(in, HandleScore);
    case Rpc::kPredict:
      return Answer(in, HandlePredict);
    case Rpc::kRerank:
      return Answer(in, HandleRerank);
    case Rpc::kGenerate:
      return AnswerGenerate(in);
    case Rpc::kListModels:
      return Answer(in, HandleListModels);
    case Rpc::kGetModel:
      return Answer(in, HandleGetModel);
    case Rpc::kLoadModel:
      return Answer(in, HandleLoadModel);
    case Rpc::kUnloadModel:
      return Answer(in, HandleUnloadModel);
    case Rpc::kSetAlias:
      return Answer(in, HandleSetAlias);
    case Rpc::kInspect:
      return Answer(in, HandleInspect);
    case Rpc::kEmbed:
      return Answer(in, HandleEmbed);
    case Rpc::kTag:
      return Answer(in, HandleTag);
    case Rpc::kClassify:
      return Answer(in, HandleClassify);
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::AnswerCall({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates the fields of inputs that are valid requests, and sometimes bytes.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  random.discard(3);
  if (size == 0 || random() % 4 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  const auto request = lmserve::NewRequest(lmserve::RpcOf(data[0]));
  (void)request->ParseFromArray(data + 1, static_cast<int>(size) - 1);
  lmserve::MutateMessage(random, request.get());
  const std::string bytes = request->SerializeAsString();
  if (bytes.size() + 1 > max_size) return size;
  std::copy(bytes.begin(), bytes.end(), data + 1);
  return bytes.size() + 1;
}
