// SPDX-License-Identifier: Apache-2.0
#include "model_store/processors.h"

#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

// Files of a kernel that limit one processor or less, so that the tests do not
// depend on this machine.
class ProcessorsTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = root_.File(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  int Available() const { return AvailableProcessors(root_.path()); }

  static int Affinity() {
    cpu_set_t set;
    EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
    return CPU_COUNT(&set);
  }

  const TemporaryDirectory root_;
};

TEST_F(ProcessorsTest, WithoutACgroupTheAffinityMaskCounts) {
  EXPECT_EQ(Available(), Affinity());
}

TEST_F(ProcessorsTest, TheQuotaOfVersion2Counts) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(Available(), Affinity());
  Write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(Available(), 1);
  Write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(Available(), std::min(2, Affinity()));
}

TEST_F(ProcessorsTest, AQuotaOfAnyCgroupAroundItCounts) {
  Write("proc/self/cgroup", "0::/slice/service\n");
  Write("sys/fs/cgroup/slice/service/cpu.max", "max 100000\n");
  Write("sys/fs/cgroup/slice/cpu.max", "10000 100000\n");
  EXPECT_EQ(Available(), 1);
}

TEST_F(ProcessorsTest, TheQuotaOfVersion1Counts) {
  Write("proc/self/cgroup", "3:memory:/m\n2:cpu,cpuacct:/job\n");
  Write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
  Write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Available(), Affinity());
  Write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "100000\n");
  EXPECT_EQ(Available(), 1);
}

// Docker with version 1 shows the path outside of the container.
TEST_F(ProcessorsTest, TheRootCountsIfThePathDoesNotExist) {
  Write("proc/self/cgroup", "2:cpu,cpuacct:/docker/0123\n");
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "20000\n");
  Write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Available(), 1);
}

TEST_F(ProcessorsTest, OtherTextIsNoLimit) {
  Write("proc/self/cgroup", "0::/\nnonsense\n");
  for (const char* text : {"", "100000", "a b", "0 100000", "100000 0",
                           "-1 100000", "nan 1", "1 2 3"}) {
    Write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(Available(), Affinity()) << text;
  }
}

}  // namespace
}  // namespace lmserve
