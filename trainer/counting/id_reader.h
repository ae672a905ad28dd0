// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_ID_READER_H_
#define LMSERVE_TRAINER_COUNTING_ID_READER_H_

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "models/vocabulary.h"
#include "trainer/counting/byte_file.h"

namespace lmserve {

// Some sentences as ids of the model, each followed by </s>, without <s>.
using IdBlock = std::vector<WordId>;

// Reads the sentences of a file of ids. Thread-safe.
class IdReader {
 public:
  // `ids` must outlive the reader.
  static absl::StatusOr<std::unique_ptr<IdReader>> Open(
      const std::string& path, const std::vector<std::vector<WordId>>& ids);

  // Reads the next sentences. Returns false at the end.
  absl::StatusOr<bool> Next(IdBlock* block);

 private:
  IdReader(std::unique_ptr<ByteReader> file,
           const std::vector<std::vector<WordId>>& ids)
      : file_(std::move(file)), ids_(ids) {}

  std::mutex mutex_;
  const std::unique_ptr<ByteReader> file_;  // guarded by mutex_
  const std::vector<std::vector<WordId>>& ids_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_ID_READER_H_
