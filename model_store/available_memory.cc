// SPDX-License-Identifier: Apache-2.0
#include "model_store/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lmserve {
namespace {

constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();

// Returns the number after `name` in a file of lines "NAME NUMBER".
std::optional<uint64_t> FindNumber(const std::string& path,
                                   absl::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string field;
    uint64_t number;
    if (fields >> field && field == name && fields >> number) return number;
  }
  return std::nullopt;
}

// Returns the number in a file; nullopt if it has another text, such as "max".
std::optional<uint64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  uint64_t number;
  if (file >> text && absl::SimpleAtoi(text, &number)) return number;
  return std::nullopt;
}

// Returns what a control group may still use. Pages of files that are cached
// for it count as used, but the kernel frees them when it needs memory.
uint64_t AvailableInGroup(const std::string& directory) {
  const auto limit = ReadNumber(absl::StrCat(directory, "/memory.max"));
  const auto used = ReadNumber(absl::StrCat(directory, "/memory.current"));
  if (!limit.has_value() || !used.has_value()) return kUnknown;
  const std::string statistics = absl::StrCat(directory, "/memory.stat");
  const uint64_t cached = FindNumber(statistics, "inactive_file").value_or(0) +
                          FindNumber(statistics, "active_file").value_or(0);
  const uint64_t needed = *used - std::min(*used, cached);
  return *limit - std::min(*limit, needed);
}

// Returns the path of the process's group, such as "/user.slice/a.scope".
std::string GroupOf(const std::string& proc) {
  std::ifstream file(absl::StrCat(proc, "/self/cgroup"));
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "0::/")) return line.substr(3);
  }
  return "/";
}

}  // namespace

uint64_t AvailableMemory() {
  return AvailableMemory("/proc", "/sys/fs/cgroup");
}

uint64_t AvailableMemory(const std::string& proc, const std::string& groups) {
  uint64_t available = kUnknown;
  const auto kilobytes =
      FindNumber(absl::StrCat(proc, "/meminfo"), "MemAvailable:");
  if (kilobytes.has_value()) available = *kilobytes * 1024;
  // A container sees its own group as the root.
  for (std::string group = GroupOf(proc);;
       group.resize(group.find_last_of('/'))) {
    available = std::min(available, AvailableInGroup(groups + group));
    if (group.find_last_of('/') == std::string::npos) return available;
  }
}

}  // namespace lmserve
