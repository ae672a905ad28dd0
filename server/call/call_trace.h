// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CALL_CALL_TRACE_H_
#define LMSERVE_SERVER_CALL_CALL_TRACE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lmserve {

// The parts of a call that is traced: what it has waited for, in the order in
// which it ended. Those who do or await the work of a call add parts; telemetry
// makes spans of them. For one thread at a time, like the call.
class CallTrace {
 public:
  using Clock = std::chrono::steady_clock;

  enum class Kind {
    kQueue,    // waiting for a batch
    kCompute,  // work on a model
    kLoad,     // loading and verifying a version
  };

  struct Part {
    Kind kind;
    Clock::time_point start;
    Clock::time_point end;
    std::string model;
    uint64_t version;
    size_t words = 0;  // that a model has read for the call; of kCompute
    // The size of the batch, with the work of other calls. 0 calls: it was
    // computed on the thread of the call.
    size_t batch_calls = 0;
    size_t batch_words = 0;
  };

  // Longer traces, such as those of long streams, are cut.
  static constexpr size_t kMostParts = 128;

  // Adds a part or, if there are kMostParts, counts it as left out.
  void Add(Part part) {
    words_ += part.words;
    if (parts_.size() < kMostParts) {
      parts_.push_back(std::move(part));
    } else {
      ++left_out_;
    }
  }

  const std::vector<Part>& parts() const { return parts_; }
  uint64_t left_out() const { return left_out_; }

  // Words that models have read for the call, in parts that were left out, too.
  uint64_t words() const { return words_; }

 private:
  std::vector<Part> parts_;
  uint64_t left_out_ = 0;
  uint64_t words_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_CALL_TRACE_H_
