// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/classify.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/classifier_model.h"
#include "server/call/status.h"
#include "server/handlers/best_labels.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"

namespace lmserve {
namespace {

// Classifies texts [begin, end) as one batch and adds their labels.
Task<absl::Status> ClassifyPart(const ServingContext& serving, Call& call,
                                const LoadedVersion& loaded,
                                const EncodedTexts& texts, size_t begin,
                                size_t end, size_t best,
                                lm::v1::ClassifyResponse* response) {
  const ClassifierModel& model = *loaded.model().classifier();
  const absl::Span<const std::string> labels = model.labels();
  std::vector<float> log_probs((end - begin) * labels.size());
  std::vector<ClassifierModel::Sentence> sentences;
  for (size_t i = begin; i < end; ++i) {
    sentences.push_back(
        {texts.words(i), absl::MakeSpan(log_probs).subspan(
                             (i - begin) * labels.size(), labels.size())});
  }
  const ModelWork work = {.model = loaded, .classified = sentences};
  absl::Status status = co_await serving.batcher.Run(call, work);
  if (!status.ok()) co_return status;
  for (size_t i = begin; i < end; ++i) {
    lm::v1::ClassifiedText* text = response->add_texts();
    text->set_word_count(texts.words(i).size());
    text->set_unknown_count(texts.CountUnknown(i));
    AddBestLabels(labels, sentences[i - begin].log_probs, best, text);
  }
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::Status> HandleClassify(const ServingContext& serving, Call& call,
                                  const lm::v1::ClassifyRequest& request,
                                  lm::v1::ClassifyResponse* response) {
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  const LoadedVersion& loaded = **handle;
  const ClassifierModel* model = loaded.model().classifier();
  if (model == nullptr) co_return CannotDo("model", loaded, "classify texts");
  EncodedTexts texts(model->vocabulary(), serving.limits);
  absl::Status status = texts.AddAll(request.texts(), "texts");
  if (!status.ok()) co_return status;
  const uint64_t all = model->labels().size();
  const uint64_t best =
      request.best() == 0 ? all : std::min<uint64_t>(request.best(), all);
  status = CheckLimit("best times texts", best * texts.size(),
                      serving.limits.predictions);
  if (!status.ok()) co_return status;
  // All parts are in the answer, and one of them is in memory beside it.
  const uint64_t most_texts =
      std::min(texts.size(), serving.batcher.batch_words());
  Budget::Reservation answer(serving.budgets.answer_bytes);
  status = answer.Resize(
      "answer bytes", texts.size() * (kReplyMessageBytes +
                                      best * MostLabelBytes(model->labels())) +
                          most_texts * (sizeof(ClassifierModel::Sentence) +
                                        all * sizeof(float)));
  if (!status.ok()) co_return status;
  SetModelVersion(loaded, response->mutable_model());
  for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
    end = texts.EndOfPart(begin, serving.batcher.batch_words());
    status = co_await ClassifyPart(serving, call, loaded, texts, begin, end,
                                   best, response);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

}  // namespace lmserve
