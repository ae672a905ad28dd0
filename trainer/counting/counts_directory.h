// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_COUNTS_DIRECTORY_H_
#define LMSERVE_TRAINER_COUNTING_COUNTS_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/counting/text_ids.h"
#include "trainer/counting/window_file.h"

namespace lmserve {

// The n-gram counts of a text as a directory: its words, its sorted windows in
// several files, and counts.json, which names them. The format is specified in
// FORMAT.md, so that other programs can write it.

inline constexpr char kWordsFile[] = "words";

// A file of windows.
struct CountsPart {
  std::string name;  // in the directory
  uint64_t windows = 0;
};

// The content of counts.json.
struct CountsManifest {
  int order = 0;
  uint64_t vocabulary = 0;  // the number of words, with the three markers
  // Whether the words were given, and not taken from the text.
  bool has_fixed_vocabulary = false;
  // Words that occur less often are counted as <unk>.
  uint64_t min_count = 1;
  TextTotals totals;
  // About the number of different n-grams of each order, from 1 on. May be
  // empty: only the need of disk is estimated from it.
  std::vector<uint64_t> ngrams;
  // In the order of their windows.
  std::vector<CountsPart> parts;
};

// The totals of a text as the fields of a JSON object, and back. Reading
// returns the first problem, or "".
void AddTotals(const TextTotals& totals, nlohmann::json* object);
std::string ReadTotals(const nlohmann::json& object, TextTotals* totals);

// Reads counts.json. NOT_FOUND if it does not exist: the counts are not
// complete. DATA_LOSS, naming the field, if it is damaged.
absl::StatusOr<CountsManifest> ReadCountsManifest(const std::string& directory);

// Writes counts.json, the last file of a directory.
absl::Status WriteCountsManifest(const std::string& directory,
                                 const CountsManifest& manifest);

// Reads the list of words to its end. Fails as ReadWordList() does, and with
// DATA_LOSS if it has not as many words as counts.json says, on which the size
// of tables depends.
absl::Status CheckWords(const std::string& directory,
                        const CountsManifest& manifest);

// Reads all windows of a directory, in order, as one file. Not thread-safe.
class CountsReader {
 public:
  static absl::StatusOr<std::unique_ptr<CountsReader>> Open(
      const std::string& directory, const CountsManifest& manifest);

  // Like WindowReader. DATA_LOSS also if the files do not follow each other.
  bool Next();
  const WordId* window() const { return reader_->window(); }
  int shared() const { return shared_; }
  uint64_t count() const { return reader_->count(); }
  const absl::Status& status() const { return status_; }

  // The numbers of windows that were read, and of all.
  uint64_t windows_read() const { return windows_read_; }
  uint64_t windows() const { return windows_; }

 private:
  CountsReader(std::string directory, const CountsManifest& manifest);

  // Opens the next file. Returns false after the last one.
  bool OpenNext();

  const std::string directory_;
  const int order_;
  const uint64_t vocabulary_;
  const std::vector<CountsPart> parts_;
  uint64_t windows_ = 0;
  uint64_t windows_read_ = 0;
  uint64_t positions_ = 0;  // of the files that were opened
  size_t next_part_ = 0;
  std::unique_ptr<WindowReader> reader_;
  bool is_first_ = true;  // of its file
  Window last_ = {};      // of the file before
  int shared_ = 0;
  absl::Status status_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_COUNTS_DIRECTORY_H_
