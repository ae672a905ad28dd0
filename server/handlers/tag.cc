// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/tag.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/tagger_model.h"
#include "models/text.h"
#include "server/call/status.h"
#include "server/handlers/best_labels.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"

namespace lmserve {
namespace {

using lm::v1::TaggedSentence;
using lm::v1::TagRequest;

// Appends the words of a sentence as they are written. REQUIRES: EncodedTexts
// has accepted the sentence.
void AppendWords(const lm::v1::Text& sentence, const Vocabulary& vocabulary,
                 std::vector<absl::string_view>* words) {
  switch (sentence.form_case()) {
    case lm::v1::Text::kText:
      ForEachWord(sentence.text(),
                  [&](absl::string_view word) { words->push_back(word); });
      return;
    case lm::v1::Text::kWords:
      words->insert(words->end(), sentence.words().words().begin(),
                    sentence.words().words().end());
      return;
    case lm::v1::Text::kIds:
      for (WordId id : sentence.ids().ids()) {
        words->push_back(vocabulary.word(id));
      }
      return;
    case lm::v1::Text::FORM_NOT_SET:
      return;
  }
}

// Answers one request.
class Tagging {
 public:
  Tagging(const ServingContext& serving, Call& call,
          const LoadedVersion& loaded, const TagRequest& request)
      : serving_(serving),
        call_(call),
        loaded_(loaded),
        model_(*loaded.model().tagger()),
        request_(request),
        best_(std::min<size_t>(request.alternatives(), model_.labels().size())),
        texts_(model_.vocabulary(), serving.limits),
        answer_(serving.budgets.answer_bytes) {}

  Task<absl::Status> Answer(lm::v1::TagResponse* response) {
    absl::Status status = texts_.AddAll(request_.sentences(), "sentences");
    if (status.ok()) {
      status = CheckLimit("alternatives times words",
                          uint64_t{best_} * texts_.all_words().size(),
                          serving_.limits.predictions);
    }
    if (status.ok()) status = Reserve();
    if (!status.ok()) co_return status;
    SetModelVersion(loaded_, response->mutable_model());
    for (size_t begin = 0, end = 0; begin < texts_.size(); begin = end) {
      end = texts_.EndOfPart(begin, serving_.batcher.batch_words());
      status = co_await TagPart(begin, end, response);
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  }

 private:
  // Reserves the memory of the answer and, beside it, of one part of the work.
  absl::Status Reserve() {
    const uint64_t label_bytes = MostLabelBytes(model_.labels());
    const uint64_t alternatives_bytes =
        best_ == 0 ? 0 : kReplyMessageBytes + best_ * label_bytes;
    uint64_t bytes = texts_.size() * kReplyMessageBytes +
                     texts_.all_words().size() *
                         (kReplyWordBytes + label_bytes + alternatives_bytes);
    for (const lm::v1::Text& sentence : request_.sentences()) {
      words_.clear();
      AppendWords(sentence, model_.vocabulary(), &words_);
      for (absl::string_view word : words_) bytes += word.size();
    }
    size_t most_words = 0;
    for (size_t begin = 0, end = 0; begin < texts_.size(); begin = end) {
      end = texts_.EndOfPart(begin, serving_.batcher.batch_words());
      size_t words = 0;
      for (size_t i = begin; i < end; ++i) words += texts_.words(i).size();
      most_words = std::max(most_words, words);
    }
    bytes += most_words * (sizeof(absl::string_view) + sizeof(size_t) +
                           MatrixColumns() * sizeof(float));
    return answer_.Resize("answer bytes", bytes);
  }

  // Probabilities are computed only if they are wanted.
  size_t MatrixColumns() const {
    return best_ == 0 ? 0 : model_.labels().size();
  }

  // Tags sentences [begin, end) as one batch, and adds them.
  Task<absl::Status> TagPart(size_t begin, size_t end,
                             lm::v1::TagResponse* response) {
    words_.clear();
    for (size_t i = begin; i < end; ++i) {
      AppendWords(request_.sentences(static_cast<int>(i)), model_.vocabulary(),
                  &words_);
    }
    labels_.assign(words_.size(), 0);
    log_probs_.assign(words_.size() * MatrixColumns(), 0);
    std::vector<TaggerModel::Sentence> sentences;
    for (size_t i = begin, word = 0; i < end; ++i) {
      const size_t count = texts_.words(i).size();
      if (count > 0) sentences.push_back(SentenceAt(word, count));
      word += count;
    }
    if (!sentences.empty()) {
      const ModelWork work = {.model = loaded_, .tagged = sentences};
      absl::Status status = co_await serving_.batcher.Run(call_, work);
      if (!status.ok()) co_return status;
    }
    for (size_t i = begin, word = 0; i < end; ++i) {
      AddSentence(SentenceAt(word, texts_.words(i).size()), texts_.words(i),
                  response->add_sentences());
      word += texts_.words(i).size();
    }
    co_return absl::OkStatus();
  }

  // The sentence of the part that begins at a word of it.
  TaggerModel::Sentence SentenceAt(size_t word, size_t count) {
    const size_t columns = MatrixColumns();
    return {
        absl::MakeConstSpan(words_).subspan(word, count),
        absl::MakeSpan(labels_).subspan(word, count),
        absl::MakeSpan(log_probs_).subspan(word * columns, count * columns)};
  }

  void AddSentence(const TaggerModel::Sentence& sentence,
                   absl::Span<const WordId> ids,
                   TaggedSentence* message) const {
    const absl::Span<const std::string> labels = model_.labels();
    for (size_t i = 0; i < ids.size(); ++i) {
      const size_t label = sentence.labels[i];
      message->add_words(sentence.words[i].data(), sentence.words[i].size());
      message->add_labels(labels[label]);
      message->add_unknown(ids[i] == model_.vocabulary().unknown());
      if (best_ == 0) continue;
      const absl::Span<const float> row =
          sentence.log_probs.subspan(i * labels.size(), labels.size());
      message->add_log_probs(row[label]);
      AddBestLabels(labels, row, best_, message->add_alternatives());
    }
  }

  const ServingContext& serving_;
  Call& call_;
  const LoadedVersion& loaded_;
  const TaggerModel& model_;
  const TagRequest& request_;
  const size_t best_;  // labels of each word
  EncodedTexts texts_;
  Budget::Reservation answer_;
  // Of the part that is being tagged. The last is a matrix (words, labels), or
  // empty.
  std::vector<absl::string_view> words_;
  std::vector<size_t> labels_;
  std::vector<float> log_probs_;
};

}  // namespace

Task<absl::Status> HandleTag(const ServingContext& serving, Call& call,
                             const TagRequest& request,
                             lm::v1::TagResponse* response) {
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  if ((*handle)->model().kind() != ModelKind::kTagger) {
    co_return CannotDo("model", **handle, "tag sentences");
  }
  Tagging tagging(serving, call, **handle, request);
  co_return co_await tagging.Answer(response);
}

}  // namespace lmserve
