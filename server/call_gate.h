#ifndef LMSERVE_SERVER_CALL_GATE_H_
#define LMSERVE_SERVER_CALL_GATE_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace lmserve {

// Counts the calls under way and, once it is closed, lets no new one in: what a
// server needs to go down without cutting an answer short. Any number of
// threads may use one at a time; it must outlive the passes.
class CallGate {
 public:
  // A call under way, as long as it lives. Null: the call was refused.
  struct Leave {
    void operator()(CallGate* gate) const { gate->Exit(); }
  };
  using Pass = std::unique_ptr<CallGate, Leave>;

  Pass Enter();

  // Refuses new calls, and waits for those under way. False where some were
  // left when the time was up.
  bool CloseAndWait(std::chrono::milliseconds deadline);

 private:
  void Exit();

  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0;  // guarded by mutex_, as the next
  bool closed_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_GATE_H_
