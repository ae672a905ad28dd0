// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the guard of HTTP/2 connections with what a client and a server send
// in turn: each part of the input begins with a byte for the sender and one for
// the length. How the bytes are cut must change nothing, what is passed on must
// begin with what came, and the limits must hold.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/connections/http2_guard.h"
#include "tests/fuzz/require.h"

namespace lmserve {
namespace {

constexpr uint64_t kStreams = 5;
// A frame that the guard may add for each nine bytes of the input.
constexpr size_t kOwnFrame = 64;

class Guarded {
 public:
  Guarded()
      : table_({.streams_per_client = kStreams}),
        ticket_(table_.Enter("client")),
        guard_({}, ticket_.client()) {}

  // Passes bytes on, `step` at once.
  void Pass(bool from_client, absl::string_view bytes, size_t step) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
      if (!status_.ok()) return;
      const absl::string_view part = bytes.substr(0, step);
      if (from_client) {
        status_ = guard_.FromClient(part, now_, &to_server_, &to_client_);
      } else {
        guard_.FromServer(part, &to_client_);
      }
      Require(guard_.open_streams() <= kStreams, "streams are limited");
    }
  }

  void Tick() {
    now_ += std::chrono::seconds(20);
    if (!status_.ok()) return;
    status_ = guard_.CheckTimes(now_, &to_server_, &to_client_);
  }
  void Refuse() { guard_.RefuseStreams(&to_client_); }

  friend bool operator==(const Guarded& a, const Guarded& b) {
    // After an error the connection is closed, whatever the server has seen.
    return a.status_ == b.status_ && a.to_client_ == b.to_client_ &&
           (!a.status_.ok() ||
            (a.to_server_ == b.to_server_ &&
             a.guard_.open_streams() == b.guard_.open_streams()));
  }
  size_t passed() const { return to_server_.size() + to_client_.size(); }

 private:
  ClientTable table_;
  const ClientTable::Ticket ticket_;
  Http2Guard guard_;
  Http2Guard::Clock::time_point now_;
  std::string to_server_, to_client_;
  absl::Status status_;
};

void Run(absl::string_view input) {
  const size_t size = input.size();
  Guarded whole, cut;
  while (input.size() >= 2) {
    const uint8_t kind = input[0];
    const uint8_t length = input[1];
    input.remove_prefix(2);
    if (kind % 8 == 6) {
      whole.Tick();
      cut.Tick();
    } else if (kind % 8 == 7) {
      whole.Refuse();
      cut.Refuse();
    } else {
      const absl::string_view part = input.substr(0, length);
      input.remove_prefix(part.size());
      whole.Pass(kind % 2 == 0, part, part.size());
      cut.Pass(kind % 2 == 0, part, 1 + kind / 8 % 4);
    }
  }
  Require(whole == cut, "the cut of the bytes does not matter");
  Require(whole.passed() <= size + (size / 9 + 2) * 2 * kOwnFrame,
          "the guard adds little");
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
