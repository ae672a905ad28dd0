// SPDX-License-Identifier: Apache-2.0
#include "model_store/processors.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lmserve {
namespace {

// Returns quota / period of the two numbers in a text, or nullopt if they are
// not a limit: "max 100000" in version 2, -1 in version 1.
std::optional<double> Ratio(const std::string& text) {
  std::vector<std::string> numbers =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  double quota, period;
  if (numbers.size() != 2 || !absl::SimpleAtod(numbers[0], &quota) ||
      !absl::SimpleAtod(numbers[1], &period) || !(quota > 0) || !(period > 0)) {
    return std::nullopt;
  }
  return quota / period;
}

// Returns the first line of a file, or "".
std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Returns the quota of one cgroup in processors.
std::optional<double> Quota(const std::string& cgroup, bool is_version_2) {
  if (is_version_2) return Ratio(FirstLine(cgroup + "/cpu.max"));
  return Ratio(absl::StrCat(FirstLine(cgroup + "/cpu.cfs_quota_us"), " ",
                            FirstLine(cgroup + "/cpu.cfs_period_us")));
}

// Returns the lowest quota of a cgroup and those around it. In a container the
// path may be that outside of the container, which does not exist inside; then
// the root is the cgroup of the container.
double LowestQuota(const std::string& hierarchy, std::string path,
                   bool is_version_2) {
  double lowest = std::numeric_limits<double>::infinity();
  while (true) {
    const auto quota = Quota(hierarchy + path, is_version_2);
    lowest = std::min(lowest, quota.value_or(lowest));
    if (path.empty()) return lowest;
    path.resize(path.find_last_of('/') == std::string::npos
                    ? 0
                    : path.find_last_of('/'));
  }
}

// Returns the lowest quota of all cgroups of this process.
double ProcessQuota(const std::string& root) {
  const std::string mounts = root + "/sys/fs/cgroup";
  double lowest = std::numeric_limits<double>::infinity();
  std::ifstream cgroups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(cgroups, line);) {
    // ID:CONTROLLERS:PATH; in version 2 without controllers.
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1].empty()) {
      for (const char* mount : {"", "/unified"}) {
        lowest = std::min(lowest, LowestQuota(mounts + mount, parts[2], true));
      }
      continue;
    }
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (std::find(controllers.begin(), controllers.end(), "cpu") ==
        controllers.end()) {
      continue;
    }
    for (const std::string& mount : {parts[1], std::string("cpu")}) {
      lowest = std::min(lowest, LowestQuota(absl::StrCat(mounts, "/", mount),
                                            parts[2], false));
    }
  }
  return lowest;
}

}  // namespace

int AvailableProcessors(const std::string& root) {
  const int processors =
      static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const double quota = std::ceil(ProcessQuota(root));
  return quota < processors ? std::max(1, static_cast<int>(quota)) : processors;
}

}  // namespace lmserve
