// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_WORK_DIRECTORY_H_
#define LMSERVE_TRAINER_COUNTING_WORK_DIRECTORY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The directory of the temporary files of one run, with a journal of what is
// finished, so that a run that was interrupted can continue. Thread-safe.
class WorkDirectory {
 public:
  // Opens `parent`/lm-`task`, where the task names the work and its inputs, and
  // creates both. The directory is locked until the destructor: UNAVAILABLE if
  // another process has it. Unless `resume`, files of an earlier run are
  // removed. PERMISSION_DENIED if another user has made the directory where all
  // users can, since that user could still change its files.
  static absl::StatusOr<std::unique_ptr<WorkDirectory>> Open(
      const std::string& parent, absl::string_view task, bool resume);

  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  ~WorkDirectory();

  const std::string& path() const { return path_; }
  std::string File(absl::string_view name) const;

  // What the journal says of a finished stage: numbers that the stage gave to
  // Finish(). Null if the stage is not finished.
  const std::vector<uint64_t>* Finished(absl::string_view stage) const;

  // Syncs the files of a stage, and then adds the stage to the journal.
  absl::Status Finish(const std::string& stage,
                      absl::Span<const std::string> files,
                      std::vector<uint64_t> numbers);

  // Fails with DATA_LOSS if a file of a finished stage has another size than
  // when the stage was finished, or is missing although it was not removed.
  absl::Status CheckFile(absl::string_view name) const;

  // Returns the error for a journal that has numbers that a stage cannot have
  // given to Finish().
  absl::Status BadJournal(absl::string_view stage) const;

  // Removes a file that is not needed any more. If it is one of a finished
  // stage, the journal says so first.
  void Remove(absl::string_view name);
  // Whether the journal says that a file of a finished stage was removed.
  bool IsRemoved(absl::string_view name) const;

  // Removes the directory: the work is done.
  absl::Status RemoveAll();

 private:
  WorkDirectory(std::string path, int lock)
      : path_(std::move(path)), lock_(lock) {}

  absl::Status ReadJournal();
  absl::Status ParseLine(absl::string_view line);

  const std::string path_;
  const int lock_;
  mutable std::mutex mutex_;  // guards the journal: what is below
  std::map<std::string, std::vector<uint64_t>, std::less<>> finished_;
  std::map<std::string, uint64_t, std::less<>> sizes_;
};

// Returns a name for the work on inputs: letters and digits that depend on all
// strings.
std::string TaskName(absl::Span<const std::string> inputs);

// Returns the absolute path of a file, which need not exist; "" for "".
std::string AbsolutePath(const std::string& path);

// Returns what identifies the present content of a file: its absolute path, its
// size and its time of change.
std::string FileIdentity(const std::string& path);

// Returns the number of bytes that can be written to a directory.
uint64_t FreeDiskBytes(const std::string& directory);

// RESOURCE_EXHAUSTED, with what helps, if the directory has less than `needed`
// bytes left. `what` names what they are needed for.
absl::Status CheckFreeDisk(const std::string& directory, uint64_t needed,
                           absl::string_view what);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_WORK_DIRECTORY_H_
