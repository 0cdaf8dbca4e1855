// GazeMedSeg's fixation table, read and written.
#include "core/random.h"
#include "gaze/readers.h"
#include "tests/gaze_files.h"

using namespace gt;

namespace {

const std::string header =
    "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_START\n";

}  // namespace

TEST_CASE("fixation table: it is read, cleaned and grouped by image", "[gaze]") {
  const Gaze gaze = read_text(
      "\xEF\xBB\xBFIMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_PUPIL,"
      "CURRENT_FIX_START,IMAGE_HEIGHT,IMAGE_WIDTH\r\n"
      "b.jpg,2,0.3,0.4,200,9,300,50,60\r\n"
      "a.v2.png,1,0.5,0.5,100,9,7,20,30\r\n"
      "\r\n"
      "b.jpg,1,0.1,0.2,250,9,7,50,60\r\n"
      "b.jpg,3,1.2,0.2,250,9,600,50,60\r\n"
      "b.jpg,4,0.1,0.2,49,9,900,50,60\r\n"
      "b.jpg,6,1,0,50,9,1000,50,60");
  CHECK_FALSE(gaze.simulated);
  CHECK(gaze.dropped.outside == 1);
  CHECK(gaze.dropped.brief == 1);
  REQUIRE(gaze.tracks.size() == 2);
  CHECK(gaze.tracks.count("a.v2") == 1);
  const Track& b = gaze.tracks.at("b");
  CHECK(b.image == "b");
  CHECK(b.image_height == 50);
  CHECK(b.image_width == 60);
  REQUIRE(b.fixations.size() == 3);
  CHECK(b.fixations[0].x == 0.1);
  CHECK(b.fixations[1].y == 0.4);
  CHECK(b.fixations[2].duration == 50);
  CHECK(b.fixations[2].start == 1000);
}

TEST_CASE("fixation table: columns stand in any order, with quotes, blanks and other columns", "[gaze]") {
  const Gaze gaze = read_text(
      "\"CURRENT_FIX_Y\", CURRENT_FIX_X ,note,CURRENT_FIX_DURATION,IMAGE,CURRENT_FIX_INDEX\n"
      "0.25,1e-1,\"a, \"\"b\"\"\", 100 ,\"x,1.jpg\",1\n"
      "0.25,0.5,,150,\"x,1.jpg\",2\n");
  const std::vector<Fixation>& f = gaze.tracks.at("x,1").fixations;
  REQUIRE(f.size() == 2);
  CHECK(f[0].x == 0.1);
  CHECK(f[0].y == 0.25);
  CHECK(f[0].start == 0);
  CHECK(f[1].start == 100);  // without start times fixations follow one another
}

TEST_CASE("fixation table: a plain table is the track of the image that it is named after", "[gaze]") {
  const Gaze gaze = read_text("x,y,duration,start\n0.1,0.2,100,5\n0.3,0.4,60,200\n", {}, "polyp7.csv");
  REQUIRE(gaze.tracks.size() == 1);
  CHECK(gaze.tracks.at("polyp7").fixations[1].start == 200);
  CHECK(read_text("x,y,duration\n0.1,0.2,100\n0.3,0.4,60\n").tracks.at("gaze").fixations[1].start == 100);
}

TEST_CASE("fixation table: written gaze is read unchanged, with its mark of simulation", "[gaze]") {
  const TempFolder folder;
  const Track a{"a.b", {{0.1, 1.0 / 3, 250, 7}, {0.7, 0.9, 123.25, 300}}, 352, 640};
  const Track b{"odd, \"name\"", {{0, 1, 50, 0}}, 0, 0};
  for (const bool simulated : {false, true}) {
    write_gaze(folder / "g.csv", {a, b}, simulated);
    const Gaze gaze = read_gaze(folder / "g.csv");
    CHECK(gaze.simulated == simulated);
    REQUIRE(gaze.tracks.size() == 2);
    CHECK(same_track(gaze.tracks.at(a.image), a));
    CHECK(same_track(gaze.tracks.at(b.image), b));
    CHECK(gaze.tracks.at(a.image).image_width == 640);
  }
}

TEST_CASE("fixation table: a faulty table is refused with file, line and reason", "[gaze]") {
  const std::string row = "a.jpg,1,0.5,0.5,100,0\n";
  check_contains(refusal_of_text(""), "gaze.csv: expected a fixation table, the file is empty");
  check_contains(refusal_of_text("\r\n \n"), "the file is empty");
  check_contains(refusal_of_text(header), "gaze.csv: expected fixations");
  check_contains(refusal_of_text(header + "a.jpg,1,1.5,0.5,100,0\n"), "1 outside the image");
  check_contains(refusal_of_text("IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_DURATION\na,1,0,99\n"),
                 "gaze.csv:1: expected a column CURRENT_FIX_Y, got IMAGE, ");
  check_contains(refusal_of_text("x,y\n0.1,0.2\n"), "gaze.csv:1: expected a column duration");
  check_contains(refusal_of_text("hello\n"),
                 "gaze.csv:1: expected a table of gaze in one of the formats tobii, pupil, ");
  check_contains(refusal_of_text("x,x,y,duration\n1,1,1,1\n"), "gaze.csv:1: column x appears twice");
  check_contains(refusal_of_text(header + row + "a.jpg,2,0.5\n"),
                 "gaze.csv:3: expected 6 fields as in the header, got 3");
  check_contains(refusal_of_text(header + "a.jpg,1,0.5,0.5,100,0,8\n"),
                 "gaze.csv:2: expected 6 fields as in the header, got 7");
  for (const char* value : {"abc", "missing", "1e999", "0.5x", "0,5", "0.5.1"}) {
    const std::string message = refusal_of_text("x,y,duration\n0.5,\"" + std::string(value) + "\",100\n");
    check_contains(message, "gaze.csv:2: column y: expected a number, got '" + std::string(value) + "'");
  }
  check_contains(refusal_of_text(header + "\na.jpg,1,0.5,0.5,-1,0\n"),
                 "gaze.csv:3: column CURRENT_FIX_DURATION: expected a duration in ms, got -1");
  for (const char* index : {"0", "-1", "1.5"})
    check_contains(refusal_of_text(header + "a.jpg," + index + ",0.5,0.5,100,0\n"),
                   "gaze.csv:2: column CURRENT_FIX_INDEX: expected a whole number of at least 1");
  check_contains(refusal_of_text(header + row + "b.jpg,1,0.5,0.5,100,0\n" + row),
                 "gaze.csv:4: fixation 1 of image a was given on line 2 already");
  check_contains(refusal_of_text(header + "a.jpg,2,0.5,0.5,100,10\na.jpg,1,0.5,0.5,100,300\n"),
                 "gaze.csv:2: fixation 2 of image a is out of order");
  check_contains(refusal_of_text(header + ".jpg,1,0.5,0.5,100,0\n" + ",1,0.5,0.5,100,0\n"), "gaze.csv:3: column IMAGE");
  check_contains(error_of([] { read_gaze("no/such/gaze.csv"); }), "no/such/gaze.csv");
}

TEST_CASE("fixation table: a table truncated anywhere or with a changed byte is read or refused", "[gaze]") {
  const std::string whole = header + "a.jpg,1,0.5,0.5,100,0\na.jpg,2,0.25,0.75,300,120\n";
  const TempFolder folder;
  for (size_t i = 0; i < whole.size(); ++i)
    for (const char c : {'\0', '"', ',', '\n', '9', '\xFF'}) {
      std::string changed = whole;
      changed[i] = c;
      for (const std::string& bytes : {changed, whole.substr(0, i)}) {
        write(folder / "gaze.csv", bytes);
        size_t tracks = 1;
        error_of([&] { tracks = read_gaze(folder / "gaze.csv").tracks.size(); });  // other exceptions fail the test
        CHECK(tracks > 0);
      }
    }
}

TEST_CASE("fixation table: an image's name is its path without folder and extension", "[gaze]") {
  CHECK(image_name("images/a.b.jpg") == "a.b");
  CHECK(image_name("a.PNG") == "a");
  CHECK(image_name("a.b") == "a.b");
  CHECK(image_name("x/y.dcm") == "y");
  CHECK(image_name("plain") == "plain");
}

TEST_CASE("fixation table: names follow one rule on every system", "[gaze]") {
  CHECK(image_name("C:\\data\\polyp1.png") == "polyp1");
  CHECK(image_name("x.dcm.png") == "x");
  CHECK(image_name("x.JPEG.Tiff ") == "x");
  CHECK(image_name(" a b .jpg\r") == "a b");
  CHECK(image_name("folder.png/") == "");
  CHECK(image_name(".png") == ".png");
  CHECK(image_name("cafe\xCC\x81.png") == "caf\xC3\xA9");  // decomposed and composed
  CHECK(error_of([] { image_name("a\nb", "list:3"); }) ==
        "list:3: 'a\\x0ab' is the name of an image, expected no control characters");
  CHECK(error_of([] { image_name("caf\xE9.png"); }) == "'caf\\xe9.png' is the name of an image, expected UTF-8");
  CHECK(error_of([] { image_name("images/.."); }) == "'..' is a folder, expected the name of an image");
}

TEST_CASE("fixation table: a name is its own name", "[gaze]") {
  const std::vector<std::string> parts = {"a",
                                          ".",
                                          "png",
                                          ".JPG",
                                          ".dcm",
                                          " ",
                                          "\t",
                                          "\r",
                                          "/",
                                          "\\",
                                          "e\xCC\x81",
                                          "\xC3\xA9",
                                          "\xC2\xA0",
                                          "\"",
                                          ",",
                                          "%",
                                          "\xE1\x84\x80\xE1\x85\xA1",
                                          ".csv"};
  Random random(1, 1);
  for (int i = 0; i < 20000; ++i) {
    std::string text, name;
    for (int64_t k = random.below(9); k >= 0; --k) text += parts[size_t(random.below(int64_t(parts.size())))];
    if (!error_of([&] { name = image_name(text); }).empty()) continue;
    if (image_name(name) != name) FAIL("'" << text << "' gives '" << name << "', then '" << image_name(name) << "'");
  }
}
