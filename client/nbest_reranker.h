// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_NBEST_RERANKER_H_
#define LMSERVE_CLIENT_NBEST_RERANKER_H_

#include <cstdint>
#include <future>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/client.h"
#include "reranking/nbest_line.h"
#include "text_io/line_reader.h"

namespace lmserve {

struct NbestOptions {
  // Write only the best text of each list, instead of the list with the models'
  // features appended. With `sources`, whose order the lists keep, an empty
  // line is written for a source without a list.
  bool one_best = false;
  // The most candidates in one call. Ignored with a reranker or the minimum
  // Bayes risk, which may compare all candidates of a list with each other.
  size_t candidates_per_call = 500;
  // The number of lists that are sent before the first result is written.
  size_t lists_at_once = 16;
  // The source texts of the lists with the ids first_id, first_id + 1, ...;
  // empty for none.
  std::vector<std::string> sources = {};
  // Without a value: 0, and the first list must have this id.
  std::optional<uint64_t> first_id = std::nullopt;
};

// Sends n-best lists of any length to a server, list by list, and writes the
// results in the same order. It keeps only a few lists in memory. Not
// thread-safe.
class NbestReranker {
 public:
  // Written instead of minus infinity, the log-probability of a text that is
  // impossible under a model, because programs that read n-best lists do not
  // accept infinity.
  static constexpr double kImpossible = -1e6;

  // `request` has everything but the candidates. The client must outlive this
  // object.
  NbestReranker(const Client& client, lm::v1::RerankRequest request,
                NbestOptions options)
      : client_(client),
        request_(std::move(request)),
        options_(std::move(options)),
        candidates_per_call_(
            ComparesCandidates() ? SIZE_MAX : options_.candidates_per_call) {}

  // What has been processed so far.
  struct Progress {
    uint64_t lists = 0;       // written
    uint64_t candidates = 0;  // of these lists
    // Numbers between the ids of two lists that no list has, as where a
    // sentence has no translation.
    uint64_t missing = 0;
    // The part of the input that was read, from 0 to 1; -1 if not known.
    double fraction = -1;
  };

  // Reads n-best lists in the format of Moses and Marian (see nbest_line.h)
  // from `in` to its end. The lines of a list must be consecutive: an id that
  // comes back is an error. The output keeps blank lines, line ends (CR LF or
  // LF) and everything in a line, and appends features to it; a feature that
  // the line has already, because the list was scored before, is replaced.
  // Calls `progress` after each list. An error names the line or lines where it
  // occurred; the lists before these are written.
  absl::Status Run(LineReader& in, std::ostream& out,
                   absl::FunctionRef<void(const Progress&)> progress);

 private:
  // A line of the input.
  struct Line {
    std::string end;      // "\n", "\r\n", or "" at the end of the input
    bool is_blank;        // a blank line is not a candidate
    NbestLine candidate;  // only `line` is set if is_blank
  };

  using Response = absl::StatusOr<lm::v1::RerankResponse>;

  // The lines with one id, and the calls made for them.
  struct List {
    uint64_t first_line;  // its number in the input, from 1
    std::vector<Line> lines;
    std::vector<const NbestLine*> candidates;  // in `lines`
    // One for each candidates_per_call_ candidates.
    std::vector<std::future<Response>> responses;
  };

  // Whether a request must have all candidates of a list, because the server
  // may compare them with each other.
  bool ComparesCandidates() const {
    return request_.has_minimum_bayes_risk() || !request_.reranker().empty();
  }
  // Whether requests contain the features of the lines themselves.
  bool SendsFeatures() const {
    return options_.one_best || !request_.reranker().empty();
  }
  static absl::StatusOr<Line> ParseLine(std::string text, std::string end);
  // Checks the id of the first line of a list. `ended` has the last line of
  // each list so far, and `current` is the id of the list before.
  absl::Status CheckBegin(
      const NbestLine& line, uint64_t number,
      const absl::flat_hash_map<std::string, uint64_t>& ended,
      absl::string_view current) const;
  // Whether a feature of a line is replaced by that of a model.
  bool IsReplaced(absl::string_view name) const;
  // Starts the calls for a list.
  void Send(List* list) const;
  // Makes one call and waits for its response.
  Response Rerank(absl::Span<const NbestLine* const> candidates) const;
  // Waits for the responses to a list and writes its result.
  absl::Status Write(List& list, std::ostream& out);
  void WriteAppended(const List& list,
                     absl::Span<const lm::v1::RerankResponse> responses,
                     std::ostream& out) const;
  void WriteBest(const List& list,
                 absl::Span<const lm::v1::RerankResponse> responses,
                 std::ostream& out) const;
  // Counts the numbers before `id` that no list has, and writes the empty lines
  // of their sources.
  void PassOver(absl::string_view id, std::ostream& out);
  // Writes the empty lines of the sources with the ids from next_id_ to `end`.
  void WriteEmptyLines(uint64_t end, std::ostream& out) const;

  const Client& client_;
  const lm::v1::RerankRequest request_;
  const NbestOptions options_;
  const size_t candidates_per_call_;
  Progress progress_;
  // The number that the id of the next list is expected to be; none if the ids
  // are no ascending numbers.
  std::optional<uint64_t> next_id_;
  bool first_list_ = true;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_NBEST_RERANKER_H_
