// gradtrack export-nnunet: the layout of nnU-Net v2, and labels that are those of training.
#include <set>

#include "core/json.h"
#include "gaze/image.h"
#include "tests/program.h"

using namespace gt;

namespace {

/// Exports the data set of a workplace by a configuration with more keys. Returns the folder.
std::string exported(const Workplace& w, const std::string& keys, const std::string& name = "Dataset501_Test") {
  const std::string out = w.tmp / name;
  const Result r = run("export-nnunet " + w.config + " data.root=" + w.data + " " + keys + " --out " + out);
  INFO(r.err);
  REQUIRE(r.status == 0);
  CHECK(has(r.out, out));
  return out;
}

std::set<int> values_of(const std::string& png) {
  const Image image = read_image(png, 1);
  return {image.pixels.begin(), image.pixels.end()};
}

int64_t count(const Image& label, int value) { return std::count(label.pixels.begin(), label.pixels.end(), value); }

}  // namespace

TEST_CASE("export-nnunet: images, labels, dataset.json and one fold", "[nnunet]") {
  const Workplace w;
  const std::string out = exported(w, "");
  const Json dataset = parse_json(read_file(out + "/dataset.json"), "dataset.json");
  CHECK(dataset["channel_names"].size() == 3);
  CHECK(dataset["labels"] == Json{{"background", 0}, {"foreground", 1}});
  CHECK(dataset["file_ending"] == ".png");
  CHECK(has(dataset["description"].get<std::string>(), "gaze simulated"));
  const Json splits = nlohmann::ordered_json::parse(read_file(out + "/splits_final.json"));
  REQUIRE(splits.size() == 1);
  size_t images = 0;
  for (const char* part : {"train", "val"}) {
    std::set<std::string> names;
    for (const TextLine& line : read_lines(w.data + "/" + part + ".txt")) names.insert(line.text);
    CHECK(splits[0][part].get<std::set<std::string>>() == names);
    images += names.size();
    for (const std::string& name : names) {
      INFO(name);
      const Image image = read_image(out + "/imagesTr/" + name + "_0000.png", 3);
      const Image label = read_image(out + "/labelsTr/" + name + ".png", 1);
      CHECK(image.pixels == read_image(w.data + "/images/" + name + ".png", 3).pixels);
      CHECK((label.height == image.height && label.width == image.width));
      const Image mask = read_image(w.data + "/masks/" + name + ".png", 1);
      bool same = true;
      for (size_t i = 0; i < mask.pixels.size(); ++i) same &= label.pixels[i] == is_foreground(mask.pixels[i]);
      CHECK(same == (std::string(part) == "val"));  // pseudo masks are not the masks
      for (const int value : values_of(out + "/labelsTr/" + name + ".png")) CHECK(value <= 1);
    }
  }
  CHECK(dataset["numTraining"] == images);
  const std::vector<TextLine> test = read_lines(w.data + "/test.txt");
  for (const TextLine& line : test) CHECK(std::filesystem::exists(out + "/imagesTs/" + line.text + "_0000.png"));
  CHECK_FALSE(test.empty());
}

TEST_CASE("export-nnunet: what masks of two thresholds disagree on is ignored", "[nnunet]") {
  const Workplace w;
  const std::string name = read_lines(w.data + "/train.txt")[0].text + ".png";
  const auto label = [&](const std::string& keys, const std::string& folder) {
    return read_image(exported(w, keys, folder) + "/labelsTr/" + name, 1);
  };
  const std::string recipe = "recipe=gazemedseg pseudo.thresholds=";
  const Image wide = label(recipe + "[0.3]", "Dataset001_A"), narrow = label(recipe + "[0.6]", "Dataset002_B");
  const Image both = label(recipe + "[0.6,0.3]", "Dataset003_C");
  CHECK(count(both, 1) == count(narrow, 1));
  CHECK(count(both, 0) == count(wide, 0));
  CHECK(count(both, 2) == count(wide, 1) - count(narrow, 1));
  CHECK(count(both, 2) > 0);
  CHECK(has(read_file(w.tmp / "Dataset003_C/dataset.json"), "\"ignore\": 2"));
  CHECK_FALSE(has(read_file(w.tmp / "Dataset001_A/dataset.json"), "ignore"));
  const Image full = label("recipe=full", "Dataset004_D");
  CHECK(has(read_file(w.tmp / "Dataset004_D/dataset.json"), "gaze none"));
  CHECK(count(full, 1) != count(narrow, 1));
}

TEST_CASE("export-nnunet: refusals are one line and leave nothing behind", "[nnunet]") {
  const Workplace w;
  const std::string command = "export-nnunet " + w.config + " data.root=" + w.data + " ";
  check_error(command + "--out " + w.tmp / "mine", {"mine", "DatasetNNN_NAME"});
  check_error(command + "pseudo.refine=none --out " + w.tmp / "Dataset001_A", {"pseudo.refine", "crf"});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "Dataset001_A"));
  make_folder(w.tmp / "Dataset002_B");
  check_error(command + "--out " + w.tmp / "Dataset002_B", {"Dataset002_B", "exists already"});
  const std::string val = w.data + "/masks/" + read_lines(w.data + "/val.txt")[0].text + ".png";
  write(val, "no picture");
  check_error(command + "--out " + w.tmp / "Dataset003_C", {val});
  CHECK_FALSE(std::filesystem::exists(w.tmp / "Dataset003_C"));
}
