// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/column_options.h"

namespace lmserve {

ColumnFormat ColumnOptions::Format() const {
  ColumnFormat columns;
  if (format == "columns") {
    columns = {.is_conllu = false, .word_column = 1, .label_column = 0};
  }
  if (word_column > 0) columns.word_column = word_column;
  if (label_column > 0) columns.label_column = label_column;
  return columns;
}

void AddColumnOptions(cli::App& command, ColumnOptions* options) {
  command
      .add_option("--format", options->format,
                  "Form of the texts, which have one word a line and blank "
                  "lines between sentences: conllu (CoNLL-U) or columns "
                  "(separated by white space, as in the CoNLL shared tasks)")
      ->check(cli::IsMember({"conllu", "columns"}))
      ->capture_default_str();
  command
      .add_option("--word-column", options->word_column,
                  "Column of the words, from 1 (default: 2 of CoNLL-U, else "
                  "1)")
      ->check(cli::Range(uint64_t{1}, kMostColumns));
  command
      .add_option("--label-column", options->label_column,
                  "Column of the labels, from 1 (default: 4 of CoNLL-U, UPOS; "
                  "else the last). XPOS of CoNLL-U is 5")
      ->check(cli::Range(uint64_t{1}, kMostColumns));
}

}  // namespace lmserve
