#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "tests/data/dermoscopy_folder.h"
#include "tests/data/test_files.h"
#include "worker/data/class_table.h"
#include "worker/data/dataset.h"
#include "worker/data/synthetic_dermoscopy.h"

namespace g2ll::data {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using SetOrError = absl::StatusOr<std::unique_ptr<Dataset>>;

const char kHeader[] = "image,MEL,NV,UNK\n";

std::vector<std::string> Ids(const Dataset& set) {
  std::vector<std::string> ids;
  for (int64_t i = 0; i < set.size(); ++i) ids.push_back(set.id(i));
  return ids;
}

void ExpectFault(const absl::Status& status, const std::vector<std::string>& words) {
  ASSERT_FALSE(status.ok());
  const std::string message(status.message());
  EXPECT_EQ(message.find('\n'), std::string::npos);
  for (const std::string& word : words) EXPECT_THAT(message, HasSubstr(word));
}

class DiagnosisTest : public testing::Test {
 protected:
  // ISIC-2019 as downloaded: images in a folder of a folder, the table beside it.
  void WriteIsic2019(const std::string& rows, int count = 4) {
    for (int i = 0; i < count; ++i) {
      test::WriteJpeg(folder_ / ("ISIC_2019_Training_Input/ISIC_2019_Training_Input/ISIC_000000" +
                                 std::to_string(i) + ".jpg"),
                      test::VariedImage(16, i));
    }
    test::WriteBytes(folder_ / "ISIC_2019_Training_GroundTruth.csv", kHeader + rows);
    test::WriteBytes(folder_ / "ISIC_2019_Training_Metadata.csv", "image,age_approx\nx,1\n");
  }

  SetOrError Open(Split split = Split::kTrain) const {
    DatasetOptions options;
    options.source = folder_.path();
    options.split = split;
    options.needs_classes = true;
    options.class_file = class_file_;
    return Dataset::Open(options);
  }

  // What the table with these rows below the header is refused with.
  void ExpectTableFault(const std::string& rows, const std::vector<std::string>& words) {
    WriteIsic2019(rows);
    ExpectFault(Open().status(), words);
  }

  test::TemporaryFolder folder_;
  std::string class_file_;
};

TEST_F(DiagnosisTest, ReadsTheTableOfAnIsic2019FolderAsDownloaded) {
  WriteIsic2019("ISIC_0000003,1.0,0.0,0.0\r\nISIC_0000001,0,1,0\nISIC_0000000,0,1,0\n");

  const SetOrError set = Open();

  ASSERT_TRUE(set.ok()) << set.status();
  // ISIC_0000002 has no diagnosis and is left out; so is the class without an image.
  EXPECT_THAT(Ids(**set), ElementsAre("ISIC_0000000", "ISIC_0000001", "ISIC_0000003"));
  EXPECT_THAT((*set)->classes().names, ElementsAre("MEL", "NV"));
  EXPECT_THAT((*set)->classes().of_image, ElementsAre(1, 1, 0));
  EXPECT_THAT((*set)->classes().Counts(), ElementsAre(1, 2));
}

TEST_F(DiagnosisTest, ImagesOfUnknownClassAreAClassWhereThereAreAny) {
  WriteIsic2019("ISIC_0000000,1,0,0\nISIC_0000001,0,0,1\n");
  EXPECT_THAT((*Open())->classes().names, ElementsAre("MEL", "NV", "UNK"));
  EXPECT_THAT((*Open())->classes().of_image, ElementsAre(0, 2));
}

TEST_F(DiagnosisTest, ATableElsewhereReplacesTheOneOfTheSource) {
  WriteIsic2019("ISIC_0000000,1,0,0\n");
  class_file_ = folder_ / "mine.csv";
  test::WriteBytes(class_file_, "\xEF\xBB\xBFimage,a,b\nISIC_0000002,0,1\nISIC_0000009,1,0\n");

  const SetOrError set = Open();

  ASSERT_TRUE(set.ok()) << set.status();
  // A row of an image that is not there is passed over.
  EXPECT_THAT(Ids(**set), ElementsAre("ISIC_0000002"));
  EXPECT_THAT((*set)->classes().names, ElementsAre("a", "b"));
}

TEST_F(DiagnosisTest, ReducedCopiesHaveTheDiagnosisOfTheirPhotograph) {
  WriteIsic2019("ISIC_0000000_downsampled,1,0,0\nISIC_0000001,0,1,0\n");
  EXPECT_THAT(Ids(**Open()), ElementsAre("ISIC_0000000", "ISIC_0000001"));
}

TEST_F(DiagnosisTest, ATableThatNamesNoImageOfTheSourceIsOneClearError) {
  ExpectTableFault("ISIC_0000077,1,0,0\nISIC_0000078,0,1,0\n",
                   {"GroundTruth.csv: line 2: names ISIC_0000077", "2 rows", folder_.path()});
  ExpectTableFault("", {"GroundTruth.csv: names no image"});
  ExpectTableFault(",1,0,0\n", {"line 2: names no image"});
}

TEST_F(DiagnosisTest, BrokenRowsAreNamedByFileAndLine) {
  const std::string good = "ISIC_0000000,1,0,0\n";
  ExpectTableFault(good + "ISIC_0000000,1,0,0\n",
                   {"GroundTruth.csv: line 3: ISIC_0000000 has a row already"});
  for (const char* row : {"ISIC_0000001,0,0,0", "ISIC_0000001,1,1,0", "ISIC_0000001,0.5,0.5,0",
                          "ISIC_0000001,yes,0,0", "ISIC_0000001,,1,0"}) {
    ExpectTableFault(good + row + "\n", {"line 3: ISIC_0000001 needs 1 in exactly one class"});
  }
  ExpectTableFault(good + "ISIC_0000001,1\n", {"line 3: has 2 fields, the header has 4"});
  ExpectTableFault(good + "ISIC_0000001,\"1,0,0\n", {"line 3: has a quote that is never closed"});
}

TEST_F(DiagnosisTest, NamesATableOfAnotherFormAndAMissingOne) {
  WriteIsic2019("");
  class_file_ = folder_ / "ISIC_2019_Training_Metadata.csv";
  ExpectFault(Open().status(), {"Metadata.csv: line 1: needs the column image"});
  class_file_ = folder_ / "nowhere.csv";
  ExpectFault(Open().status(), {"nowhere.csv: cannot be read"});
  class_file_.clear();
  std::filesystem::remove(folder_ / "ISIC_2019_Training_GroundTruth.csv");
  ExpectFault(Open().status(), {folder_.path(), "holds no table of diagnoses", "data.classFile"});
}

// A named pipe without a writer would hold whoever opens it for ever.
TEST_F(DiagnosisTest, ATableThatIsNoRegularFileIsNotOpened) {
  WriteIsic2019("ISIC_0000000,1,0,0\nISIC_0000001,0,1,0\n");
  const std::string pipe = folder_ / "other_GroundTruth.csv";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(Open().ok());
  class_file_ = pipe;
  ExpectFault(Open().status(), {pipe, "is not a regular file"});
  ASSERT_EQ(mkfifo((folder_ / "manifest.csv").c_str(), 0600), 0);
  ExpectFault(Open().status(), {"manifest.csv: is not a regular file"});
}

TEST_F(DiagnosisTest, ALineOfAnotherKindOfFileIsNotSplit) {
  const std::string commas(100'000, ',');
  ExpectTableFault("ISIC_0000000" + commas + "\n",
                   {"GroundTruth.csv: line 2: has 100012 bytes: at most 65536"});
  class_file_ = folder_ / "wide.csv";
  test::WriteBytes(class_file_, "image" + commas + "\n");
  ExpectFault(Open().status(), {"wide.csv: line 1: has 100005 bytes"});
  test::WriteBytes(folder_ / "manifest.csv", "id,image,mask,official_split" + commas + "\n");
  ExpectFault(Open().status(), {"manifest.csv: line 1: has 100028 bytes"});
}

TEST_F(DiagnosisTest, TwoTablesAreAmbiguous) {
  WriteIsic2019("ISIC_0000000,1,0,0\n");
  test::WriteBytes(folder_ / "other_ground_truth.csv", "image,a,b\nISIC_0000000,1,0\n");
  ExpectFault(Open().status(), {"are both tables of diagnoses", "data.classFile"});
}

TEST_F(DiagnosisTest, ReadsTheManifestsColumnWithTheSameClassesForEverySplit) {
  for (const char* id : {"A1", "A2", "U1", "U2", "U3"}) {
    test::WriteJpeg(folder_ / (std::string(id) + ".jpg"), test::VariedImage(16, id[1]));
  }
  test::WriteMaskPng(folder_ / "m.png", test::PlainMask(16, 16, 255));
  test::WriteBytes(folder_ / "manifest.csv",
                   "id,image,mask,official_split,label_isic2019\n"
                   "A1,A1.jpg,m.png,isic2017_train,NV\n"
                   "A2,A2.jpg,m.png,isic2017_val,NV\n"
                   "U1,U1.jpg,,none,BKL\nU2,U2.jpg,,none,\nU3,U3.jpg,,none,MEL\n"
                   "U4,x.tar:U4.jpg,,none,SCC\n");

  const SetOrError train = Open(Split::kTrain), validation = Open(Split::kValidation);

  ASSERT_TRUE(train.ok() && validation.ok()) << train.status() << validation.status();
  EXPECT_THAT(Ids(**train), ElementsAre("U1", "U3"));
  EXPECT_THAT((*train)->classes().names, ElementsAre("MEL", "NV", "BKL", "SCC"));
  EXPECT_THAT((*train)->classes().of_image, ElementsAre(2, 0));
  EXPECT_THAT((*validation)->classes().names, ElementsAre("MEL", "NV", "BKL", "SCC"));
  EXPECT_THAT((*validation)->classes().of_image, ElementsAre(1));
  ExpectFault(Open(Split::kTest).status(), {"no images with a diagnosis of the test split"});
}

TEST_F(DiagnosisTest, TheDigestChangesWithADiagnosis) {
  WriteIsic2019("ISIC_0000000,1,0,0\nISIC_0000001,1,0,0\n");
  const std::string digest = (*Open())->digest();
  WriteIsic2019("ISIC_0000000,1,0,0\nISIC_0000001,0,1,0\n");
  EXPECT_NE((*Open())->digest(), digest);
}

TEST(SyntheticDiagnosisTest, EightClassesAreAllThereAndTellSizesApart) {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=2000&size=64";
  options.needs_classes = true;
  const SetOrError set = Dataset::Open(options);
  ASSERT_TRUE(set.ok()) << set.status();
  const ClassLabels& labels = (*set)->classes();
  ASSERT_EQ(labels.names.size(), 8U);
  EXPECT_THAT(labels.Counts(), Each(Ge(60)));

  double areas[2] = {0, 0};
  int64_t counts[2] = {0, 0};
  options.needs_classes = false;
  options.needs_masks = true;
  const SetOrError masked = Dataset::Open(options);
  for (int64_t i = 0; i < 100; ++i) {
    const LesionMask mask = *(*masked)->LoadMask(i);
    const size_t is_large = labels.of_image[static_cast<size_t>(i)] >= 4 ? 1 : 0;
    areas[is_large] += static_cast<double>(std::count(mask.pixels.begin(), mask.pixels.end(), 255));
    ++counts[is_large];
  }
  EXPECT_GT(areas[1] / static_cast<double>(counts[1]),
            2 * areas[0] / static_cast<double>(counts[0]));
}

TEST(SyntheticDiagnosisTest, TakesNoTable) {
  DatasetOptions options;
  options.source = "synthetic:dermoscopy?count=9";
  options.needs_classes = true;
  options.class_file = "/some/table.csv";
  ExpectFault(Dataset::Open(options).status(), {"data.classFile /some/table.csv"});
}

TEST(DermoscopyDiagnosisTest, TheManifestAndTheOfficialTableGiveTheSameClasses) {
  const std::string folder = test::DermoscopyFolder();
  if (!std::filesystem::exists(folder + "/manifest.csv")) {
    GTEST_SKIP() << folder << " is not here; set G2LL_DERMOSCOPY_DIR";
  }
  DatasetOptions options;
  options.source = folder;
  options.needs_classes = true;
  const SetOrError manifest = Dataset::Open(options);
  options.class_file = folder + "/isic2019_training_ground_truth.csv";
  const SetOrError table = Dataset::Open(options);

  ASSERT_TRUE(manifest.ok() && table.ok()) << manifest.status() << table.status();
  EXPECT_THAT((*manifest)->classes().names,
              ElementsAre("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"));
  EXPECT_EQ((*manifest)->size(), 6084);
  EXPECT_EQ(Ids(**manifest), Ids(**table));
  EXPECT_EQ((*manifest)->classes().names, (*table)->classes().names);
  EXPECT_EQ((*manifest)->classes().of_image, (*table)->classes().of_image);

  options.split = Split::kValidation;
  EXPECT_EQ((*Dataset::Open(options))->size(), 150);
}

// The counts that the class weights of method section 5 are made of.
TEST(DermoscopyDiagnosisTest, TheOfficialTableHasTheCountsOfTheMethod) {
  const std::string folder = test::DermoscopyFolder();
  const std::string path = folder + "/isic2019_training_ground_truth.csv";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is not here; set G2LL_DERMOSCOPY_DIR";
  }
  const auto table = ReadClassTable(path);
  ASSERT_TRUE(table.ok()) << table.status();
  std::vector<int64_t> counts(table->names.size(), 0);
  for (const auto& [id, number] : table->classes) ++counts[static_cast<size_t>(number)];
  EXPECT_THAT(counts, ElementsAre(4522, 12875, 3323, 867, 2624, 239, 253, 628));
}

}  // namespace
}  // namespace g2ll::data
