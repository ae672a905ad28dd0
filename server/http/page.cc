// SPDX-License-Identifier: Apache-2.0
#include "server/http/page.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lmserve {

Page::Page(absl::Span<const EmbeddedFile> files) {
  for (const EmbeddedFile& file : files) {
    assets_.push_back(MakeAsset(
        absl::StrCat("/", file.name == "index.html" ? "" : file.name), file));
  }
}

const Asset* Page::Find(absl::string_view path) const {
  const auto found =
      std::find_if(assets_.begin(), assets_.end(),
                   [&](const Asset& asset) { return asset.path == path; });
  return found == assets_.end() ? nullptr : &*found;
}

}  // namespace lmserve
