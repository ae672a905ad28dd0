// SPDX-License-Identifier: Apache-2.0
#include "client/text_source.h"

#include <iostream>

namespace lmserve {

bool ArgumentsOrLines::Next(std::string* text) {
  if (reads_lines()) return static_cast<bool>(std::getline(std::cin, *text));
  if (next_ == arguments_.size()) return false;
  *text = arguments_[next_++];
  return true;
}

bool TextSource::Next(std::string* text) {
  for (; texts_.Next(text); ++blank_) {
    if (texts_.reads_lines() && !text->empty() && text->back() == '\r') {
      text->pop_back();
    }
    ++read_;
    if (text->find_first_not_of(" \t\r\v\f") != std::string::npos) return true;
  }
  return false;
}

}  // namespace lmserve
