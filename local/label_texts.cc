// SPDX-License-Identifier: Apache-2.0
#include "local/label_texts.h"

#include <algorithm>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "local/score_texts.h"
#include "model_store/status_context.h"
#include "models/text.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

// Returns the ids of the words of texts.
absl::StatusOr<std::vector<std::vector<WordId>>> Encode(
    const Vocabulary& vocabulary, absl::Span<const absl::string_view> texts) {
  std::vector<std::vector<WordId>> encoded;
  encoded.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    absl::StatusOr<std::vector<WordId>> words = WordsOf(vocabulary, texts[i]);
    if (!words.ok()) {
      return WithContext(absl::StrCat("text ", i), words.status());
    }
    encoded.push_back(*std::move(words));
  }
  return encoded;
}

// Calls run(begin, end) for the texts [begin, end) of each batch.
void ForEachBatch(absl::Span<const std::vector<WordId>> texts,
                  absl::FunctionRef<void(size_t, size_t)> run) {
  size_t begin = 0, words = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    words += std::max<size_t>(1, texts[i].size());
    if (words < kBatchWords && i + 1 < texts.size()) continue;
    run(begin, i + 1);
    begin = i + 1;
    words = 0;
  }
}

}  // namespace

absl::StatusOr<std::vector<float>> EmbedTexts(
    const SentenceEncoder& encoder, absl::Span<const absl::string_view> texts,
    const LocalEmbedOptions& options) {
  const absl::StatusOr<std::vector<std::vector<WordId>>> words =
      Encode(encoder.sentence_vocabulary(), texts);
  if (!words.ok()) return words.status();
  const size_t columns = encoder.dimensions();
  std::vector<float> matrix(texts.size() * columns);
  const auto row = [&](size_t i) {
    return absl::MakeSpan(matrix).subspan(i * columns, columns);
  };
  ForEachBatch(*words, [&](size_t begin, size_t end) {
    std::vector<SentenceEncoder::Sentence> batch;
    for (size_t i = begin; i < end; ++i) batch.push_back({(*words)[i], row(i)});
    encoder.Encode(batch, options.pooling);
  });
  for (size_t i = 0; options.normalize && i < texts.size(); ++i) {
    ScaleToNormOne(row(i));
  }
  return matrix;
}

absl::StatusOr<std::vector<std::vector<size_t>>> TagTexts(
    const TaggerModel& tagger, absl::Span<const absl::string_view> sentences) {
  const absl::StatusOr<std::vector<std::vector<WordId>>> ids =
      Encode(tagger.vocabulary(), sentences);
  if (!ids.ok()) return ids.status();
  std::vector<std::vector<absl::string_view>> words;
  std::vector<std::vector<size_t>> labels;
  for (size_t i = 0; i < sentences.size(); ++i) {
    if (FindInvalidUtf8(sentences[i]) != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("text ", i, ": expected valid UTF-8"));
    }
    words.push_back(SplitWords(sentences[i]));
    labels.emplace_back(words.back().size());
  }
  ForEachBatch(*ids, [&](size_t begin, size_t end) {
    std::vector<TaggerModel::Sentence> batch;
    for (size_t i = begin; i < end; ++i) {
      if (words[i].empty()) continue;
      batch.push_back({words[i], absl::MakeSpan(labels[i])});
    }
    if (!batch.empty()) tagger.Tag(batch);
  });
  return labels;
}

absl::StatusOr<std::vector<float>> ClassifyTexts(
    const ClassifierModel& classifier,
    absl::Span<const absl::string_view> texts) {
  const absl::StatusOr<std::vector<std::vector<WordId>>> words =
      Encode(classifier.vocabulary(), texts);
  if (!words.ok()) return words.status();
  const size_t columns = classifier.labels().size();
  std::vector<float> matrix(texts.size() * columns);
  ForEachBatch(*words, [&](size_t begin, size_t end) {
    std::vector<ClassifierModel::Sentence> batch;
    for (size_t i = begin; i < end; ++i) {
      batch.push_back(
          {(*words)[i], absl::MakeSpan(matrix).subspan(i * columns, columns)});
    }
    classifier.Classify(batch);
  });
  return matrix;
}

}  // namespace lmserve
