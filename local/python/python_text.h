// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_PYTHON_TEXT_H_
#define LMSERVE_LOCAL_PYTHON_PYTHON_TEXT_H_

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve::python {

// Return the bytes of a str in UTF-8; BytesOrText() also those of a bytes
// object. The view is valid as long as the object. Raise TypeError for another
// type, and UnicodeEncodeError for a str with a lone surrogate.
absl::string_view TextOf(nanobind::handle object);
absl::string_view BytesOrText(nanobind::handle object);

// Returns copies of the strs of an iterable other than a str.
std::vector<std::string> TextsOf(nanobind::handle iterable);

// Views of strings, which must outlive them.
std::vector<absl::string_view> ViewsOf(const std::vector<std::string>& texts);

// Returns the path of a str, bytes or os.PathLike object.
std::string PathOf(nanobind::handle path);

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_PYTHON_TEXT_H_
