// SPDX-License-Identifier: Apache-2.0
#include "server/http/work_pool.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

namespace lmserve {

class WorkPool::Impl {
 public:
  explicit Impl(int threads) : threads_(threads) {}
  ~Impl() { threads_.join(); }

  void Post(std::function<void()> work) {
    boost::asio::post(threads_, std::move(work));
  }

 private:
  boost::asio::thread_pool threads_;
};

WorkPool::WorkPool(int threads) : impl_(std::make_unique<Impl>(threads)) {}

WorkPool::~WorkPool() = default;

void WorkPool::Post(std::function<void()> work) {
  impl_->Post(std::move(work));
}

}  // namespace lmserve
