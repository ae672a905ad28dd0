// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/work_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "model_store/durable_file.h"
#include "model_store/sha256.h"
#include "text_io/byte_source.h"

namespace lmserve {
namespace {

namespace fs = std::filesystem;

constexpr char kJournal[] = "journal";
constexpr char kLock[] = "lock";

// Removes everything but the lock.
absl::Status Empty(const std::string& path) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().filename() == kLock) continue;
    fs::remove_all(entry.path(), error);
    if (error) break;
  }
  return error ? absl::ErrnoToStatus(error.value(), path) : absl::OkStatus();
}

// Whether another user owns a directory, or a link to one, that anybody could
// have made in `parent`.
bool IsForeign(const std::string& parent, const std::string& path) {
  struct stat outer, inner;
  return stat(parent.c_str(), &outer) == 0 && (outer.st_mode & S_IWOTH) != 0 &&
         lstat(path.c_str(), &inner) == 0 && inner.st_uid != geteuid();
}

bool WriteAll(int descriptor, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(written);
  }
  return true;
}

// The name in the journal for the removal of a file.
std::string RemovalStage(absl::string_view name) {
  return absl::StrCat("removed-", name);
}

// Appends a line to a file and syncs it. If that fails, for example because the
// disk is full, no part of the line stays in the file.
absl::Status AppendLine(const std::string& path, absl::string_view line) {
  const int descriptor =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, path);
  const absl::Cleanup close_file = [descriptor] { close(descriptor); };
  const off_t end = lseek(descriptor, 0, SEEK_END);
  if (end >= 0 && WriteAll(descriptor, line) && fsync(descriptor) == 0) {
    return absl::OkStatus();
  }
  absl::Status status = absl::ErrnoToStatus(errno, path);
  if (end >= 0) (void)!ftruncate(descriptor, end);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkDirectory>> WorkDirectory::Open(
    const std::string& parent, absl::string_view task, bool resume) {
  std::string path = absl::StrCat(parent, "/lm-", task);
  absl::Status status = MakeDirectories(path);
  if (!status.ok()) return status;
  if (IsForeign(parent, path)) {
    return absl::PermissionDeniedError(absl::StrCat(
        path, ": belongs to another user; choose another --temporary"));
  }
  const std::string lock_path = absl::StrCat(path, "/", kLock);
  const int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::ErrnoToStatus(errno, lock_path);
  std::unique_ptr<WorkDirectory> directory(
      new WorkDirectory(std::move(path), lock));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return absl::UnavailableError(absl::StrCat(
        directory->path(), ": in use by another process with the same input"));
  }
  status = resume ? directory->ReadJournal() : Empty(directory->path());
  if (!status.ok()) return status;
  return directory;
}

WorkDirectory::~WorkDirectory() { close(lock_); }

std::string WorkDirectory::File(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

const std::vector<uint64_t>* WorkDirectory::Finished(
    absl::string_view stage) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = finished_.find(stage);
  return found == finished_.end() ? nullptr : &found->second;
}

absl::Status WorkDirectory::Finish(const std::string& stage,
                                   absl::Span<const std::string> files,
                                   std::vector<uint64_t> numbers) {
  std::vector<std::pair<std::string, uint64_t>> sizes;
  for (const std::string& file : files) {
    absl::Status status = Sync(File(file));
    if (!status.ok()) return status;
    std::error_code error;
    sizes.emplace_back(file, fs::file_size(File(file), error));
    if (error) return absl::ErrnoToStatus(error.value(), File(file));
  }
  absl::Status status = Sync(path_);
  if (!status.ok()) return status;
  const std::string line =
      absl::StrCat(stage, "\t", absl::StrJoin(numbers, " "), "\t",
                   absl::StrJoin(sizes, " ", absl::PairFormatter(":")), "\n");
  const std::lock_guard<std::mutex> lock(mutex_);
  status = AppendLine(File(kJournal), line);
  if (!status.ok()) return status;
  for (const auto& [file, size] : sizes) sizes_[file] = size;
  finished_[stage] = std::move(numbers);
  return absl::OkStatus();
}

// Reads the journal. What follows its last LF was being written when the run
// was interrupted.
absl::Status WorkDirectory::ReadJournal() {
  if (!fs::exists(File(kJournal))) return Empty(path_);
  const absl::StatusOr<std::string> text = ReadAllBytes(File(kJournal));
  if (!text.ok()) return text.status();
  std::vector<absl::string_view> lines = absl::StrSplit(*text, '\n');
  const bool is_torn = !lines.back().empty();
  lines.pop_back();
  for (absl::string_view line : lines) {
    absl::Status status = ParseLine(line);
    if (!status.ok()) return status;
  }
  if (!is_torn) return absl::OkStatus();
  return ReplaceFile(File(kJournal), text->substr(0, text->rfind('\n') + 1));
}

absl::Status WorkDirectory::ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
  bool is_valid = fields.size() == 3;
  std::vector<uint64_t> numbers;
  for (absl::string_view text :
       absl::StrSplit(is_valid ? fields[1] : "", ' ', absl::SkipEmpty())) {
    numbers.push_back(0);
    is_valid = is_valid && absl::SimpleAtoi(text, &numbers.back());
  }
  for (absl::string_view text :
       absl::StrSplit(is_valid ? fields[2] : "", ' ', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> file = absl::StrSplit(text, ':');
    is_valid = is_valid && absl::SimpleAtoi(file.second, &sizes_[file.first]);
  }
  if (!is_valid) return BadJournal(line);
  finished_[std::string(fields[0])] = std::move(numbers);
  return absl::OkStatus();
}

absl::Status WorkDirectory::CheckFile(absl::string_view name) const {
  if (IsRemoved(name)) return absl::OkStatus();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto expected = sizes_.find(name);
  std::error_code error;
  const uint64_t found = fs::file_size(File(name), error);
  if (!error && expected != sizes_.end() && found == expected->second) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat(File(name),
                   ": the file is missing or has another size than "
                   "the journal says; start again without --resume"));
}

absl::Status WorkDirectory::BadJournal(absl::string_view stage) const {
  return absl::DataLossError(absl::StrCat(
      File(kJournal), ": expected a stage and its numbers, found '",
      absl::Utf8SafeCEscape(stage.substr(0, 100)),
      "'; start again without --resume"));
}

void WorkDirectory::Remove(absl::string_view name) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sizes_.contains(name)) {
      const std::string stage = RemovalStage(name);
      absl::Status status =
          AppendLine(File(kJournal), absl::StrCat(stage, "\t\t\n"));
      if (!status.ok()) return;  // a run that continues would miss the file
      finished_[stage] = {};
    }
  }
  unlink(File(name).c_str());
}

bool WorkDirectory::IsRemoved(absl::string_view name) const {
  return Finished(RemovalStage(name)) != nullptr;
}

absl::Status WorkDirectory::RemoveAll() {
  std::error_code error;
  fs::remove_all(path_, error);
  return error ? absl::ErrnoToStatus(error.value(), path_) : absl::OkStatus();
}

std::string TaskName(absl::Span<const std::string> inputs) {
  std::string text;
  for (const std::string& input : inputs) {
    absl::StrAppend(&text, input.size(), ":", input);
  }
  return Sha256(text).substr(0, 16);
}

std::string AbsolutePath(const std::string& path) {
  if (path.empty()) return "";
  std::error_code error;
  return fs::absolute(path, error).lexically_normal().string();
}

std::string FileIdentity(const std::string& path) {
  if (path.empty()) return "";
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  const auto changed = fs::last_write_time(path, error).time_since_epoch();
  return absl::StrCat(AbsolutePath(path), " ", size, " ",
                      int64_t{changed.count()});
}

uint64_t FreeDiskBytes(const std::string& directory) {
  struct statvfs info;
  if (statvfs(directory.c_str(), &info) != 0) return UINT64_MAX;
  return uint64_t{info.f_bavail} * info.f_frsize;
}

absl::Status CheckFreeDisk(const std::string& directory, uint64_t needed,
                           absl::string_view what) {
  const uint64_t free = FreeDiskBytes(directory);
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrFormat(
      "%s needs about %.2f GB in %s, which has %.2f GB left; free some space "
      "or choose another directory with --temporary, and continue with "
      "--resume, or train with a lower --order",
      what, needed * 1e-9, directory, free * 1e-9));
}

}  // namespace lmserve
