// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/decoder.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "models/printable_text.h"
#include "server/call/status.h"
#include "server/handlers/best_words.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"
#include "server/handlers/stable_hash.h"

namespace lmserve {
namespace {

// The longest message of a failed step.
constexpr size_t kMaxFailureBytes = 4096;

// Whether a request was refused for what it asks for. Other errors concern the
// call.
bool IsRefused(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
}

absl::Status WrongStep(absl::string_view expected) {
  return InvalidField("step", absl::StrCat("expected ", expected));
}

}  // namespace

absl::Status Decoder::CheckHandle(absl::string_view field, int index,
                                  StateTable::Handle handle) const {
  if (states_->Contains(handle)) return absl::OkStatus();
  return InvalidField(
      absl::StrCat(field, "[", index, "]"),
      absl::StrCat("expected a handle of this stream, found ", handle));
}

absl::Status Decoder::CheckHandles(absl::string_view field,
                                   const Handles& handles) const {
  for (int i = 0; i < handles.size(); ++i) {
    absl::Status status = CheckHandle(field, i, handles[i]);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

Task<absl::Status> Decoder::Answer(const lm::v1::DecodeRequest& request,
                                   lm::v1::DecodeResponse* response) {
  const bool is_first = handle_ == nullptr;
  absl::Status status = co_await AnswerStep(request, response);
  if (is_first || !IsRefused(status)) co_return status;
  response->Clear();
  lm::v1::DecodeFailed* failed = response->mutable_failed();
  failed->set_code(static_cast<uint32_t>(status.code()));
  failed->set_message(Printable(status.message(), kMaxFailureBytes));
  failed->set_retry_after_seconds(absl::ToDoubleSeconds(RetryAfter(status)));
  co_return absl::OkStatus();
}

// Changes nothing if it fails, except that a start may have succeeded.
Task<absl::Status> Decoder::AnswerStep(const lm::v1::DecodeRequest& request,
                                       lm::v1::DecodeResponse* response) {
  const bool starts = request.has_start();
  if (starts != (handle_ == nullptr)) {
    co_return WrongStep(starts ? "start only in the first request of a stream"
                               : "start in the first request of a stream");
  }
  if (starts) {
    absl::Status status = Start(request.start(), response->mutable_started());
    if (!status.ok()) co_return status;
  }
  absl::Status status = CheckHandles("retain", request.retain());
  if (!status.ok()) co_return status;
  for (uint32_t handle : request.retain()) states_->Retain(handle);
  // Before the step, because a step cannot be undone.
  status = CheckReleases(request.release());
  if (status.ok() && request.has_extend()) {
    status = co_await Extend(request.extend(), response->mutable_extended());
  } else if (status.ok() && request.has_best()) {
    status = co_await Best(request.best(), response->mutable_best());
  }
  const auto& released = status.ok() ? request.release() : request.retain();
  for (uint32_t handle : released) states_->Release(handle);
  co_return status;
}

absl::Status Decoder::CheckReleases(const Handles& handles) {
  const size_t count = states_->FindUnreleasable(handles);
  if (count == static_cast<size_t>(handles.size())) return absl::OkStatus();
  return InvalidField(
      absl::StrCat("release[", count, "]"),
      absl::StrCat("expected a handle of this stream with a reference left, "
                   "found ",
                   handles[static_cast<int>(count)]));
}

absl::Status Decoder::Start(const lm::v1::DecodeStart& start,
                            lm::v1::DecodeStarted* started) {
  absl::StatusOr<ModelHandle> handle =
      FindModel(serving_, call_, start.model());
  if (!handle.ok()) return handle.status();
  if ((*handle)->model().kind() != ModelKind::kLeftToRight) {
    return CannotDo("start.model", **handle, "decode");
  }
  absl::Status status =
      CheckLimit("start.words", start.words_size(), serving_.limits.words);
  if (!status.ok()) return status;
  handle_ = *std::move(handle);
  states_.emplace(model().state_size());
  most_handles_ =
      std::max<size_t>(1, serving_.limits.decode_bytes /
                              std::max<size_t>(1, model().state_size()));
  status = Reserve(1);
  if (!status.ok()) return status;
  const StateTable::Handle first = states_->Add();
  model().Start(states_->state(first));

  const Vocabulary& vocabulary = model().vocabulary();
  SetModelVersion(*handle_, started->mutable_model());
  started->set_handle(first);
  started->set_vocabulary_size(vocabulary.size());
  started->set_vocabulary_key(StableHash(vocabulary.text()));
  started->set_unknown_id(vocabulary.unknown());
  started->set_end_id(vocabulary.end_sentence());
  started->set_most_handles(most_handles_);
  started->set_most_extensions(serving_.limits.words);
  started->set_most_predictions(serving_.limits.predictions);
  started->set_most_message_bytes(serving_.limits.message_bytes);
  for (const std::string& word : start.words()) {
    started->add_ids(vocabulary.Find(word));
  }
  return absl::OkStatus();
}

absl::Status Decoder::Reserve(size_t more) {
  absl::Status status = state_bytes_.Resize("handles: bytes of their states",
                                            states_->BytesWith(more));
  if (status.ok()) states_->Reserve(more);
  return status;
}

absl::Status Decoder::CheckExtend(const lm::v1::DecodeExtend& extend) const {
  if (extend.words_size() != extend.handles_size()) {
    return InvalidField("extend.words",
                        absl::StrCat("expected ", extend.handles_size(),
                                     ", one for each of extend.handles, found ",
                                     extend.words_size()));
  }
  absl::Status status = CheckLimit("extend.handles", extend.handles_size(),
                                   serving_.limits.words);
  if (!status.ok()) return status;
  const size_t added = extend.scores_only() ? 0 : extend.handles_size();
  status = CheckLimit("handles, with the new ones of extend",
                      states_->size() + added, most_handles_);
  if (!status.ok()) return status;
  const Vocabulary& vocabulary = model().vocabulary();
  for (int i = 0; i < extend.words_size(); ++i) {
    if (extend.words(i) < vocabulary.size() &&
        extend.words(i) != vocabulary.begin_sentence()) {
      continue;
    }
    return InvalidField(
        absl::StrCat("extend.words[", i, "]"),
        absl::StrCat("expected the id of a word other than "
                     "<s>, below ",
                     vocabulary.size(), ", found ", extend.words(i)));
  }
  return CheckHandles("extend.handles", extend.handles());
}

Task<absl::Status> Decoder::Extend(const lm::v1::DecodeExtend& extend,
                                   lm::v1::DecodeExtended* extended) {
  absl::Status status = CheckExtend(extend);
  if (!status.ok()) co_return status;
  const int count = extend.handles_size();
  // A query and two states for the model, and all fields of the answer.
  constexpr uint64_t kExtensionBytes = sizeof(LanguageModel::Query) + 40;
  Budget::Reservation answer(serving_.budgets.answer_bytes);
  status = answer.Resize("answer bytes", kExtensionBytes * count);
  if (!status.ok()) co_return status;
  const bool adds_handles = !extend.scores_only();
  extended->mutable_log_probs()->Resize(count, 0);
  if (adds_handles) status = Reserve(count);
  if (!status.ok()) co_return status;
  std::vector<LanguageModel::Query> batch;
  batch.reserve(count);
  for (int i = 0; i < count; ++i) {
    std::byte* next = nullptr;
    if (adds_handles) {
      const StateTable::Handle handle = states_->Add();
      extended->add_handles(handle);
      next = states_->state(handle);
    }
    batch.push_back({states_->state(extend.handles(i)),
                     {extend.words().data() + i, 1},
                     next,
                     {extended->mutable_log_probs()->mutable_data() + i, 1}});
  }
  const ModelWork work = {.model = *handle_, .queries = batch};
  status = co_await serving_.batcher.Run(call_, work);
  if (!status.ok()) co_return status;
  for (int i = 0; i < count; ++i) {
    extended->add_unknown(extend.words(i) == model().vocabulary().unknown());
  }
  for (uint32_t handle : extended->handles()) {
    extended->add_recombination_keys(
        StableHash({reinterpret_cast<const char*>(states_->state(handle)),
                    model().state_size()}));
  }
  co_return absl::OkStatus();
}

// Adds the spellings of the words. Reserves their memory.
absl::Status Decoder::AddWords(absl::Span<const ScoredWord> words,
                               Budget::Reservation* answer,
                               lm::v1::DecodedBest* found) const {
  const Vocabulary& vocabulary = model().vocabulary();
  uint64_t bytes = words.size() * (2 * sizeof(ScoredWord) + kReplyWordBytes);
  for (const ScoredWord& word : words) {
    bytes += vocabulary.word(word.word).size();
  }
  absl::Status status = answer->Resize("answer bytes", bytes);
  if (!status.ok()) return status;
  for (const ScoredWord& word : words) {
    found->add_words(std::isinf(word.log_prob)
                         ? ""
                         : std::string(vocabulary.word(word.word)));
  }
  return absl::OkStatus();
}

Task<absl::Status> Decoder::Best(const lm::v1::DecodeBest& best,
                                 lm::v1::DecodedBest* found) {
  const uint64_t vocabulary = model().vocabulary().size();
  const uint64_t k = best.k() == 0
                         ? std::min<uint64_t>(kDefaultBestWords, vocabulary)
                         : best.k();
  absl::Status status = CheckBestWords("best.k", k, vocabulary);
  if (status.ok()) {
    status = CheckLimit("best.k times best.handles", k * best.handles_size(),
                        serving_.limits.predictions);
  }
  if (status.ok()) status = CheckHandles("best.handles", best.handles());
  if (!status.ok()) co_return status;
  Budget::Reservation answer(serving_.budgets.answer_bytes);
  status = answer.Resize(
      "answer bytes",
      best.handles_size() * (sizeof(std::byte*) + 2 * k * sizeof(ScoredWord)));
  if (!status.ok()) co_return status;
  std::vector<const std::byte*> states;
  for (uint32_t handle : best.handles()) {
    states.push_back(states_->state(handle));
  }
  std::vector<ScoredWord> words(states.size() * k);
  const ModelWork work = {.model = *handle_,
                          .states = states,
                          .k = k,
                          .best = absl::MakeSpan(words)};
  status = co_await serving_.batcher.Run(call_, work);
  if (!status.ok()) co_return status;
  for (const ScoredWord& word : words) {
    found->add_ids(word.word);
    found->add_log_probs(word.log_prob);
  }
  if (best.words()) status = AddWords(words, &answer, found);
  co_return status;
}

}  // namespace lmserve
