// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_ASSET_H_
#define LMSERVE_SERVER_HTTP_ASSET_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/call/task.h"
#include "server/http/http_request.h"
#include "server/http/http_stream.h"

namespace lmserve {

// A file that the program contains. The views stay valid while it runs.
struct EmbeddedFile {
  absl::string_view name;   // such as "style.css"
  absl::string_view bytes;  // as they are
  absl::string_view gzip;   // compressed; empty if gzip was not there at build
};

// Return files that embed_files.cmake puts into the program, sorted by name:
// the page, which is absent if it was built with LMSERVE_PAGE=OFF; and
// openapi.json.
absl::Span<const EmbeddedFile> PageFiles();
absl::Span<const EmbeddedFile> OpenApiFiles();

// What a path gets that always has the same answer.
struct Asset {
  std::string path;        // such as "/style.css"
  absl::string_view type;  // the media type
  std::string etag;        // changes with the bytes; with its quotes
  absl::string_view bytes;
  absl::string_view gzip;  // empty: not compressed
};

Asset MakeAsset(std::string path, const EmbeddedFile& file);

// Answers a request with an asset: compressed if the client accepts it, without
// a body if it has the asset already. The head gets the fields, too. The asset
// must outlive the stream.
DetachedTask AnswerAsset(const Asset& asset, std::vector<HttpField> fields,
                         std::shared_ptr<HttpStream> stream);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_ASSET_H_
