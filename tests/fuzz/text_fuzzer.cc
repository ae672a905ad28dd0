// SPDX-License-Identifier: Apache-2.0
//
// Reads any bytes as a text: decompresses them, reads lines, splits them by
// each rule, and reads lines of n-best lists and texts with labels.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/text.h"
#include "models/utf8.h"
#include "reranking/nbest_line.h"
#include "tests/fuzz/require.h"
#include "text_io/decoder.h"
#include "text_io/encoder.h"
#include "text_io/line_reader.h"
#include "text_io/text_format.h"
#include "trainer/text/labeled_text.h"
#include "trainer/text/sentence_splitter.h"

namespace lmserve {
namespace {

constexpr Compression kCompressions[] = {Compression::kGzip, Compression::kXz,
                                         Compression::kBzip2,
                                         Compression::kZstd};
// Decompressed data may be much larger; this much of it is enough.
constexpr size_t kMostBytes = 1 << 20;

// Decompresses bytes. Returns whether they are complete.
bool Decode(Compression compression, absl::string_view bytes,
            std::string* text) {
  const auto decoder = Decoder::Create(compression);
  absl::string_view input = bytes;
  while (text->size() < kMostBytes) {
    const size_t before = text->size(), left = input.size();
    if (!decoder->Decode(&input, /*ended=*/true, text)) return false;
    Require(input.size() <= left, "input is consumed");
    if (text->size() == before && input.size() == left) break;
  }
  return decoder->IsComplete() && input.empty();
}

void ReadCompressed(absl::string_view bytes) {
  for (Compression compression : kCompressions) {
    std::string text;
    Decode(compression, bytes, &text);
    std::string encoded, again;
    Require(Encoder::Create(compression)->Encode(bytes, true, &encoded),
            "bytes can be compressed");
    Require(CompressionOf(encoded) == compression, "it is recognized");
    Require(Decode(compression, encoded, &again) || bytes.size() >= kMostBytes,
            "what was compressed can be decompressed");
    Require(
        again.substr(0, bytes.size()) == bytes || again.size() < bytes.size(),
        "the bytes are unchanged");
  }
}

// Returns a text without the byte order marks at the starts of its lines.
std::string WithoutMarks(absl::string_view text) {
  std::string result;
  while (!text.empty()) {
    while (const size_t mark = ByteOrderMarkLength(text)) {
      text.remove_prefix(mark);
    }
    if (text.empty()) break;
    const absl::string_view line =
        text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    result.append(line.data(), line.size());
    text.remove_prefix(line.size());
  }
  return result;
}

void ReadLines(absl::string_view bytes) {
  const auto lines = LineReader::FromString(std::string(bytes));
  std::string text;
  absl::string_view line;
  while (lines->Next(&line)) {
    text.append(line.data(), line.size());
    if (lines->has_line_end()) text += '\n';
    for (UnwantedWord rule :
         {UnwantedWord::kRefuse, UnwantedWord::kSkip, UnwantedWord::kReplace}) {
      TextRules rules;
      rules.markers = rules.invalid_utf8 = rules.unknown = rule;
      std::vector<absl::string_view> words;
      const absl::Status status =
          SentenceSplitter(*lines, rules).Split(line, &words);
      Require(status.ok() || rule == UnwantedWord::kRefuse,
              "only a rule refuses words");
      if (!status.ok()) continue;
      for (absl::string_view word : words) {
        Require(IsWord(word) && word != "<s>" && word != "</s>" &&
                    FindInvalidUtf8(word) == absl::string_view::npos,
                "a word is a word");
      }
    }
    const auto candidate = ParseNbestLine(line);
    if (!candidate.ok()) continue;
    const std::vector<Feature> features = {{"lm", -2.5}};
    const std::string once = WithFeatures(*candidate, features);
    const auto again = ParseNbestLine(once);
    if (!again.ok()) continue;
    Require(WithFeatures(*again, features) == once,
            "a list that is scored twice stays as it is");
  }
  if (!lines->status().ok()) return;
  Require(WithoutMarks(bytes) == text, "the lines are the text");
}

// Reads a text with labels in each form.
void ReadLabels(absl::string_view bytes) {
  const auto check =
      [](const absl::StatusOr<std::vector<LabeledSentence>>& text,
         bool has_one_label) {
        if (!text.ok()) return;
        Require(!text->empty(), "a text with labels has a sentence");
        for (const LabeledSentence& sentence : *text) {
          Require(sentence.labels.size() ==
                      (has_one_label ? 1 : sentence.words.size()),
                  "each word, or the sentence, has a label");
          Require(!sentence.words.empty(), "a sentence has words");
          for (const auto* words : {&sentence.words, &sentence.labels}) {
            for (const std::string& word : *words) {
              Require(IsWord(word) &&
                          FindInvalidUtf8(word) == absl::string_view::npos,
                      "words and labels are words");
            }
          }
        }
        const auto index = IndexLabeledText(*text, "", 2);
        if (!index.ok()) return;
        std::vector<std::string> spellings;
        Require(ToIds(*text, *index, "text", &spellings).size() == text->size(),
                "no sentence of the training text is left out");
      };
  const auto open = [&] { return LineReader::FromString(std::string(bytes)); };
  check(ReadTaggedText(*open(), {}), false);
  check(ReadTaggedText(
            *open(), {.is_conllu = false, .word_column = 1, .label_column = 0}),
        false);
  check(ReadClassifiedText(*open()), true);
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  lmserve::ReadCompressed(bytes);
  lmserve::ReadLines(bytes);
  lmserve::ReadLabels(bytes);
  return 0;
}
