// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HTTP_FAKE_HTTP_STREAM_H_
#define LMSERVE_TESTS_SERVER_HTTP_FAKE_HTTP_STREAM_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/http/http_stream.h"

namespace lmserve {

// A request and its answer in memory. All its operations end at once.
class FakeHttpStream final : public HttpStream {
 public:
  // What the test looks at after the stream has ended.
  struct Outcome {
    std::string written;
    bool may_keep = false;

    // The answer's code, and its body, without the framing of chunks.
    int code() const {
      return written.size() < 12 ? 0 : std::stoi(written.substr(9, 3));
    }
    std::string head() const {
      return written.substr(0, written.find("\r\n\r\n") + 4);
    }
    std::string body() const {
      std::string rest = written.substr(head().size());
      if (!absl::StrContains(head(), "Transfer-Encoding: chunked")) return rest;
      std::string body;
      size_t begin = 0;
      while (begin < rest.size()) {
        const size_t end = rest.find("\r\n", begin);
        const size_t size =
            std::stoul(rest.substr(begin, end - begin), nullptr, 16);
        body += rest.substr(end + 2, size);
        begin = end + 2 + size + 2;
      }
      return body;
    }
  };

  // Collects the outcome; the stream itself is gone then.
  struct Ending {
    Outcome Wait() {
      std::unique_lock<std::mutex> lock(mutex);
      ended.wait(lock, [this] { return has_ended; });
      return outcome;
    }

    std::mutex mutex;
    std::condition_variable ended;
    bool has_ended = false;
    Outcome outcome;
  };

  // The body comes in the given pieces.
  FakeHttpStream(HttpRequest request, std::vector<std::string> body,
                 std::shared_ptr<Ending> ending)
      : request_(std::move(request)),
        body_(std::move(body)),
        ending_(std::move(ending)) {}

  const HttpRequest& request() const override { return request_; }
  const std::string& client() const override { return client_; }
  bool IsCancelled() const override { return is_cancelled_; }
  absl::Status read_status() const override { return read_status_; }
  void FinishRead(const absl::Status&) override {}
  void SetDeadline(Call::Clock::time_point) override {}
  void AllowPauses() override {}
  bool Hold(uint64_t) override { return true; }
  void SetHeartbeat(std::string) override {}
  bool CanKeep() const override { return next_ == body_.size(); }
  void Cancel() override { is_cancelled_ = true; }

  // The body breaks off with this status.
  void FailAtEnd(const absl::Status& status) { at_end_ = status; }

 private:
  void StartRead(std::string* piece) override {
    if (next_ == body_.size()) {
      read_status_ = at_end_;
      return EndRead(false);
    }
    *piece = body_[next_++];
    EndRead(true);
  }
  void StartWrite(std::string bytes) override {
    outcome_.written += bytes;
    EndWrite(!is_cancelled_);
  }
  void StartEnter() override { EndEnter(); }
  void Finish(std::shared_ptr<HttpStream>, bool may_keep) override {
    outcome_.may_keep = may_keep;
    const std::lock_guard<std::mutex> lock(ending_->mutex);
    ending_->outcome = outcome_;
    ending_->has_ended = true;
    ending_->ended.notify_all();
  }

  const HttpRequest request_;
  const std::string client_ = "ipv4:127.0.0.1";
  const std::vector<std::string> body_;
  const std::shared_ptr<Ending> ending_;
  Outcome outcome_;
  size_t next_ = 0;
  absl::Status at_end_;
  absl::Status read_status_;
  std::atomic<bool> is_cancelled_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HTTP_FAKE_HTTP_STREAM_H_
