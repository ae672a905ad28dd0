// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_COLUMN_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_COLUMN_OPTIONS_H_

#include <cstdint>
#include <string>

#include "command_line/cli.h"
#include "trainer/text/labeled_text.h"

namespace lmserve {

// The highest number of a column.
constexpr uint64_t kMostColumns = 1'000;

// --format, --word-column and --label-column of a text with one word a line.
struct ColumnOptions {
  std::string format = "conllu";
  uint64_t word_column = 0;   // 0: that of the format
  uint64_t label_column = 0;  // 0: that of the format

  // The format that the options describe.
  ColumnFormat Format() const;
};

void AddColumnOptions(cli::App& command, ColumnOptions* options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COLUMN_OPTIONS_H_
