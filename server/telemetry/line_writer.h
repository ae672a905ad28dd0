// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_LINE_WRITER_H_
#define LMSERVE_SERVER_TELEMETRY_LINE_WRITER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

namespace lmserve {

// Writes lines to a descriptor on a thread of its own, so that a reader that
// stalls or is gone, or a full disk, costs lines but never time of a call.
// Thread-safe.
class LineWriter {
 public:
  // Lines beyond `max_bytes` that wait are dropped. The descriptor must stay
  // open.
  LineWriter(int descriptor, size_t max_bytes);

  // Waits up to a second until the waiting lines are written.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Adds a line, with its LF, to those that wait. Returns false if it had to be
  // dropped. Never waits for the descriptor.
  bool Write(std::string line);

  // Waits until all lines are written, at most `limit`. Returns whether they
  // are.
  bool Flush(std::chrono::milliseconds limit);

  // Whether at most half of the room for waiting lines is taken.
  bool is_half_empty() const;

  // How many lines were dropped, or could not be written, so far.
  uint64_t dropped() const;

 private:
  // Shared with the thread, which outlives this object if a write never ends.
  struct State;

  const std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_LINE_WRITER_H_
