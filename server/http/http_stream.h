// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_STREAM_H_
#define LMSERVE_SERVER_HTTP_HTTP_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "server/call/call.h"
#include "server/http/http_request.h"
#include "server/transport/stream_operation.h"

namespace lmserve {

// A request and the way of its answer to the client, for a coroutine that
// answers it. The coroutine may run on any thread, reads and writes one thing
// at a time, and owns the stream until it calls FinishStream(), which it must.
class HttpStream {
 public:
  virtual ~HttpStream() = default;

  virtual const HttpRequest& request() const = 0;

  // The address of the client, without its port.
  virtual const std::string& client() const = 0;

  // Whether the connection is closed. Thread-safe.
  virtual bool IsCancelled() const = 0;

  // co_await Read() sets *piece to the next bytes of the body, and returns
  // false at the end of the body or after an error, which read_status() says.
  auto Read(std::string* piece) {
    return reading_.Begin([this, piece] { StartRead(piece); });
  }

  // OK, or why the body is not complete: CANCELLED if the client is gone or
  // too slow, INVALID_ARGUMENT if it broke the protocol, or the status of
  // FinishRead().
  virtual absl::Status read_status() const = 0;

  // Ends a Read() that is waiting now, with a status. Thread-safe.
  virtual void FinishRead(const absl::Status& status) = 0;

  // Ends the wait for the client at the deadline of the call: a Read() that is
  // waiting then fails with DEADLINE_EXCEEDED, and a Write() closes the
  // connection.
  virtual void SetDeadline(Call::Clock::time_point deadline) = 0;

  // The client may pause within the body, because the body is a stream of
  // requests. Otherwise it must send it without a pause.
  virtual void AllowPauses() = 0;

  // Whether this many bytes may be held for the client of the connection. They
  // replace what is held so far, and are released by FinishStream().
  virtual bool Hold(uint64_t bytes) = 0;

  // co_await Write() sends bytes, and returns false if the client is gone.
  auto Write(std::string bytes) {
    out_ = std::move(bytes);
    return writing_.Begin([this] { StartWrite(std::move(out_)); });
  }

  // Bytes to send while nothing else is sent for some time, or empty. They show
  // that the connection lives. REQUIRES: no Write() is running.
  virtual void SetHeartbeat(std::string bytes) = 0;

  // co_await Enter() continues on the thread of the connection.
  auto Enter() {
    return entering_.Begin([this] { StartEnter(); });
  }

  // Whether FinishStream(..., true) would keep the connection now. For the
  // field Connection of the answer.
  virtual bool CanKeep() const = 0;

  // Closes the connection at once. Thread-safe.
  virtual void Cancel() = 0;

 protected:
  void EndRead(bool ok) { reading_.End(ok); }
  void EndWrite(bool ok) { writing_.End(ok); }
  void EndEnter() { entering_.End(true); }

 private:
  friend void FinishStream(std::shared_ptr<HttpStream> stream, bool may_keep);

  // `self` is this object.
  virtual void Finish(std::shared_ptr<HttpStream> self, bool may_keep) = 0;
  virtual void StartRead(std::string* piece) = 0;
  virtual void StartWrite(std::string bytes) = 0;
  virtual void StartEnter() = 0;

  std::string out_;  // between Write() and StartWrite()
  StreamOperation reading_;
  StreamOperation writing_;
  StreamOperation entering_;
};

// Ends an answer. The connection waits for another request if the client wants
// that, the body was read to its end, and `may_keep` is true, and is closed
// otherwise. The caller must have no other reference and must not use the
// request any more, because the connection may be gone.
inline void FinishStream(std::shared_ptr<HttpStream> stream, bool may_keep) {
  HttpStream& finished = *stream;
  finished.Finish(std::move(stream), may_keep);
}

// Answers a request, whose head has come. Called on the thread of the
// connection.
using HttpHandler = std::function<void(std::shared_ptr<HttpStream> stream)>;

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_STREAM_H_
