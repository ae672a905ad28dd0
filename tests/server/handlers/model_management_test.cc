// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/model_management.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/small_store.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

lm::v1::ListModelsResponse List(const SmallStore& files) {
  Call call;
  lm::v1::ListModelsResponse response;
  EXPECT_TRUE(HandleListModels(*files.Open(), call, {}, &response).ok());
  return response;
}

absl::StatusOr<lm::v1::ModelInfo> Get(const SmallStore& files,
                                      const std::string& name) {
  lm::v1::GetModelRequest request;
  request.set_model(name);
  Call call;
  lm::v1::GetModelResponse response;
  absl::Status status = HandleGetModel(*files.Open(), call, request, &response);
  if (!status.ok()) return status;
  return response.model();
}

TEST(ListModelsTest, ByNameThenVersion) {
  const SmallStore files;
  const lm::v1::ListModelsResponse response = List(files);
  std::vector<std::string> names;
  for (const lm::v1::ModelInfo& info : response.models()) {
    names.push_back(absl::StrCat(info.name(), "@", info.version()));
  }
  EXPECT_THAT(names,
              ElementsAre("endless@1", "flat@1", "mute@1", "tiny@1", "tiny@2"));
  EXPECT_THAT(response.refused(), IsEmpty());
}

TEST(ListModelsTest, ListsRefusedVersions) {
  const SmallStore files;
  std::ofstream(files.File("flat/1/ngram.bin"), std::ios::app) << "x";
  const lm::v1::ListModelsResponse response = List(files);
  EXPECT_EQ(response.models_size(), 4);
  ASSERT_EQ(response.refused_size(), 1);
  EXPECT_EQ(response.refused(0).name(), "flat");
  EXPECT_EQ(response.refused(0).version(), 1);
  EXPECT_THAT(response.refused(0).reason(), HasSubstr("ngram.bin"));
}

TEST(ListModelsTest, ListsIncompleteVersionsApart) {
  const SmallStore files;
  std::filesystem::remove(files.File("flat/1/ngram.bin"));
  StoreOptions options;
  options.incomplete_patience = std::chrono::hours(1);
  const auto store = files.Open(options);
  lm::v1::ListModelsResponse response;
  ASSERT_TRUE(ListPage(*store->served(), {}, &response).ok());
  EXPECT_EQ(response.models_size(), 4);
  EXPECT_THAT(response.refused(), IsEmpty());
  ASSERT_EQ(response.incomplete_size(), 1);
  EXPECT_EQ(response.incomplete(0).name(), "flat");
  EXPECT_EQ(response.incomplete(0).version(), 1);
  EXPECT_THAT(response.incomplete(0).reason(), HasSubstr("ngram.bin"));
}

// A snapshot with many long reasons, as hostile stores have them.
TEST(ListModelsTest, PagesAreSmallerThanClientsAccept) {
  ServedModels served;
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes.push_back(static_cast<char>(i));
  constexpr int kRefused = 10'000;
  for (int i = 1; i <= kRefused; ++i) {
    served.refused.push_back(
        {"a-model", static_cast<uint64_t>(i),
         absl::DataLossError(absl::StrCat(i, " ", bytes.substr(0, 2000)))});
  }
  served.refused[0].reason = absl::DataLossError(bytes);
  served.loading.emplace_back("loading", 7);
  served.incomplete.push_back({"last", 7, absl::DataLossError(bytes)});
  lm::v1::ListModelsRequest request;
  int refused = 0, pages = 0;
  std::string last;
  do {
    lm::v1::ListModelsResponse page;
    ASSERT_TRUE(ListPage(served, request, &page).ok());
    EXPECT_LE(page.ByteSizeLong(), size_t{3} << 20);
    for (const lm::v1::RefusedVersion& version : page.refused()) {
      EXPECT_EQ(version.version(), ++refused);
      EXPECT_LE(version.reason().size(), 1024);
    }
    for (const lm::v1::RefusedVersion& version : page.incomplete()) {
      last = version.name();
    }
    request.set_page_token(page.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(refused, kRefused);
  EXPECT_EQ(last, "last");
  EXPECT_EQ(pages, 4);
}

TEST(ListModelsTest, AHugeDescriptionIsShortened) {
  const SmallStore files;
  ServedModels served = *files.Open()->served();
  ServedModels::Model& tiny = served.models.at("tiny");
  for (int i = 0; i < 10'000; ++i) {
    tiny.aliases[absl::StrCat("alias-", i)] = 2;
  }
  lm::v1::ListModelsResponse page;
  ASSERT_TRUE(ListPage(served, {}, &page).ok());
  EXPECT_EQ(page.models_size(), 5);
  EXPECT_FALSE(page.models(3).is_shortened());
  EXPECT_TRUE(page.models(4).is_shortened());
  EXPECT_EQ(page.models(4).aliases_size(), 100);
  EXPECT_LE(page.ByteSizeLong(), 64u << 10);
}

TEST(ListModelsTest, ABadTokenIsRefused) {
  lm::v1::ListModelsRequest request;
  request.set_page_token("x\n");
  lm::v1::ListModelsResponse page;
  EXPECT_EQ(TextOf(ListPage({}, request, &page)),
            "INVALID_ARGUMENT: page_token: expected a next_page_token, found "
            "'x\\x0a'");
  request.set_page_token("1000000");
  EXPECT_TRUE(ListPage({}, request, &page).ok());
  EXPECT_TRUE(page.next_page_token().empty());
}

TEST(GetModelTest, ReturnsAllFields) {
  const SmallStore files;
  const lm::v1::ModelInfo info = *Get(files, "tiny@stable");
  EXPECT_EQ(info.name(), "tiny");
  EXPECT_EQ(info.version(), 1);
  EXPECT_THAT(info.aliases(), ElementsAre("stable"));
  EXPECT_FALSE(info.is_default());
  EXPECT_EQ(info.family(), "ngram");
  EXPECT_EQ(info.properties().at("order"), "3");
  EXPECT_EQ(info.vocabulary_size(), 10);
  EXPECT_EQ(info.state_bytes(), 4);
  uint64_t bytes = 0;
  for (const char* name : {"vocabulary.txt", "ngram.bin", "selftest.json"}) {
    bytes +=
        std::filesystem::file_size(files.File(absl::StrCat("tiny/1/", name)));
  }
  EXPECT_EQ(info.file_bytes(), bytes);
}

TEST(GetModelTest, TheBareNameIsTheNewestVersion) {
  const SmallStore files;
  const lm::v1::ModelInfo info = *Get(files, "tiny");
  EXPECT_EQ(info.version(), 2);
  EXPECT_TRUE(info.is_default());
  EXPECT_THAT(info.aliases(), IsEmpty());
}

TEST(GetModelTest, AnUnknownNameIsNotFound) {
  const SmallStore files;
  EXPECT_EQ(Get(files, "huge").status(),
            absl::NotFoundError("model 'huge' is not served; served: "
                                "endless, flat, mute, tiny"));
}

}  // namespace
}  // namespace lmserve
