// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_PYTHON_TEXT_H_
#define LMSERVE_LOCAL_PYTHON_PYTHON_TEXT_H_

#include <nanobind/nanobind.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve::python {

// Return the bytes of a str in UTF-8; BytesOrText() also those of a bytes
// object. The view is valid as long as the object. Raise TypeError for another
// type, and UnicodeEncodeError for a str with a lone surrogate.
absl::string_view TextOf(nanobind::handle object);
absl::string_view BytesOrText(nanobind::handle object);

// The strs of an iterable. Owns references to them, so the views stay valid
// without the GIL, which must be held for the construction and destruction.
class Texts {
 public:
  Texts() = default;
  // Raises TypeError if the iterable is a str, or has an item that is not one.
  explicit Texts(nanobind::handle iterable);
  // One str.
  static Texts Of(nanobind::handle text);

  absl::Span<const absl::string_view> views() const { return views_; }
  size_t size() const { return views_.size(); }

 private:
  nanobind::object objects_;
  std::vector<absl::string_view> views_;
};

// Returns the path of a str, bytes or os.PathLike object.
std::string PathOf(nanobind::handle path);

// Returns a path as a str from which PathOf() makes the same path: that of
// os.fsdecode().
nanobind::str PathStr(absl::string_view path);

// Returns a text for people. Bytes that are not UTF-8 become \xNN.
nanobind::str Shown(absl::string_view text);

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_PYTHON_TEXT_H_
