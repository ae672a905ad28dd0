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

// The names of the files of a version of control groups.
struct GroupFiles {
  absl::string_view line;       // before the path in /proc/self/cgroup
  absl::string_view directory;  // of the groups, below /sys/fs/cgroup
  absl::string_view limit, usage, inactive_files, active_files;
};
constexpr GroupFiles kVersion2 = {"0::",           "",
                                  "/memory.max",   "/memory.current",
                                  "inactive_file", "active_file"};
constexpr GroupFiles kVersion1 = {":memory:",
                                  "/memory",
                                  "/memory.limit_in_bytes",
                                  "/memory.usage_in_bytes",
                                  "total_inactive_file",
                                  "total_active_file"};

// Returns what a control group may still use. Pages of files that are cached
// for it count as used, but the kernel frees them when it needs memory.
uint64_t AvailableInGroup(const GroupFiles& files,
                          const std::string& directory) {
  const auto limit = ReadNumber(absl::StrCat(directory, files.limit));
  const auto used = ReadNumber(absl::StrCat(directory, files.usage));
  if (!limit.has_value() || !used.has_value()) return kUnknown;
  const std::string statistics = absl::StrCat(directory, "/memory.stat");
  const uint64_t cached =
      FindNumber(statistics, files.inactive_files).value_or(0) +
      FindNumber(statistics, files.active_files).value_or(0);
  const uint64_t needed = *used - std::min(*used, cached);
  return *limit - std::min(*limit, needed);
}

// Returns the path of the process's group, such as "/user.slice/a.scope".
std::string GroupOf(const GroupFiles& files, const std::string& proc) {
  std::ifstream file(absl::StrCat(proc, "/self/cgroup"));
  for (std::string line; std::getline(file, line);) {
    const size_t found = absl::string_view(line).find(files.line);
    const size_t path = found + files.line.size();
    if (found != absl::string_view::npos && path < line.size()) {
      return line.substr(path);
    }
  }
  return "/";
}

// Returns what the group of the process and all groups above it may still use.
uint64_t AvailableInGroups(const GroupFiles& files, const std::string& proc,
                           const std::string& groups) {
  uint64_t available = kUnknown;
  // A container sees its own group as the root.
  for (std::string group = GroupOf(files, proc);;
       group.resize(group.find_last_of('/'))) {
    available = std::min(
        available,
        AvailableInGroup(files, absl::StrCat(groups, files.directory, group)));
    if (group.find_last_of('/') == std::string::npos) return available;
  }
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
  for (const GroupFiles& files : {kVersion2, kVersion1}) {
    available = std::min(available, AvailableInGroups(files, proc, groups));
  }
  return available;
}

}  // namespace lmserve
