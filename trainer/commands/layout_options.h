// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_LAYOUT_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_LAYOUT_OPTIONS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "models/ngram/ngram_table.h"
#include "trainer/ngram/publish_ngram.h"

namespace lmserve {

// How an n-gram model is stored: --layout and --quantize.

// The values of --layout.
inline constexpr absl::string_view kCompactLayout = "compact";
inline constexpr absl::string_view kFastLayout = "fast";

struct LayoutOptions {
  std::string layout = std::string(kFastLayout);
  int quantize = 0;  // bits; 0: exact

  bool is_compact() const { return layout == kCompactLayout; }
};

// `sizes` completes the sentence that says how many bytes per n-gram the
// compact layout takes.
void AddLayoutOptions(cli::App& command, absl::string_view sizes,
                      LayoutOptions* options);

// Throws the exception by which CLI11 reports a wrong command line if
// --quantize is not for the layout.
void CheckLayoutOptions(const LayoutOptions& options);

// Builds the file of a table.
absl::StatusOr<NgramFileContents> BuildTableFile(const NgramTable& table,
                                                 const LayoutOptions& options);

// Adds what a version says of its layout.
void AddLayoutProperties(const LayoutOptions& options,
                         std::map<std::string, std::string>* properties);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_LAYOUT_OPTIONS_H_
