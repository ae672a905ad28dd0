// SPDX-License-Identifier: Apache-2.0
#include "client/nbest_reranker.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <ostream>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/text_source.h"
#include "models/utf8.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

// Reads the next line and its end ("\n", "\r\n", or "" at the end of the
// input). Returns false at the end of the input.
bool ReadLine(LineReader& in, std::string* text, std::string* end) {
  absl::string_view line;
  if (!in.Next(&line)) return false;
  const bool has_return = absl::ConsumeSuffix(&line, "\r");
  text->assign(line.data(), line.size());
  *end = absl::StrCat(has_return ? "\r" : "", in.has_line_end() ? "\n" : "");
  return true;
}

bool HasFeature(absl::Span<const Feature> features, absl::string_view name) {
  return std::any_of(
      features.begin(), features.end(),
      [&](const Feature& feature) { return feature.name == name; });
}

// Returns the features of the models, without those that were sent to the
// server as the line's own.
std::vector<Feature> ModelFeatures(const lm::v1::RerankResponse& response,
                                   const lm::v1::RankedCandidate& candidate,
                                   absl::Span<const Feature> own) {
  std::vector<Feature> features;
  for (int i = 0; i < candidate.features_size(); ++i) {
    const std::string& name = response.feature_names(i);
    if (HasFeature(own, name)) continue;
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
  if (FindInvalidUtf8(text) != std::string::npos) {
    return absl::InvalidArgumentError("invalid UTF-8");
  }
  absl::StatusOr<NbestLine> candidate = ParseNbestLine(text);
  if (!candidate.ok()) return candidate.status();
  line.candidate = *std::move(candidate);
  return line;
}

absl::Status NbestReranker::Run(
    LineReader& in, std::ostream& out,
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
  absl::flat_hash_map<std::string, uint64_t> ended;  // the last line of each id
  for (uint64_t number = 1; ReadLine(in, &text, &end); ++number) {
    progress_.fraction = in.Progress();
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
    if (begins) {
      problem = CheckBegin(line->candidate, number, ended, id);
      if (!problem.ok()) break;
      id = line->candidate.id;
    }
    if (!line->is_blank) ended[id] = number;
    list.lines.push_back(*std::move(line));
  }
  if (problem.ok()) problem = in.status();
  if (problem.ok() && !list.lines.empty()) {
    if (absl::Status status = end_list(0); !status.ok()) return status;
  }
  while (!sent.empty()) {
    if (absl::Status status = write_first(); !status.ok()) return status;
  }
  if (problem.ok()) {
    WriteEmptyLines(options_.first_id.value_or(0) + options_.sources.size(),
                    out);
  }
  return problem;
}

absl::Status NbestReranker::CheckBegin(
    const NbestLine& line, uint64_t number,
    const absl::flat_hash_map<std::string, uint64_t>& ended,
    absl::string_view current) const {
  const std::string prefix = absl::StrCat("line ", number, ": id: ");
  if (const auto found = ended.find(line.id); found != ended.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat(prefix, "expected '", absl::CHexEscape(current),
                     "' or a new id, found '", absl::CHexEscape(line.id),
                     "', whose list ended in line ", found->second,
                     "; the lines of a list must be consecutive"));
  }
  if (options_.sources.empty()) return absl::OkStatus();
  size_t id;
  const bool is_number = absl::SimpleAtoi(line.id, &id);
  const size_t first = options_.first_id.value_or(0);
  if (is_number && id >= first && id - first < options_.sources.size()) {
    // Sources of a list that starts with the id 1 could be off by one.
    if (options_.first_id || !ended.empty() || id == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        prefix, "expected 0 as the first id with --sources, found ", id,
        "; --first-id says which id belongs to the first line of --sources, "
        "such as 1, or 0 if the list does not start with its first sentence"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(prefix, "expected the number of a line of --sources, from ",
                   first, " to ", first + options_.sources.size() - 1,
                   ", found '", absl::CHexEscape(line.id), "'"));
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

bool NbestReranker::IsReplaced(absl::string_view name) const {
  if (!request_.reranker().empty()) return false;
  // A feature with several numbers has an index.
  if (absl::EndsWith(name, "]")) name = name.substr(0, name.rfind('['));
  for (const std::string& model : request_.models()) {
    for (const char* suffix : {"", ".unknown", ".words", ".end"}) {
      if (name == absl::StrCat(model, suffix)) return true;
    }
  }
  const auto& reverse = request_.reverse_models();
  return std::find(reverse.begin(), reverse.end(), name) != reverse.end();
}

NbestReranker::Response NbestReranker::Rerank(
    absl::Span<const NbestLine* const> candidates) const {
  lm::v1::RerankRequest request = request_;
  if (options_.one_best) request.set_best(1);
  // The features of models do not depend on weights, which may be those of
  // features of the lines.
  if (!SendsFeatures()) request.clear_weights();
  if (!options_.sources.empty()) {
    size_t id = 0;  // CheckBegin() has checked it
    (void)absl::SimpleAtoi(candidates[0]->id, &id);
    request.mutable_source()->set_text(std::string(WithoutSentenceMarkers(
        options_.sources[id - options_.first_id.value_or(0)])));
  }
  for (const NbestLine* line : candidates) {
    lm::v1::Candidate* candidate = request.add_candidates();
    candidate->mutable_text()->set_text(
        std::string(WithoutSentenceMarkers(line->hypothesis)));
    if (!SendsFeatures()) continue;
    for (const Feature& feature : line->features) {
      if (IsReplaced(feature.name)) continue;
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
  if (!list.candidates.empty()) PassOver(list.candidates[0]->id, out);
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
      if (!request_.reranker().empty()) own = list.candidates[i]->features;
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

void NbestReranker::PassOver(absl::string_view id, std::ostream& out) {
  uint64_t number = 0;
  const bool is_number = absl::SimpleAtoi(id, &number);
  if (std::exchange(first_list_, false) && is_number) {
    next_id_ =
        options_.sources.empty() ? number : options_.first_id.value_or(0);
  }
  if (!is_number || !next_id_ || number < *next_id_) {
    next_id_.reset();
    return;
  }
  progress_.missing += number - *next_id_;
  WriteEmptyLines(number, out);
  next_id_ = number + 1;
}

void NbestReranker::WriteEmptyLines(uint64_t end, std::ostream& out) const {
  if (!options_.one_best || !next_id_ || options_.sources.empty()) return;
  for (uint64_t i = *next_id_; i < end; ++i) out << "\n";
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
