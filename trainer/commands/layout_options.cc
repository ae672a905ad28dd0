// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/layout_options.h"

#include "absl/strings/str_cat.h"
#include "models/ngram/compact/value_trie_builder.h"

namespace lmserve {

void AddLayoutOptions(cli::App& command, absl::string_view sizes,
                      LayoutOptions* options) {
  command
      .add_option("--layout", options->layout,
                  absl::StrCat("How the model is stored: fast takes about 19 "
                               "bytes per n-gram, compact ",
                               sizes, "; the probabilities are the same"))
      ->check(cli::IsMember(
          {std::string(kCompactLayout), std::string(kFastLayout)}))
      ->capture_default_str();
  command
      .add_option("--quantize", options->quantize,
                  absl::StrCat("With --layout compact: store log-probabilities "
                               "with this many bits, rounded; 8 bits take 2 to "
                               "5 bytes per n-gram. The probabilities of a "
                               "context no longer sum to exactly 1"))
      ->check(cli::Range(kMinQuantizeBits, kMaxQuantizeBits));
}

void CheckLayoutOptions(const LayoutOptions& options) {
  if (options.quantize == 0 || options.is_compact()) return;
  throw cli::ValidationError("--quantize", "expected --layout compact");
}

absl::StatusOr<NgramFileContents> BuildTableFile(const NgramTable& table,
                                                 const LayoutOptions& options) {
  if (!options.is_compact()) return BuildFastFile(table);
  return BuildValuesFile(table, options.quantize);
}

void AddLayoutProperties(const LayoutOptions& options,
                         std::map<std::string, std::string>* properties) {
  (*properties)["layout"] = options.layout;
  if (options.quantize > 0) {
    (*properties)["quantize"] = absl::StrCat(options.quantize);
  }
}

}  // namespace lmserve
