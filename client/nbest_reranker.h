#ifndef LMSERVE_CLIENT_NBEST_RERANKER_H_
#define LMSERVE_CLIENT_NBEST_RERANKER_H_

#include <cstdint>
#include <future>
#include <iosfwd>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/client.h"
#include "reranking/nbest_line.h"

namespace lmserve {

struct NbestOptions {
  // Write the best text of each list, rather than the list with features of the
  // models appended.
  bool one_best = false;
  // Of a list; all where a reranker or the minimum Bayes risk may compare them.
  size_t candidates_per_call = 500;
  size_t lists_at_once = 16;  // asked before the first of them is written
  // What the candidates with the ids 0, 1, ... translate; or none.
  std::vector<std::string> sources = {};
};

// Sends n-best lists of any length to a server, list by list, and writes what
// comes of them, in their order. Takes the memory of a few lists. One thread at
// a time.
class NbestReranker {
 public:
  // What a text that is impossible under a model gets in place of minus
  // infinity, which is no number to those who read lists.
  static constexpr double kImpossible = -1e6;

  // `request` has all but the candidates: models, weights, normalization. The
  // client must outlive it.
  NbestReranker(const Client& client, lm::v1::RerankRequest request,
                NbestOptions options)
      : client_(client),
        request_(std::move(request)),
        options_(std::move(options)),
        candidates_per_call_(IsOfWholeLists() ? SIZE_MAX
                                              : options_.candidates_per_call) {}

  // How far it has come.
  struct Progress {
    uint64_t lists = 0;
    uint64_t candidates = 0;
    uint64_t bytes = 0;  // of the input
  };

  // Reads all of `in`, lists as Moses and Marian write them (nbest_line.h), the
  // lines of each standing together. Blank lines and ends of lines, CR LF or
  // LF, come back as they were; so does all of a line but the features
  // appended. `progress` is called after each list. Errors name the line or the
  // lines; the lists before those are written.
  absl::Status Run(std::istream& in, std::ostream& out,
                   absl::FunctionRef<void(const Progress&)> progress);

 private:
  // A line of the input. A blank one is no candidate.
  struct Line {
    std::string end;  // "\n", "\r\n", or nothing at the end of the input
    bool is_blank;
    NbestLine candidate;  // of a blank one its text alone
  };

  using Response = absl::StatusOr<lm::v1::RerankResponse>;

  // Lines of one id, and what was asked of them, a call for so many at a time.
  struct List {
    uint64_t first_line;
    std::vector<Line> lines;
    std::vector<const NbestLine*> candidates;
    std::vector<std::future<Response>> responses;
  };

  // Whether candidates may be compared with each other.
  bool IsOfWholeLists() const {
    return request_.has_minimum_bayes_risk() || !request_.reranker().empty();
  }
  // Whether the lines' own features are weighed.
  bool SendsFeatures() const {
    return options_.one_best || !request_.reranker().empty();
  }
  static absl::StatusOr<Line> ParseLine(std::string text, std::string end);
  void Ask(List* list) const;
  Response AskPart(absl::Span<const NbestLine* const> candidates) const;
  absl::Status Write(List& list, std::ostream& out);
  void WriteAppended(const List& list,
                     absl::Span<const lm::v1::RerankResponse> responses,
                     std::ostream& out) const;
  void WriteBest(const List& list,
                 absl::Span<const lm::v1::RerankResponse> responses,
                 std::ostream& out) const;

  const Client& client_;
  const lm::v1::RerankRequest request_;
  const NbestOptions options_;
  const size_t candidates_per_call_;
  Progress progress_;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_NBEST_RERANKER_H_
