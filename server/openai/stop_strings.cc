// SPDX-License-Identifier: Apache-2.0
#include "server/openai/stop_strings.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace lmserve {

StopStrings::StopStrings(std::vector<std::string> stops)
    : stops_(std::move(stops)) {}

bool StopStrings::Add(CompletionToken token,
                      std::vector<CompletionToken>* tokens, std::string* text) {
  held_text_ += token.text;
  held_.push_back(std::move(token));
  if (const size_t stop = Find(); stop != std::string::npos) {
    Release(stop, /*cut=*/true, tokens, text);
    held_.clear();
    held_text_.clear();
    return true;
  }
  Release(held_text_.size() - Undecided(), /*cut=*/false, tokens, text);
  return false;
}

void StopStrings::Finish(std::vector<CompletionToken>* tokens,
                         std::string* text) {
  Release(held_text_.size(), /*cut=*/false, tokens, text);
}

size_t StopStrings::Find() const {
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    first = std::min(first, held_text_.find(stop));
  }
  return first;
}

size_t StopStrings::Undecided() const {
  const absl::string_view text = held_text_;
  size_t longest = 0;
  for (const std::string& stop : stops_) {
    size_t size = std::min(text.size(), stop.size() - 1);
    while (size > longest &&
           !absl::StartsWith(stop, text.substr(text.size() - size))) {
      --size;
    }
    longest = std::max(longest, size);
  }
  return longest;
}

void StopStrings::Release(size_t size, bool cut,
                          std::vector<CompletionToken>* tokens,
                          std::string* text) {
  size_t count = 0;
  size_t begin = 0;  // of the next word
  while (count < held_.size()) {
    const size_t end = begin + held_[count].text.size();
    if (cut ? begin >= size : end > size) break;
    begin = end;
    ++count;
  }
  const auto last = held_.begin() + static_cast<ptrdiff_t>(count);
  std::move(held_.begin(), last, std::back_inserter(*tokens));
  held_.erase(held_.begin(), last);
  const size_t moved = std::min(begin, size);
  text->append(held_text_, 0, moved);
  held_text_.erase(0, moved);
}

}  // namespace lmserve
