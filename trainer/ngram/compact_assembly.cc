// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/compact_assembly.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/base/macros.h"
#include "absl/strings/str_cat.h"
#include "models/model_factory.h"
#include "models/ngram/compact/count_trie_builder.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/shared_progress.h"
#include "trainer/counting/trie_reader.h"
#include "trainer/ngram/compact_estimate.h"
#include "trainer/ngram/section_files.h"

namespace lmserve {
namespace {

constexpr uint64_t kContextsPerCheck = 1 << 16;
constexpr char kModelStage[] = "model";

std::string SurveyStage(int k) { return absl::StrCat("survey-", k); }
std::string LevelStage(int k) { return absl::StrCat("level-", k); }

// What is known of the n-grams of an order after they were read once.
struct Survey {
  CountsOfCounts counts_of_counts = {};
  RankLevelPlan plan;  // of their contexts
};

// The numbers of a survey in the journal, and back.
std::vector<uint64_t> ToNumbers(const Survey& survey) {
  std::vector<uint64_t> numbers(survey.counts_of_counts.begin(),
                                survey.counts_of_counts.end());
  numbers.push_back(survey.plan.direct);
  const auto add = [&numbers](absl::Span<const uint8_t> widths) {
    numbers.insert(numbers.end(), widths.begin(), widths.end());
  };
  add(survey.plan.rank_bits);
  add(survey.plan.count_bits);
  return numbers;
}

absl::StatusOr<Survey> FromNumbers(absl::Span<const uint64_t> numbers) {
  Survey survey;
  if (numbers.size() != ToNumbers(survey).size()) {
    return absl::DataLossError(
        "the journal is damaged; start again without --resume");
  }
  auto next = numbers.begin();
  for (uint64_t& number : survey.counts_of_counts) number = *next++;
  survey.plan.direct = *next++;
  for (uint8_t& width : survey.plan.rank_bits) width = *next++;
  for (uint8_t& width : survey.plan.count_bits) width = *next++;
  return survey;
}

class CompactAssembler {
 public:
  CompactAssembler(const TrieShape& shape, const Smoothing& smoothing,
                   const StopFlag* stop, WorkDirectory& work)
      : shape_(shape), smoothing_(smoothing), stop_(stop), work_(work) {}

  // Reads all orders once, unless that is done already.
  absl::StatusOr<std::vector<Survey>> SurveyAll(int threads);

  absl::Status Assemble(absl::Span<const Survey> surveys);

 private:
  // Calls `add` for each context of the n-grams of order k.
  template <typename Add>
  absl::Status ForEachContext(int k, SharedProgress* progress, const Add& add);

  absl::Status SurveyOrder(int k, SharedProgress* progress);
  absl::StatusOr<std::vector<uint64_t>> ReadUnigrams();
  absl::Status AddLevel(int k, const Survey& survey, CountTrieBuilder& builder);
  absl::StatusOr<BuiltRankLevel> OpenLevel(int k, const Survey& survey);
  // Removes the files that only the level of the contexts of order k needed.
  void RemoveTrieFiles(int k);

  uint64_t CountOf(const TrieChild& child) const {
    return smoothing_.adjusts_counts() ? child.count : child.text_count;
  }

  const TrieShape& shape_;
  const Smoothing& smoothing_;
  const StopFlag* const stop_;
  WorkDirectory& work_;
};

template <typename Add>
absl::Status CompactAssembler::ForEachContext(int k, SharedProgress* progress,
                                              const Add& add) {
  absl::StatusOr<std::unique_ptr<TrieReader>> reader =
      TrieReader::Open(shape_, k, work_);
  if (!reader.ok()) return reader.status();
  std::vector<CountedContext::Child> children;
  uint64_t contexts = 0, read = 0;
  while ((*reader)->Next()) {
    if (++contexts % kContextsPerCheck == 0) {
      absl::Status status = CheckStop(stop_);
      if (!status.ok()) return status;
      progress->Add(std::exchange(read, 0));
    }
    children.clear();
    for (const TrieChild& child : (*reader)->children()) {
      const uint64_t count = CountOf(child);
      if (count == 0 && k > 1) {
        return absl::DataLossError(
            absl::StrCat(work_.path(), ": an n-gram of order ", k,
                         " has no word before it; the counts are damaged"));
      }
      children.push_back({static_cast<uint32_t>(child.rank), count});
    }
    read += children.size();
    add(CountedContext{(*reader)->suffix(), children});
  }
  progress->Add(read);
  return (*reader)->status();
}

absl::Status CompactAssembler::SurveyOrder(int k, SharedProgress* progress) {
  Survey survey;
  RankLevelSurvey contexts;
  absl::Status status =
      ForEachContext(k, progress, [&](const CountedContext& context) {
        for (const CountedContext::Child& child : context.children) {
          const uint64_t count = k == 1 && child.rank == kBeginId
                                     ? 0  // never predicted
                                     : child.count;
          if (count < kCountsOfCounts) ++survey.counts_of_counts[count];
        }
        if (k > 1) contexts.Add(context);
      });
  if (!status.ok()) return status;
  survey.plan = contexts.Plan();
  return work_.Finish(SurveyStage(k), {}, ToNumbers(survey));
}

absl::StatusOr<std::vector<Survey>> CompactAssembler::SurveyAll(int threads) {
  // The highest order first: it has the most n-grams.
  std::vector<int> orders;
  uint64_t ngrams = 0;
  for (int k = shape_.order(); k > 0; --k) {
    if (work_.Finished(SurveyStage(k)) != nullptr) continue;
    orders.push_back(k);
    ngrams += shape_.ngrams[k - 1];
  }
  if (!orders.empty()) {
    SharedProgress progress("surveying", ngrams);
    std::atomic<size_t> next = 0;
    absl::Status status = RunThreads(
        std::min<int>(threads, static_cast<int>(orders.size())), [&](int) {
          size_t i;
          while ((i = next++) < orders.size()) {
            absl::Status surveyed = SurveyOrder(orders[i], &progress);
            if (!surveyed.ok()) return surveyed;
          }
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    progress.Finish();
  }
  std::vector<Survey> surveys;
  for (int k = 1; k <= shape_.order(); ++k) {
    absl::StatusOr<Survey> survey =
        FromNumbers(*work_.Finished(SurveyStage(k)));
    if (!survey.ok()) return survey.status();
    surveys.push_back(*std::move(survey));
  }
  return surveys;
}

absl::StatusOr<std::vector<uint64_t>> CompactAssembler::ReadUnigrams() {
  absl::StatusOr<std::unique_ptr<TrieReader>> reader =
      TrieReader::Open(shape_, 1, work_);
  if (!reader.ok()) return reader.status();
  std::vector<uint64_t> counts;
  counts.reserve(shape_.vocabulary);
  while ((*reader)->Next()) {
    for (const TrieChild& child : (*reader)->children()) {
      counts.push_back(child.word == kBeginId ? 0 : CountOf(child));
    }
  }
  if (!(*reader)->status().ok()) return (*reader)->status();
  return counts;
}

absl::StatusOr<BuiltRankLevel> CompactAssembler::OpenLevel(
    int k, const Survey& survey) {
  auto sections = SectionFiles::Open(work_, LevelStage(k));
  if (!sections.ok()) return sections.status();
  auto views = (*sections)->Finish();
  if (!views.ok()) return views.status();
  BuiltRankLevel level;
  level.contexts = shape_.ngrams[k - 1];
  level.children = shape_.ngrams[k];
  level.smoothing = smoothing_.CompactParameters(k + 1);
  level.plan = survey.plan;
  level.sections = *std::move(sections);
  level.views = *views;
  return level;
}

absl::Status CompactAssembler::AddLevel(int k, const Survey& survey,
                                        CountTrieBuilder& builder) {
  if (work_.Finished(LevelStage(k)) != nullptr) {
    absl::StatusOr<BuiltRankLevel> level = OpenLevel(k, survey);
    if (!level.ok()) return level.status();
    builder.AddLevel(*std::move(level));
    return absl::OkStatus();
  }
  auto sections = SectionFiles::Create(work_, LevelStage(k));
  if (!sections.ok()) return sections.status();
  SharedProgress progress(absl::StrCat("building order ", k + 1),
                          shape_.ngrams[k]);
  absl::Status status = builder.AddLevel(
      survey.plan,
      [&](absl::FunctionRef<void(const CountedContext&)> add) {
        return ForEachContext(k + 1, &progress, add);
      },
      smoothing_.CompactParameters(k + 1), *std::move(sections));
  if (!status.ok()) return status;
  progress.Finish();
  status = work_.Finish(LevelStage(k), SectionFiles::Names(LevelStage(k)), {});
  if (status.ok()) RemoveTrieFiles(k);
  return status;
}

void CompactAssembler::RemoveTrieFiles(int k) {
  // The words of the bigrams are the suffixes that order 3 needs.
  if (k != 1) work_.Remove(TrieWordsFile(k + 1));
  if (k == 2) work_.Remove(TrieWordsFile(2));
  work_.Remove(TrieDegreesFile(k));
  work_.Remove(TrieLinksFile(k));
  work_.Remove(TrieCountsFile(k + 1));
  work_.Remove(TrieRanksFile(k + 1));
  work_.Remove(TrieAdjustedFile(k + 1));
}

absl::Status CompactAssembler::Assemble(absl::Span<const Survey> surveys) {
  absl::StatusOr<std::vector<uint64_t>> unigrams = ReadUnigrams();
  if (!unigrams.ok()) return unigrams.status();
  CountTrieBuilder builder(*std::move(unigrams), kBeginId,
                           smoothing_.CompactParameters(1));
  for (int k = 1; k < shape_.order(); ++k) {
    absl::Status status = AddLevel(k, surveys[k], builder);
    if (!status.ok()) return status;
  }
  auto file = ByteWriter::Create(work_.File(kNgramFile));
  if (!file.ok()) return file.status();
  builder.Write([&file](absl::string_view bytes) { (*file)->Write(bytes); });
  absl::Status status = (*file)->Close();
  if (status.ok()) {
    status = work_.Finish(kModelStage, {std::string(kNgramFile)}, {});
  }
  if (!status.ok()) return status;
  for (int k = 1; k < shape_.order(); ++k) {
    for (const std::string& name : SectionFiles::Names(LevelStage(k))) {
      work_.Remove(name);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AssembledModel> AssembleCompact(const TrieShape& shape,
                                               const EstimateOptions& options,
                                               int threads,
                                               const StopFlag* stop,
                                               WorkDirectory& work) {
  ABSL_ASSERT(IsFunctionOfCounts(options));
  SmoothingOptions smoothing_options = options.smoothing;
  smoothing_options.vocabulary = shape.vocabulary - 1;
  auto smoothing = MakeSmoothing(smoothing_options);
  if (!smoothing.ok()) return smoothing.status();
  CompactAssembler assembler(shape, **smoothing, stop, work);
  const auto surveys = assembler.SurveyAll(threads);
  if (!surveys.ok()) return surveys.status();
  AssembledModel model;
  model.path = work.File(kNgramFile);
  for (int k = 1; k <= shape.order(); ++k) {
    std::string note = (*smoothing)->Fit(k, (*surveys)[k - 1].counts_of_counts);
    if (!note.empty()) model.notes.push_back(std::move(note));
  }
  absl::Status status;
  if (work.Finished(kModelStage) != nullptr) {
    status = work.CheckFile(kNgramFile);
  } else {
    status = CheckFreeDisk(work.path(), PlanAssemblyDisk(shape.ngrams, &work),
                           "the model");
    if (status.ok()) status = assembler.Assemble(*surveys);
  }
  if (!status.ok()) return status;
  return model;
}

uint64_t AssemblyMemory(uint64_t words, uint64_t text_bytes) {
  // The most is needed by the vocabulary of the self-test: words, and a hash
  // table that grows. The counts of the words and the children of a context
  // that has all words need less.
  constexpr uint64_t kWordBytes = 80;
  return words * kWordBytes + 2 * text_bytes;
}

uint64_t PlanAssemblyDisk(absl::Span<const uint64_t> ngrams,
                          const WorkDirectory* work) {
  // A word has two fields; another n-gram has about 1.4 bytes.
  uint64_t sections = 0, file = 0;
  for (size_t k = 1; k <= ngrams.size(); ++k) {
    const uint64_t bytes =
        k == 1 ? 8 * ngrams[0] : ngrams[k - 1] + ngrams[k - 1] / 2;
    file += bytes;
    const bool is_built = work != nullptr && k > 1 &&
                          work->Finished(LevelStage(k - 1)) != nullptr;
    if (k > 1 && !is_built) sections += bytes;
  }
  return sections + file;
}

}  // namespace lmserve
