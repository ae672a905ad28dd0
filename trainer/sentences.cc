#include "trainer/sentences.h"

#include "absl/strings/str_cat.h"
#include "models/text.h"

namespace lmserve {
namespace {

constexpr size_t kBatchWords = 1 << 16;

}  // namespace

bool SentenceReader::Next(SentenceBatch* batch) {
  batch->words.clear();
  batch->ends.clear();
  absl::string_view line;
  while (status_.ok() && batch->words.size() < kBatchWords) {
    if (!lines_.Next(&line)) break;
    status_ = Add(line, batch);
    progress_.Update(tokens_, lines_.Progress());
  }
  if (status_.ok() && batch->words.empty()) status_ = Finish();
  return status_.ok() && !batch->words.empty();
}

absl::Status SentenceReader::Add(absl::string_view line, SentenceBatch* batch) {
  const std::vector<absl::string_view> sentence = SplitWords(line);
  if (sentence.empty()) {
    ++blank_lines_;
    return absl::OkStatus();
  }
  for (absl::string_view word : sentence) {
    const WordId id = vocabulary_.Find(word);
    if (id == vocabulary_.begin_sentence() ||
        id == vocabulary_.end_sentence()) {
      return LineError(lines_, absl::StrCat("expected plain words, found the ",
                                            "sentence marker ", word));
    }
    batch->words.push_back(id);
  }
  batch->words.push_back(vocabulary_.end_sentence());
  batch->ends.push_back(batch->words.size());
  tokens_ += sentence.size() + 1;
  return absl::OkStatus();
}

// At the end of the lines.
absl::Status SentenceReader::Finish() {
  if (!lines_.status().ok()) return lines_.status();
  if (tokens_ == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        lines_.name(), ": no sentence in it, expected one at least"));
  }
  progress_.Finish(tokens_);
  return absl::OkStatus();
}

std::vector<float> ScoreSentences(const LanguageModel& model,
                                  const SentenceBatch& batch) {
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  std::vector<float> log_probs(batch.words.size());
  std::vector<LanguageModel::Query> queries;
  size_t begin = 0;
  for (size_t end : batch.ends) {
    queries.push_back(
        {start.data(),
         absl::MakeConstSpan(batch.words).subspan(begin, end - begin), nullptr,
         absl::MakeSpan(log_probs).subspan(begin, end - begin)});
    begin = end;
  }
  model.Score(queries);
  return log_probs;
}

}  // namespace lmserve
