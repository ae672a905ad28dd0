// SPDX-License-Identifier: Apache-2.0
#include "model_store/version_loads.h"

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

TEST(VersionLoadsTest, AVersionThatHangsIsNotLoadedOnMoreThreads) {
  std::promise<void> end;
  std::shared_future<void> ended = end.get_future().share();
  std::atomic<int> hanging = 0;
  VersionLoads loads(
      {.load = [&, ended](
                   const VersionLoads::Version& version,
                   const VersionLoads::Check&) -> absl::StatusOr<ModelHandle> {
         if (version.first == "hangs") {
           ++hanging;
           ended.wait();
         }
         return absl::NotFoundError(version.first);
       },
       .on_end = [](const VersionLoads::Version&) {},
       .timeout = milliseconds(5),
       .patience = milliseconds(1)});
  // Returns the result of a version, after waiting for it.
  const auto take = [&](const std::string& name, const std::string& stamp) {
    while (true) {
      if (auto result = loads.Take({name, 1}, stamp)) return result->status();
      loads.Tick();
      std::this_thread::sleep_for(milliseconds(1));
    }
  };
  for (int i = 0; i < 3 * VersionLoads::kMostThreads; ++i) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(take("hangs", "stamp"))) << i;
  }
  EXPECT_EQ(hanging, 1);
  EXPECT_EQ(take("good", "stamp"), absl::NotFoundError("good"));
  // Other files are tried.
  EXPECT_TRUE(absl::IsDeadlineExceeded(take("hangs", "other")));
  EXPECT_EQ(hanging, 2);
  end.set_value();
  EXPECT_TRUE(loads.Stop(std::chrono::seconds(10)));
}

}  // namespace
}  // namespace lmserve
