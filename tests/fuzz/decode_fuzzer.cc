// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes a decoder with streams of requests, as the server calls it. Every
// answer must be an error that blames the client, a failure after which all
// hypotheses are as before, or the scores that the model gives the words that
// each hypothesis has read.

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "lm/v1/language_model.pb.h"
#include "model_store/model_name.h"
#include "server/handlers/decoder.h"
#include "tests/fuzz/client_error.h"
#include "tests/fuzz/fuzz_models.h"
#include "tests/fuzz/request_input.h"
#include "tests/server/handlers/test_serving_context.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

using lm::v1::DecodeRequest;
using lm::v1::DecodeResponse;

// Low enough that inputs exceed them.
constexpr Limits kLimits = {
    .words = 20, .predictions = 100, .decode_bytes = 1000};

const TestServing& FuzzServing() {
  static const TestServing serving(FuzzStore(), kLimits);
  return serving;
}

// A simple model of a decoder: a hypothesis is the list of words it has read.
class Expected {
 public:
  void Check(const DecodeRequest& request, const DecodeResponse& response) {
    if (response.has_failed()) return CheckFailed(response.failed());
    if (response.has_started()) CheckStart(response.started());
    for (uint32_t handle : request.retain()) ++Of(handle).references;
    if (request.has_extend()) {
      CheckExtended(request.extend(), response.extended());
    }
    if (request.has_best()) CheckBest(request.best(), response.best());
    for (uint32_t handle : request.release()) {
      if (--Of(handle).references == 0) hypotheses_.erase(handle);
    }
  }

 private:
  struct Hypothesis {
    std::vector<WordId> words;
    uint32_t references;
    uint64_t key;  // recombination key
  };

  Hypothesis& Of(uint32_t handle) {
    const auto found = hypotheses_.find(handle);
    Require(found != hypotheses_.end(), "an answered handle exists");
    return found->second;
  }

  void CheckFailed(const lm::v1::DecodeFailed& failed) {
    Require(model_ != nullptr, "only a stream that has started goes on");
    RequireClientError(absl::Status(
        static_cast<absl::StatusCode>(failed.code()), failed.message()));
  }

  void CheckStart(const lm::v1::DecodeStarted& started) {
    Require(model_ == nullptr, "a stream starts once");
    handle_ = *FuzzStore().Get(
        VersionName(started.model().name(), started.model().version()));
    model_ = handle_->model().left_to_right();
    Require(started.vocabulary_size() == model_->vocabulary().size(),
            "the start describes the vocabulary");
    most_handles_ = started.most_handles();
    hypotheses_[started.handle()] = {{}, 1, 0};
  }

  void CheckExtended(const lm::v1::DecodeExtend& extend,
                     const lm::v1::DecodeExtended& extended) {
    const int count = extend.handles_size();
    const int given = extend.scores_only() ? 0 : count;
    Require(extended.log_probs_size() == count &&
                extended.unknown_size() == count &&
                extended.handles_size() == given &&
                extended.recombination_keys_size() == given,
            "an extension is parallel");
    for (int i = 0; i < count; ++i) {
      std::vector<WordId> words = Of(extend.handles(i)).words;
      words.push_back(extend.words(i));
      Require(extended.log_probs(i) == LastLogProb(words),
              "a pair has the score of its text");
      if (given == 0) continue;
      const auto [added, is_new] = hypotheses_.insert(
          {extended.handles(i),
           {std::move(words), 1, extended.recombination_keys(i)}});
      Require(is_new, "a new handle was unused");
    }
    Require(hypotheses_.size() <= most_handles_, "the limit of handles holds");
  }

  void CheckBest(const lm::v1::DecodeBest& best,
                 const lm::v1::DecodedBest& found) {
    const int k = best.k() == 0 ? std::min<int>(10, model_->vocabulary().size())
                                : static_cast<int>(best.k());
    Require(found.ids_size() == k * best.handles_size() &&
                found.log_probs_size() == found.ids_size(),
            "the best words are parallel arrays");
    Require(found.words_size() == (best.words() ? found.ids_size() : 0),
            "the words come on request");
    for (int i = 0; i < found.ids_size(); ++i) {
      if (std::isinf(found.log_probs(i))) continue;
      Require(!best.words() ||
                  found.words(i) == model_->vocabulary().word(found.ids(i)),
              "the words are those of the ids");
      std::vector<WordId> words = Of(best.handles(i / k)).words;
      words.push_back(found.ids(i));
      Require(std::abs(found.log_probs(i) - LastLogProb(words)) < 1e-5,
              "a best word has its score");
      Require(i % k == 0 || found.log_probs(i - 1) >= found.log_probs(i),
              "the best words are sorted");
    }
  }

  // Returns ln P of the last word of a beginning of a sentence.
  float LastLogProb(const std::vector<WordId>& words) const {
    std::vector<std::byte> state(model_->state_size());
    model_->Start(state.data());
    std::vector<float> log_probs(words.size());
    const LanguageModel::Query query = {state.data(), words, nullptr,
                                        absl::MakeSpan(log_probs)};
    model_->Score({&query, 1});
    return log_probs.back();
  }

  ModelHandle handle_;
  const LanguageModel* model_ = nullptr;
  size_t most_handles_ = 0;
  std::map<uint32_t, Hypothesis> hypotheses_;
};

void Decode(absl::string_view input) {
  Call call;
  Decoder decoder(*FuzzServing(), call);
  Expected expected;
  for (const DecodeRequest& request : SplitDecode(input)) {
    DecodeResponse response;
    const absl::Status status = Wait(decoder.Answer(request, &response));
    if (!status.ok()) return RequireClientError(status);
    expected.Check(request, response);
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Decode({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates a field of one of the requests, adds or removes a request, or
// sometimes changes bytes.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  random.discard(3);
  if (random() % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  auto requests =
      lmserve::SplitDecode({reinterpret_cast<const char*>(data), size});
  const size_t choice = random() % 8;
  if (requests.empty() || choice == 0) {
    requests.emplace_back();
  } else if (choice == 1) {
    requests.pop_back();
  }
  if (!requests.empty()) {
    lmserve::MutateMessage(random, &requests[random() % requests.size()]);
  }
  const std::string bytes = lmserve::JoinDecode(requests);
  if (bytes.size() > max_size) return size;
  std::copy(bytes.begin(), bytes.end(), data);
  return bytes.size();
}
