// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_PAGE_H_
#define LMSERVE_SERVER_HTTP_PAGE_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/http/asset.h"

namespace lmserve {

// The files of the page by their paths: "/" for index.html, and "/style.css".
// Nothing is read from disk, so no path can lead out of them. Immutable.
class Page {
 public:
  explicit Page(absl::Span<const EmbeddedFile> files);

  // Returns the asset of a path, or null.
  const Asset* Find(absl::string_view path) const;

  const std::vector<Asset>& assets() const { return assets_; }

 private:
  std::vector<Asset> assets_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_PAGE_H_
