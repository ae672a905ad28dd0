// SPDX-License-Identifier: Apache-2.0
#include "reranking/chrf.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "reranking/unicode_text.h"

namespace lmserve {
namespace {

std::u32string WithoutSpace(absl::string_view text) {
  std::u32string code_points = ToCodePoints(text);
  code_points.erase(
      std::remove_if(code_points.begin(), code_points.end(), IsUnicodeSpace),
      code_points.end());
  return code_points;
}

}  // namespace

std::string ChrfSignature(int references) {
  return absl::StrCat("nrefs:", references,
                      "|case:mixed|eff:yes|nc:6|nw:0|space:no");
}

ChrfCounts& ChrfCounts::operator+=(const ChrfCounts& other) {
  for (int n = 0; n < kOrder; ++n) {
    system[n] += other.system[n];
    reference[n] += other.reference[n];
    correct[n] += other.correct[n];
  }
  return *this;
}

NgramProfile CountCharacters(absl::string_view text) {
  const std::u32string characters = WithoutSpace(text);
  return NgramProfile(
      std::vector<uint32_t>(characters.begin(), characters.end()),
      ChrfCounts::kOrder);
}

ChrfCounts CountChrf(absl::string_view system, absl::string_view reference) {
  return CountChrf(CountCharacters(system), CountCharacters(reference));
}

ChrfCounts CountChrf(const NgramProfile& system,
                     const NgramProfile& reference) {
  ChrfCounts counts;
  for (size_t order = 1; order <= ChrfCounts::kOrder; ++order) {
    const uint64_t in_reference = reference.total(order);
    if (in_reference == 0) break;
    counts.reference[order - 1] = in_reference;
    counts.system[order - 1] = system.total(order);
    counts.correct[order - 1] = system.CountCommon(reference, order);
  }
  return counts;
}

double Chrf(const ChrfCounts& counts) {
  constexpr double kFactor = 4;  // beta squared
  double precision = 0, recall = 0;
  int orders = 0;
  for (int n = 0; n < ChrfCounts::kOrder; ++n) {
    if (counts.system[n] == 0 || counts.reference[n] == 0) continue;
    const auto correct = static_cast<double>(counts.correct[n]);
    precision += correct / static_cast<double>(counts.system[n]);
    recall += correct / static_cast<double>(counts.reference[n]);
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  return 100 * (1 + kFactor) * precision * recall /
         (kFactor * precision + recall);
}

}  // namespace lmserve
