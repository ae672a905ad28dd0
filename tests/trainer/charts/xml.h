// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TRAINER_CHARTS_XML_H_
#define LMSERVE_TESTS_TRAINER_CHARTS_XML_H_

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "models/utf8.h"

namespace lmserve {

// Checks that a text is well-formed XML of a simple kind: a declaration,
// elements, attributes in double quotes, and predefined entities.
class XmlChecker {
 public:
  // Returns the first problem, or "" if the text is well-formed.
  static std::string Problem(absl::string_view xml) {
    XmlChecker checker(xml);
    checker.Check();
    if (checker.problem_.empty()) return "";
    return absl::StrCat(checker.problem_, " at ", checker.rest_.substr(0, 40));
  }

 private:
  explicit XmlChecker(absl::string_view xml) : rest_(xml) {}

  void Check() {
    if (FindInvalidUtf8(rest_) != absl::string_view::npos) Fail("no UTF-8");
    if (!absl::ConsumePrefix(&rest_,
                             "<?xml version=\"1.0\" "
                             "encoding=\"UTF-8\"?>\n")) {
      Fail("no head");
    }
    int roots = 0;
    while (problem_.empty() && !rest_.empty()) {
      if (rest_[0] == '<') {
        roots += open_.empty();
        CheckTag();
      } else {
        CheckText("<");
      }
    }
    if (!open_.empty()) Fail("an element is not closed");
    if (roots != 1) Fail("not one root");
  }

  // Checks the text up to one of the end characters.
  void CheckText(absl::string_view ends) {
    while (!rest_.empty() && !absl::StrContains(ends, rest_[0])) {
      if (rest_[0] == '<' || rest_[0] == '>') return Fail("a bracket");
      if (rest_[0] == '&' && !ConsumeEntity()) return Fail("a bare &");
      if (absl::ascii_iscntrl(rest_[0]) && rest_[0] != '\n') {
        return Fail("a control character");
      }
      if (open_.empty() && rest_[0] != '\n') return Fail("text outside");
      rest_.remove_prefix(1);
    }
  }

  // Consumes an entity except for its semicolon.
  bool ConsumeEntity() {
    for (absl::string_view name : {"&amp", "&lt", "&gt", "&quot", "&apos"}) {
      if (absl::StartsWith(rest_, absl::StrCat(name, ";"))) {
        rest_.remove_prefix(name.size());
        return true;
      }
    }
    return false;
  }

  void CheckTag() {
    if (absl::ConsumePrefix(&rest_, "</")) {
      const std::string name = ConsumeName();
      if (open_.empty() || open_.back() != name) return Fail("a wrong end");
      open_.pop_back();
    } else {
      rest_.remove_prefix(1);
      open_.push_back(ConsumeName());
      while (absl::ConsumePrefix(&rest_, " ")) CheckAttribute();
      if (absl::ConsumePrefix(&rest_, "/")) open_.pop_back();
    }
    if (!absl::ConsumePrefix(&rest_, ">")) Fail("no end of a tag");
  }

  std::string ConsumeName() {
    std::string name;
    while (!rest_.empty() &&
           (absl::ascii_isalnum(rest_[0]) || rest_[0] == '-')) {
      name += rest_[0];
      rest_.remove_prefix(1);
    }
    if (name.empty()) Fail("no name");
    return name;
  }

  void CheckAttribute() {
    ConsumeName();
    if (!absl::ConsumePrefix(&rest_, "=\"")) return Fail("no value");
    CheckText("\"");
    if (!absl::ConsumePrefix(&rest_, "\"")) Fail("no end of a value");
  }

  // Records a problem, unless there already is one.
  void Fail(absl::string_view problem) {
    if (problem_.empty()) problem_ = std::string(problem);
  }

  absl::string_view rest_;
  std::vector<std::string> open_;  // names of the open elements
  std::string problem_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TRAINER_CHARTS_XML_H_
