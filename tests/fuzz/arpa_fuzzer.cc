// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the reader of ARPA files. A text that is accepted must be a sound
// model.

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "ngram_files/arpa.h"
#include "tests/fuzz/check_imported.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

absl::StatusOr<ImportedNgrams> Read(std::string text, bool clamp_positive) {
  ArpaOptions options;
  options.clamp_positive = clamp_positive;
  return ReadArpa(*LineReader::FromString(std::move(text)), options);
}

void ReadAndCheck(absl::string_view text) {
  auto arpa = Read(std::string(text), /*clamp_positive=*/false);
  if (!arpa.ok()) arpa = Read(std::string(text), /*clamp_positive=*/true);
  if (arpa.ok()) CheckImported(*std::move(arpa));
}

// Changes a field of a line, mostly a number, else a word.
void MutateField(std::minstd_rand& random, std::string* line) {
  static constexpr absl::string_view kFields[] = {
      "0",     "-0",    "-99",  "-1e-7", "-0.5", "1",      "-inf",   "inf",
      "nan",   "-1e38", "1e38", "3e37",  "1e39", "-1e-45", "-100.5", "1e-310",
      "<unk>", "<UNK>", "<s>",  "</s>",  "the",  "cat",    "is",     "\\end\\"};
  std::vector<std::string> fields =
      absl::StrSplit(*line, absl::ByAnyChar("\t "));
  const absl::string_view field = kFields[random() % std::size(kFields)];
  const size_t at = random() % fields.size();
  switch (random() % 4) {
    case 0:
      fields.insert(fields.begin() + at, std::string(field));
      break;
    case 1:
      fields.erase(fields.begin() + at);
      break;
    default:
      fields[at] = std::string(field);
  }
  *line = absl::StrJoin(fields, random() % 2 == 0 ? " " : "\t");
}

// Duplicates, removes, moves or changes a line.
std::string MutateLines(std::minstd_rand& random, absl::string_view text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  const size_t from = random() % lines.size();
  const size_t to = random() % lines.size();
  switch (random() % 6) {
    case 0:
      lines.insert(lines.begin() + to, std::string(lines[from]));
      break;
    case 1:
      lines.erase(lines.begin() + from);
      break;
    case 2:
      std::swap(lines[from], lines[to]);
      break;
    default:
      MutateField(random, &lines[from]);
  }
  return absl::StrJoin(lines, "\n");
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::ReadAndCheck({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates lines and fields and, in one of three cases, bytes.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  random.discard(3);
  if (random() % 3 == 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::string text =
      lmserve::MutateLines(random, {reinterpret_cast<const char*>(data), size});
  if (text.size() > max_size) return size;
  std::copy(text.begin(), text.end(), data);
  return text.size();
}
