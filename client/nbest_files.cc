// SPDX-License-Identifier: Apache-2.0
#include "client/nbest_files.h"

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/nbest_reranker.h"
#include "text_io/line_reader.h"

namespace lmserve {
namespace {

// A line on standard error, if that is a terminal, with how much of the n-best
// list has been reranked.
class ProgressLine {
 public:
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
    if (progress.fraction >= 0) {
      std::cerr << static_cast<int>(progress.fraction * 100) << " %, ";
    }
    std::cerr << progress.lists << " lists, " << progress.candidates
              << " candidates" << end << std::flush;
  }

  const bool shown_ = isatty(STDERR_FILENO) != 0;
  std::chrono::steady_clock::time_point last_;
};

// Opens the file that an option names.
absl::StatusOr<std::unique_ptr<LineReader>> Open(absl::string_view option,
                                                 const std::string& path) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(path);
  if (lines.ok()) return lines;
  return absl::Status(lines.status().code(),
                      absl::StrCat(option, ": cannot read '", path,
                                   "': ", lines.status().message()));
}

// Returns the lines of the file; none if `path` is empty.
absl::StatusOr<std::vector<std::string>> ReadSources(const std::string& path) {
  std::vector<std::string> sources;
  if (path.empty()) return sources;
  absl::StatusOr<std::unique_ptr<LineReader>> lines = Open("--sources", path);
  if (!lines.ok()) return lines.status();
  absl::string_view line;
  while ((*lines)->Next(&line)) {
    sources.emplace_back(absl::StripSuffix(line, "\r"));
  }
  if (!(*lines)->status().ok()) return (*lines)->status();
  if (!sources.empty()) return sources;
  return absl::InvalidArgumentError(absl::StrCat(
      "--sources: expected a line for each list, found none in '", path, "'"));
}

}  // namespace

absl::Status RerankNbestFile(const Client& client,
                             const lm::v1::RerankRequest& request,
                             const NbestFiles& files) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      Open("--nbest", files.nbest);
  if (!lines.ok()) return lines.status();
  absl::StatusOr<std::vector<std::string>> sources = ReadSources(files.sources);
  if (!sources.ok()) return sources.status();
  NbestReranker reranker(client, request,
                         {.one_best = files.one_best,
                          .sources = *std::move(sources),
                          .first_id = files.first_id});
  ProgressLine line;
  NbestReranker::Progress last;
  absl::Status status = reranker.Run(
      **lines, std::cout, [&](const NbestReranker::Progress& progress) {
        last = progress;
        line.Update(progress);
      });
  line.Finish(last);
  std::cout.flush();
  if (files.one_best && files.sources.empty() && last.missing > 0) {
    std::cerr << "lm_client: " << last.missing
              << " ids between those of the lists have no list; with --sources "
                 "an empty line is written for each\n";
  }
  return status;
}

}  // namespace lmserve
