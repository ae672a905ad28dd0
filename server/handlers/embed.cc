// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/embed.h"

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "models/sentence_encoder.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"

namespace lmserve {
namespace {

absl::StatusOr<Pooling> FromMessage(int pooling) {
  switch (pooling) {
    case lm::v1::POOLING_MAX:
      return Pooling::kMax;
    case lm::v1::POOLING_UNSPECIFIED:
    case lm::v1::POOLING_MEAN:
      return Pooling::kMean;
    case lm::v1::POOLING_LAST:
      return Pooling::kLast;
    default:
      return InvalidField(
          "pooling",
          absl::StrCat("expected POOLING_MAX, POOLING_MEAN or POOLING_LAST, "
                       "found ",
                       pooling));
  }
}

}  // namespace

Task<absl::Status> HandleEmbed(const ServingContext& serving, Call& call,
                               const lm::v1::EmbedRequest& request,
                               lm::v1::EmbedResponse* response) {
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  const LoadedVersion& loaded = **handle;
  const SentenceEncoder* encoder = loaded.model().sentence_encoder();
  if (encoder == nullptr) {
    co_return FamilyCannotDo("model", loaded, "embed texts",
                             "recurrent, bidirectional and translation models, "
                             "taggers and classifiers");
  }
  const absl::StatusOr<Pooling> pooling = FromMessage(request.pooling());
  if (!pooling.ok()) co_return pooling.status();
  EncodedTexts texts(encoder->sentence_vocabulary(), serving.limits);
  absl::Status status = texts.AddAll(request.texts(), "texts");
  if (!status.ok()) co_return status;
  const uint64_t values = uint64_t{texts.size()} * encoder->dimensions();
  status = CheckLimit("values: texts times dimensions", values,
                      serving.limits.embedded_values);
  if (!status.ok()) co_return status;
  Budget::Reservation answer(serving.budgets.answer_bytes);
  status = answer.Resize(
      "answer bytes",
      sizeof(float) * values +
          (kReplyMessageBytes + sizeof(SentenceEncoder::Sentence)) *
              texts.size());
  if (!status.ok()) co_return status;

  // The model writes into the answer.
  SetModelVersion(loaded, response->mutable_model());
  std::vector<SentenceEncoder::Sentence> sentences;
  sentences.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    lm::v1::Embedding& embedding = *response->add_embeddings();
    embedding.set_word_count(texts.words(i).size());
    embedding.set_unknown_count(texts.CountUnknown(i));
    auto& vector = *embedding.mutable_values();
    vector.Resize(static_cast<int>(encoder->dimensions()), 0);
    sentences.push_back(
        {texts.words(i),
         absl::MakeSpan(vector.mutable_data(), encoder->dimensions())});
  }
  const ModelWork work = {
      .model = loaded, .encoded = sentences, .pooling = *pooling};
  status = co_await serving.batcher.Run(call, work);
  if (!status.ok()) co_return status;
  if (request.normalize()) {
    for (const SentenceEncoder::Sentence& sentence : sentences) {
      ScaleToNormOne(sentence.vector);
    }
  }
  co_return absl::OkStatus();
}

}  // namespace lmserve
