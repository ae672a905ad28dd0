// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/model_management.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

lm::v1::ListModelsResponse List(const SmallStore& files) {
  lm::v1::ListModelsResponse response;
  EXPECT_TRUE(HandleListModels(*files.Open(), {}, &response).ok());
  return response;
}

absl::StatusOr<lm::v1::ModelInfo> Get(const SmallStore& files,
                                      const std::string& name) {
  lm::v1::GetModelRequest request;
  request.set_model(name);
  lm::v1::GetModelResponse response;
  absl::Status status = HandleGetModel(*files.Open(), request, &response);
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
