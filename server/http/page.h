// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_PAGE_H_
#define LMSERVE_SERVER_HTTP_PAGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// A file of the folder page/, which the program contains. The views stay valid
// while the program runs.
struct PageFile {
  absl::string_view name;   // such as "style.css"
  absl::string_view bytes;  // as they are
  absl::string_view gzip;   // compressed; empty if gzip was not there at build
};

// Returns all files, sorted by name; none if the program was built with
// LMSERVE_PAGE=OFF. CMake generates the definition.
absl::Span<const PageFile> PageFiles();

// What a path of the page gets.
struct PageAsset {
  std::string path;        // "/" for index.html, and "/style.css"
  absl::string_view type;  // the media type
  std::string etag;        // changes with the bytes; with its quotes
  absl::string_view bytes;
  absl::string_view gzip;  // empty: not compressed
};

// The files by their paths. Nothing is read from disk, so no path can lead out
// of them. Immutable.
class Page {
 public:
  explicit Page(absl::Span<const PageFile> files);

  // Returns the asset of a path, or null.
  const PageAsset* Find(absl::string_view path) const;

  const std::vector<PageAsset>& assets() const { return assets_; }

 private:
  std::vector<PageAsset> assets_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_PAGE_H_
