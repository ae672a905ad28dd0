// SPDX-License-Identifier: Apache-2.0
#include "client/ask_about_texts.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/output.h"
#include "client/text_source.h"
#include "models/utf8.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

// Enough to make the cost of a call small, and so little that results appear
// soon.
constexpr size_t kTextsPerCall = 256;

// The most words that a text has: each but the last is followed by a space.
size_t MostWords(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), absl::ascii_isspace) + 1;
}

struct NamedText {
  std::string text;
  std::string name;  // for messages: "line 2"
  bool is_valid;
};

// Reads the texts of the next call; none at the end and after an error.
std::vector<NamedText> ReadTexts(size_t most_words, TextSource* source) {
  std::vector<NamedText> texts;
  size_t words = 0;
  std::string text;
  while (texts.size() < kTextsPerCall && words < most_words &&
         source->Next(&text)) {
    const bool is_valid = FindInvalidUtf8(text) == std::string::npos;
    words += MostWords(text);
    texts.push_back(
        {std::move(text), source->Name(source->number()), is_valid});
  }
  return texts;
}

void PrintProblem(const NamedText& text, bool as_json) {
  constexpr char kProblem[] = "invalid UTF-8";
  if (as_json) {
    std::cout << DumpJson({{"text", text.text}, {"error", kProblem}}) << "\n";
  } else {
    std::cout << text.name << ": " << kProblem << "\n";
  }
}

// Asks about some texts in one call and prints the answers. Returns whether any
// text could be sent.
absl::StatusOr<bool> AskOnce(const std::vector<NamedText>& texts,
                             const TextQuestion& question) {
  std::vector<std::string> sent, names;
  for (const NamedText& text : texts) {
    if (!text.is_valid) continue;
    sent.emplace_back(WithoutSentenceMarkers(text.text));
    names.push_back(text.name);
  }
  if (!sent.empty()) {
    absl::Status status = question.send(sent);
    if (!status.ok()) return WithTextName(status, question.field, names);
  }
  size_t answer = 0;
  for (const NamedText& text : texts) {
    if (text.is_valid) {
      question.print(answer++, text.text);
    } else {
      PrintProblem(text, question.as_json);
    }
  }
  std::cout.flush();
  return !sent.empty();
}

}  // namespace

absl::Status WithTextName(const absl::Status& status, absl::string_view field,
                          absl::Span<const std::string> names) {
  absl::string_view message = status.message();
  if (!absl::ConsumePrefix(&message, absl::StrCat(field, "["))) return status;
  const size_t end = message.find(']');
  size_t i = 0;
  if (end == absl::string_view::npos ||
      !absl::SimpleAtoi(message.substr(0, end), &i) || i >= names.size()) {
    return status;
  }
  message.remove_prefix(end + 1);
  absl::ConsumePrefix(&message, ".text");
  absl::ConsumePrefix(&message, ": ");
  return absl::Status(status.code(), absl::StrCat(names[i], ": ", message));
}

absl::StatusOr<bool> AskAboutTexts(const std::vector<std::string>& arguments,
                                   const TextQuestion& question) {
  NoteIfFile(arguments, "< FILE");
  TextSource source(arguments);
  bool has_text = false, has_answer = false;
  while (true) {
    const std::vector<NamedText> texts =
        ReadTexts(question.words_per_call, &source);
    if (texts.empty()) break;
    has_text = true;
    const absl::StatusOr<bool> answered = AskOnce(texts, question);
    if (!answered.ok()) return answered.status();
    has_answer = has_answer || *answered;
  }
  if (!source.status().ok()) return source.status();
  return has_answer || !has_text;
}

}  // namespace lmserve
