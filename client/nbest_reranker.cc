// SPDX-License-Identifier: Apache-2.0
#include "client/nbest_reranker.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <istream>
#include <ostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// Reads the next line and its end ("\n", "\r\n", or "" at the end of the
// input). Returns false at the end of the input.
bool ReadLine(std::istream& in, std::string* text, std::string* end) {
  if (!std::getline(in, *text)) return false;
  const bool is_last = in.eof();
  const bool has_return = !text->empty() && text->back() == '\r';
  if (has_return) text->pop_back();
  *end = absl::StrCat(has_return ? "\r" : "", is_last ? "" : "\n");
  return true;
}

// Returns the features of the models, without those that the line has already.
std::vector<Feature> ModelFeatures(const lm::v1::RerankResponse& response,
                                   const lm::v1::RankedCandidate& candidate,
                                   absl::Span<const Feature> own) {
  std::vector<Feature> features;
  for (int i = 0; i < candidate.features_size(); ++i) {
    const std::string& name = response.feature_names(i);
    if (std::any_of(own.begin(), own.end(), [&](const Feature& feature) {
          return feature.name == name;
        })) {
      continue;
    }
    const double value = candidate.features(i);
    features.push_back(
        {name, std::isinf(value) ? NbestReranker::kImpossible : value});
  }
  return features;
}

}  // namespace

absl::StatusOr<NbestReranker::Line> NbestReranker::ParseLine(std::string text,
                                                             std::string end) {
  Line line = {std::move(end), absl::StripAsciiWhitespace(text).empty(), {}};
  if (line.is_blank) {
    line.candidate.line = std::move(text);
    return line;
  }
  absl::StatusOr<NbestLine> candidate = ParseNbestLine(text);
  if (!candidate.ok()) return candidate.status();
  line.candidate = *std::move(candidate);
  return line;
}

absl::Status NbestReranker::Run(
    std::istream& in, std::ostream& out,
    absl::FunctionRef<void(const Progress&)> progress) {
  std::deque<List> sent;
  const auto write_first = [&] {
    absl::Status status = Write(sent.front(), out);
    sent.pop_front();
    progress(progress_);
    return status;
  };
  List list = {1, {}, {}, {}};
  // Sends the list that has ended, after waiting for room.
  const auto end_list = [&](uint64_t next_line) {
    absl::Status status;
    if (sent.size() == options_.lists_at_once) status = write_first();
    sent.push_back(std::exchange(list, {next_line, {}, {}, {}}));
    if (status.ok()) Send(&sent.back());
    return status;
  };
  // An invalid line ends the input; the lists before its own are written.
  absl::Status problem;
  std::string text, end, id;
  for (uint64_t number = 1; ReadLine(in, &text, &end); ++number) {
    progress_.bytes += text.size() + end.size();
    absl::StatusOr<Line> line = ParseLine(std::move(text), std::move(end));
    if (!line.ok()) {
      problem = absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": ", line.status().message()));
      break;
    }
    const bool begins = !line->is_blank && line->candidate.id != id;
    if (begins && !list.lines.empty()) {
      if (absl::Status status = end_list(number); !status.ok()) return status;
    }
    if (begins) id = line->candidate.id;
    list.lines.push_back(*std::move(line));
  }
  if (problem.ok() && !list.lines.empty()) {
    if (absl::Status status = end_list(0); !status.ok()) return status;
  }
  while (!sent.empty()) {
    if (absl::Status status = write_first(); !status.ok()) return status;
  }
  return problem;
}

void NbestReranker::Send(List* list) const {
  for (const Line& line : list->lines) {
    if (!line.is_blank) list->candidates.push_back(&line.candidate);
  }
  const auto candidates = absl::MakeConstSpan(list->candidates);
  for (size_t begin = 0; begin < candidates.size();
       begin += candidates_per_call_) {
    const auto part = candidates.subspan(begin, candidates_per_call_);
    list->responses.push_back(
        std::async(std::launch::async, [this, part] { return Rerank(part); }));
  }
}

NbestReranker::Response NbestReranker::Rerank(
    absl::Span<const NbestLine* const> candidates) const {
  lm::v1::RerankRequest request = request_;
  if (options_.one_best) request.set_best(1);
  if (!options_.sources.empty()) {
    size_t id;
    if (!absl::SimpleAtoi(candidates[0]->id, &id) ||
        id >= options_.sources.size()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "id: expected the number of a line of --sources, from 0 to ",
          options_.sources.size() - 1, ", found '", candidates[0]->id, "'"));
    }
    request.mutable_source()->set_text(options_.sources[id]);
  }
  for (const NbestLine* line : candidates) {
    lm::v1::Candidate* candidate = request.add_candidates();
    candidate->mutable_text()->set_text(line->hypothesis);
    if (!SendsFeatures()) continue;
    for (const Feature& feature : line->features) {
      (*candidate->mutable_features())[feature.name] = feature.value;
    }
  }
  return client_.Rerank(request);
}

absl::Status NbestReranker::Write(List& list, std::ostream& out) {
  std::vector<lm::v1::RerankResponse> responses;
  absl::Status status;
  for (std::future<Response>& future : list.responses) {
    Response response = future.get();
    if (response.ok()) {
      responses.push_back(*std::move(response));
    } else if (status.ok()) {
      status = response.status();
    }
  }
  if (!status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat("lines ", list.first_line, " to ",
                                     list.first_line + list.lines.size() - 1,
                                     ": ", status.message()));
  }
  options_.one_best ? WriteBest(list, responses, out)
                    : WriteAppended(list, responses, out);
  progress_.lists += list.candidates.empty() ? 0 : 1;
  progress_.candidates += list.candidates.size();
  return out.good() ? absl::OkStatus()
                    : absl::UnavailableError("cannot write the output");
}

void NbestReranker::WriteAppended(
    const List& list, absl::Span<const lm::v1::RerankResponse> responses,
    std::ostream& out) const {
  std::vector<std::vector<Feature>> features(list.candidates.size());
  for (size_t part = 0; part < responses.size(); ++part) {
    const size_t begin = part * candidates_per_call_;
    for (const auto& candidate : responses[part].candidates()) {
      const size_t i = begin + candidate.index();
      absl::Span<const Feature> own;
      if (SendsFeatures()) own = list.candidates[i]->features;
      features[i] = ModelFeatures(responses[part], candidate, own);
    }
  }
  size_t next = 0;
  for (const Line& line : list.lines) {
    out << (line.is_blank ? line.candidate.line
                          : WithFeatures(line.candidate, features[next++]))
        << line.end;
  }
}

void NbestReranker::WriteBest(
    const List& list, absl::Span<const lm::v1::RerankResponse> responses,
    std::ostream& out) const {
  if (list.candidates.empty()) return;
  size_t best_part = 0;
  for (size_t part = 1; part < responses.size(); ++part) {
    if (responses[part].candidates(0).score() >
        responses[best_part].candidates(0).score()) {
      best_part = part;
    }
  }
  const size_t best = best_part * candidates_per_call_ +
                      responses[best_part].candidates(0).index();
  out << list.candidates[best]->hypothesis << "\n";
}

}  // namespace lmserve
