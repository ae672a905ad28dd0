// SPDX-License-Identifier: Apache-2.0
#include "model_store/available_memory.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

class AvailableMemoryTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = directory_.File(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  uint64_t Available() const {
    return AvailableMemory(directory_.File("proc"), directory_.File("cgroup"));
  }

  const TemporaryDirectory directory_;
};

TEST_F(AvailableMemoryTest, UnknownWithoutFiles) {
  EXPECT_EQ(Available(), std::numeric_limits<uint64_t>::max());
}

TEST_F(AvailableMemoryTest, OfTheMachine) {
  Write("proc/meminfo", "MemTotal: 90 kB\nMemAvailable: 7 kB\n");
  EXPECT_EQ(Available(), 7u * 1024);
}

// 5000 bytes are used, but 4000 of them are pages of files.
TEST_F(AvailableMemoryTest, OfTheControlGroup) {
  Write("proc/meminfo", "MemAvailable: 1000 kB\n");
  Write("proc/self/cgroup", "0::/a/b\n");
  Write("cgroup/a/b/memory.max", "max\n");
  Write("cgroup/a/b/memory.current", "5000\n");
  EXPECT_EQ(Available(), 1000u * 1024);
  Write("cgroup/a/memory.max", "6000\n");
  Write("cgroup/a/memory.current", "5000\n");
  Write("cgroup/a/memory.stat",
        "anon 1000\ninactive_file 3000\nactive_file "
        "1000\n");
  EXPECT_EQ(Available(), 5000u);
  Write("cgroup/a/b/memory.max", "5001\n");
  EXPECT_EQ(Available(), 1u);
  Write("cgroup/a/b/memory.max", "4000\n");
  EXPECT_EQ(Available(), 0u);
}

TEST_F(AvailableMemoryTest, OfTheControlGroupOfVersion1) {
  Write("proc/meminfo", "MemAvailable: 1000 kB\n");
  Write("proc/self/cgroup", "5:cpuset:/\n4:memory:/a/b\n0::/\n");
  Write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  Write("cgroup/memory/memory.usage_in_bytes", "7000\n");
  Write("cgroup/memory/a/b/memory.limit_in_bytes", "6000\n");
  Write("cgroup/memory/a/b/memory.usage_in_bytes", "5000\n");
  Write("cgroup/memory/a/b/memory.stat",
        "inactive_file 1\ntotal_inactive_file 3000\ntotal_active_file 1000\n");
  EXPECT_EQ(Available(), 5000u);
}

TEST_F(AvailableMemoryTest, OfThisProcess) {
  EXPECT_GT(AvailableMemory(), 1u << 20);
}

}  // namespace
}  // namespace lmserve
