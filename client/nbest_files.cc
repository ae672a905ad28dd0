// SPDX-License-Identifier: Apache-2.0
#include "client/nbest_files.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/nbest_reranker.h"

namespace lmserve {
namespace {

// A line on standard error, if that is a terminal, with how much of the n-best
// list has been reranked.
class ProgressLine {
 public:
  // `bytes` is the size of the list; 0 if it is not known.
  explicit ProgressLine(uint64_t bytes) : bytes_(bytes) {}

  void Update(const NbestReranker::Progress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(200)) return;
    last_ = now;
    Print(progress, "");
  }

  void Finish(const NbestReranker::Progress& progress) const {
    if (shown_) Print(progress, "\n");
  }

 private:
  void Print(const NbestReranker::Progress& progress, const char* end) const {
    std::cerr << "\r";
    if (bytes_ > 0) std::cerr << progress.bytes * 100 / bytes_ << " %, ";
    std::cerr << progress.lists << " lists, " << progress.candidates
              << " candidates" << end << std::flush;
  }

  const uint64_t bytes_;
  const bool shown_ = isatty(STDERR_FILENO) != 0;
  std::chrono::steady_clock::time_point last_;
};

// Returns 0 for what has no size, such as a pipe.
uint64_t FileSize(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : size;
}

// Returns the lines of the file; none if `path` is empty.
absl::StatusOr<std::vector<std::string>> ReadSources(const std::string& path) {
  std::vector<std::string> sources;
  if (path.empty()) return sources;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) {
    return absl::NotFoundError(
        absl::StrCat("--sources: cannot read '", path, "'"));
  }
  for (std::string line; std::getline(file, line);) sources.push_back(line);
  return sources;
}

}  // namespace

absl::Status RerankNbestFile(const Client& client,
                             const lm::v1::RerankRequest& request,
                             const NbestFiles& files) {
  std::ifstream file;
  if (files.nbest != "-") {
    file.open(files.nbest, std::ios::binary);
    if (!file.is_open()) {
      return absl::NotFoundError(
          absl::StrCat("--nbest: cannot read '", files.nbest, "'"));
    }
  }
  absl::StatusOr<std::vector<std::string>> sources = ReadSources(files.sources);
  if (!sources.ok()) return sources.status();
  NbestReranker reranker(
      client, request,
      {.one_best = files.one_best, .sources = *std::move(sources)});
  ProgressLine line(FileSize(files.nbest));
  NbestReranker::Progress last;
  absl::Status status =
      reranker.Run(files.nbest == "-" ? std::cin : file, std::cout,
                   [&](const NbestReranker::Progress& progress) {
                     last = progress;
                     line.Update(progress);
                   });
  line.Finish(last);
  std::cout.flush();
  return status;
}

}  // namespace lmserve
