// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/line_writer.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "model_store/mutex.h"

namespace lmserve {

struct LineWriter::State {
  State(int descriptor, size_t max_bytes)
      : descriptor(descriptor), max_bytes(max_bytes) {}

  const int descriptor;
  const size_t max_bytes;
  std::atomic<uint64_t> dropped = 0;

  Mutex mutex;
  std::deque<std::string> waiting ABSL_GUARDED_BY(mutex);
  size_t waiting_bytes ABSL_GUARDED_BY(mutex) = 0;
  bool is_writing ABSL_GUARDED_BY(mutex) = false;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  ConditionVariable changed;  // there are lines, or the thread must stop
  ConditionVariable idle;     // no line waits or is being written
};

namespace {

constexpr std::chrono::seconds kLastWrites(1);

// Sends to a socket, such as that of journald, or writes to anything else.
ssize_t WriteSome(int descriptor, absl::string_view bytes) {
  const ssize_t sent =
      send(descriptor, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return write(descriptor, bytes.data(), bytes.size());
}

// Writes a line. Waits until the descriptor has room: poll() says so of a pipe
// if it has room for PIPE_BUF bytes. `must_stop` is asked while it waits.
template <typename MustStop>
bool WriteLine(int descriptor, absl::string_view line,
               const MustStop& must_stop) {
  while (!line.empty()) {
    pollfd room = {descriptor, POLLOUT, 0};
    const int ready = poll(&room, 1, /*timeout=*/50);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
      if (must_stop()) return false;
      continue;
    }
    const ssize_t written =
        WriteSome(descriptor, line.substr(0, size_t{PIPE_BUF}));
    if (written >= 0) {
      line.remove_prefix(written);
    } else if (errno != EAGAIN && errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace

LineWriter::LineWriter(int descriptor, size_t max_bytes)
    : state_(std::make_shared<State>(descriptor, max_bytes)),
      thread_([state = state_] {
        const auto stopping = [&] {
          const MutexLock lock(state->mutex);
          return state->stopping;
        };
        while (true) {
          std::string line;
          {
            const MutexLock lock(state->mutex);
            state->is_writing = false;
            while (state->waiting.empty()) {
              state->idle.NotifyAll();
              if (state->stopping) return;
              state->changed.Wait(state->mutex);
            }
            line = std::move(state->waiting.front());
            state->waiting.pop_front();
            state->waiting_bytes -= line.size();
            state->is_writing = true;
          }
          if (!WriteLine(state->descriptor, line, stopping)) ++state->dropped;
        }
      }) {}

LineWriter::~LineWriter() {
  const bool written = Flush(kLastWrites);
  {
    const MutexLock lock(state_->mutex);
    state_->stopping = true;
    if (!written) {
      state_->dropped += state_->waiting.size();
      state_->waiting.clear();
    }
  }
  state_->changed.NotifyAll();
  // A write may never end, though poll() promised room. The thread then ends
  // with the process.
  if (Flush(kLastWrites)) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

bool LineWriter::Write(std::string line) {
  {
    const MutexLock lock(state_->mutex);
    if (state_->waiting_bytes + line.size() > state_->max_bytes) {
      ++state_->dropped;
      return false;
    }
    state_->waiting_bytes += line.size();
    state_->waiting.push_back(std::move(line));
  }
  state_->changed.NotifyOne();
  return true;
}

bool LineWriter::Flush(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  const MutexLock lock(state_->mutex);
  while (!state_->waiting.empty() || state_->is_writing) {
    if (!state_->idle.WaitUntil(state_->mutex, end)) {
      return state_->waiting.empty() && !state_->is_writing;
    }
  }
  return true;
}

bool LineWriter::is_half_empty() const {
  const MutexLock lock(state_->mutex);
  return state_->waiting_bytes <= state_->max_bytes / 2;
}

uint64_t LineWriter::dropped() const { return state_->dropped; }

}  // namespace lmserve
