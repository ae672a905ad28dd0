// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/counts_input.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/sha256.h"
#include "tests/fuzz/require.h"
#include "tests/text_io/compress.h"
#include "text_io/byte_source.h"
#include "trainer/counting/counts_directory.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/window_file.h"

namespace lmserve {
namespace {

constexpr absl::string_view kPartEnd = "lmcount.";
constexpr size_t kPartEndBytes = 64 + kPartEnd.size();
// The words of CountsInput::kText are the markers and these.
constexpr WordId kTextWords = 16;
constexpr int kMaxTextOrder = 6;

std::string PartName(size_t part) { return absl::StrCat("part-", part); }

// Returns the next byte, or 0 at the end.
uint8_t TakeByte(absl::string_view* rest) {
  if (rest->empty()) return 0;
  const auto byte = static_cast<uint8_t>(rest->front());
  rest->remove_prefix(1);
  return byte;
}

using Windows = std::map<std::vector<WordId>, uint64_t>;

// Returns the window at a place of a text, filled up with zeros.
std::vector<WordId> WindowAt(absl::Span<const WordId> text, size_t place,
                             size_t order) {
  std::vector<WordId> window;
  while (window.size() < order && place < text.size()) {
    window.push_back(text[place]);
    if (text[place++] == kEndId) break;
  }
  window.resize(order);
  return window;
}

// Returns the text of the bytes: </s> ends a sentence, <s> is in front of each.
std::vector<WordId> TextOf(absl::string_view bytes) {
  std::vector<WordId> text = {kBeginId};
  for (char byte : bytes) {
    const WordId word = static_cast<uint8_t>(byte) % kTextWords;
    text.push_back(word == kBeginId ? static_cast<WordId>(kEndId) : word);
    if (text.back() == kEndId) text.push_back(kBeginId);
  }
  if (text.back() == kBeginId && text.size() > 1) text.pop_back();
  if (text.back() != kEndId) text.push_back(kEndId);
  return text;
}

// Puts a changed window in the form of windows.
std::vector<WordId> Normal(std::vector<WordId> window) {
  bool is_over = false;
  for (size_t i = 0; i < window.size(); ++i) {
    if (is_over || (i > 0 && window[i] == kBeginId)) window[i] = kUnknownId;
    is_over = is_over || window[i] == kEndId;
  }
  return window;
}

void Change(uint8_t which, uint8_t what, uint8_t value, Windows* windows) {
  if (windows->empty()) return;
  const auto place = std::next(windows->begin(),
                               which % static_cast<ptrdiff_t>(windows->size()));
  std::vector<WordId> window = place->first;
  const uint64_t count = place->second;
  switch (what % 5) {
    case 0:
      windows->erase(place);
      return;
    case 1:
      place->second = 1 + value;
      return;
    case 2:
      place->second = uint64_t{1} << value % 64;
      return;
    case 3:
      windows->erase(place);
      break;
    default:
      break;
  }
  window[value / kTextWords % window.size()] = value % kTextWords;
  (*windows)[Normal(window)] += count;
}

// Writes a part of some windows.
void WritePart(const Windows& windows, int order, const std::string& path) {
  auto writer = WindowWriter::Create(path, order).value();
  std::vector<WordId> last;
  for (const auto& [window, count] : windows) {
    int shared = 0;
    while (!last.empty() && window[shared] == last[shared]) ++shared;
    writer->Add(window.data(), shared, std::max<uint64_t>(count, 1));
    last = window;
  }
  RequireOk(writer->Close(/*is_durable=*/false), "a part can be written");
}

}  // namespace

std::vector<std::string> WorkFiles(CountsInput kind) {
  switch (kind) {
    case CountsInput::kMerge:
      return {"journal", "spill-0"};
    case CountsInput::kCount:
      return {"journal", "ids", "id-map", "text.json", "spill-0"};
    default: {
      // The trie has order 4.
      std::vector<std::string> files = {"journal"};
      for (int k = 1; k <= 4; ++k) {
        files.push_back(TrieWordsFile(k));
        files.push_back(TrieCountsFile(k));
        if (k < 4) files.push_back(TrieDegreesFile(k));
        if (k < 4) files.push_back(TrieAdjustedFile(k));
        if (k > 2) files.push_back(TrieRanksFile(k));
      }
      files.push_back(TrieLinksFile(3));
      return files;
    }
  }
}

std::string JoinPieces(CountsInput kind,
                       const std::vector<std::string>& pieces) {
  std::string input(1, static_cast<char>(kind));
  for (const std::string& piece : pieces) {
    const auto size = static_cast<uint16_t>(piece.size());
    Require(size == piece.size(), "a piece of a seed is small");
    input.append(reinterpret_cast<const char*>(&size), sizeof size);
    input += piece;
  }
  return input;
}

std::vector<std::string> SplitPieces(absl::string_view rest) {
  std::vector<std::string> pieces;
  uint16_t size;
  while (rest.size() >= sizeof size && pieces.size() < kMaxPieces) {
    std::memcpy(&size, rest.data(), sizeof size);
    rest.remove_prefix(sizeof size);
    pieces.emplace_back(rest.substr(0, size));
    rest.remove_prefix(pieces.back().size());
  }
  return pieces;
}

void WriteCounts(const std::vector<std::string>& pieces,
                 const std::string& directory) {
  std::filesystem::create_directory(directory);
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string name = i == 0   ? "counts.json"
                             : i == 1 ? std::string(kWordsFile)
                                      : PartName(i - 2);
    const std::string end =
        i < 2 ? "" : absl::StrCat(Sha256(pieces[i]), kPartEnd);
    WriteBytes(absl::StrCat(directory, "/", name), pieces[i] + end);
  }
}

std::vector<std::string> ReadCountsPieces(const std::string& directory) {
  const CountsManifest manifest = ReadCountsManifest(directory).value();
  std::vector<std::string> pieces = {
      ReadAllBytes(directory + "/counts.json").value(),
      ReadAllBytes(absl::StrCat(directory, "/", kWordsFile)).value()};
  for (size_t i = 0; i < manifest.parts.size(); ++i) {
    Require(manifest.parts[i].name == PartName(i), "parts have these names");
    std::string part =
        ReadAllBytes(absl::StrCat(directory, "/", PartName(i))).value();
    part.resize(part.size() - kPartEndBytes);
    pieces.push_back(std::move(part));
  }
  return pieces;
}

void WriteTextCounts(absl::string_view rest, const std::string& directory) {
  std::filesystem::create_directory(directory);
  CountsManifest manifest;
  manifest.order = 1 + TakeByte(&rest) % kMaxTextOrder;
  manifest.vocabulary = kTextWords;
  std::vector<std::array<uint8_t, 3>> changes(TakeByte(&rest) % 8);
  for (auto& change : changes) {
    for (uint8_t& byte : change) byte = TakeByte(&rest);
  }
  const std::vector<WordId> text = TextOf(rest);
  Windows windows;
  for (size_t i = 0; i < text.size(); ++i) {
    ++windows[WindowAt(text, i, manifest.order)];
  }
  for (const auto& [which, what, value] : changes) {
    Change(which, what, value, &windows);
  }
  std::array<uint64_t, kTextWords> counts = {};
  for (const auto& [window, count] : windows) counts[window[0]] += count;
  std::string words;
  for (WordId word = 0; word < kTextWords; ++word) {
    const std::string name = word == kUnknownId ? "<unk>"
                             : word == kBeginId ? "<s>"
                             : word == kEndId   ? "</s>"
                                                : absl::StrCat("w", word);
    absl::StrAppend(&words, counts[word], "\t", word, "\t", name, "\n");
  }
  WriteBytes(absl::StrCat(directory, "/", kWordsFile), words);
  // The first windows are in a part of their own.
  Windows first;
  while (!windows.empty() && first.size() < 3) {
    first.insert(windows.extract(windows.begin()));
  }
  manifest.parts = {{PartName(0), first.size()}, {PartName(1), windows.size()}};
  WritePart(first, manifest.order, absl::StrCat(directory, "/", PartName(0)));
  WritePart(windows, manifest.order, absl::StrCat(directory, "/", PartName(1)));
  manifest.totals.sentences = 1;
  manifest.totals.self_test = {{0, "w3 w4"}};
  RequireOk(WriteCountsManifest(directory, manifest), "counts can be written");
}

std::string MutatePieces(std::minstd_rand& random, CountsInput kind,
                         absl::string_view rest, PieceMutator mutate) {
  std::vector<std::string> pieces = SplitPieces(rest);
  if (pieces.empty()) pieces.emplace_back();
  std::string& piece = pieces[random() % pieces.size()];
  constexpr size_t kMaxGrowth = 32;
  const size_t size = piece.size();
  const size_t most = std::min<size_t>(size + kMaxGrowth, UINT16_MAX);
  piece.resize(most);
  // Most changes of the length of a file make it one that is refused.
  piece.resize(mutate(piece.data(), size, random() % 2 == 0 ? size : most));
  return JoinPieces(kind, pieces);
}

}  // namespace lmserve
