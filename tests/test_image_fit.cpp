// Gaze on images that were shown each in its own shape in the middle of the screen.
#include "gaze/image_fit.h"

#include "gaze/image.h"
#include "tests/gaze_files.h"
#include "tests/program.h"

using namespace gt;

namespace {

void check_rectangle(const Rectangle& r, double x, double y, double width, double height) {
  CHECK(r.x == Approx(x));
  CHECK(r.y == Approx(y));
  CHECK(r.width == Approx(width));
  CHECK(r.height == Approx(height));
}

/// A folder of an image of 200x100, wide.png, and one of 100x200, tall.png, for a screen of 400x300.
struct Shown {
  Shown() {
    make_folder(folder / "images");
    write_png(folder / "images/wide.png", Image(100, 200, 3));
    write_png(folder / "images/tall.png", Image(200, 100, 3));
    options.images = folder / "images";
    options.viewing.screen_width = 400, options.viewing.screen_height = 300;
  }

  Gaze read(const std::string& fit, const std::string& rows) {
    options.viewing.fit = fit;
    return read_text("image,x [px],y [px],duration\n" + rows, options);
  }
  std::string refused(const std::string& fit, const std::string& text) {
    options.viewing.fit = fit;
    return refusal_of_text(text, options);
  }

  TempFolder folder;
  GazeOptions options;
};

const std::string rows = "wide,200,150,250\nwide,100,50,250\ntall,200,150,250\ntall,125,30,250\ntall,100,150,250\n";

}  // namespace

TEST_CASE("image fit: an image is contained in an area with its shape, or shown in its own pixels", "[readers]") {
  check_rectangle(fitted({200, 100}, {0, 0, 400, 300}, "contain"), 0, 50, 400, 200);
  check_rectangle(fitted({100, 200}, {0, 0, 400, 300}, "contain"), 125, 0, 150, 300);
  check_rectangle(fitted({800, 200}, {10, 20, 400, 300}, "contain"), 10, 120, 400, 100);
  check_rectangle(fitted({200, 100}, {0, 0, 400, 300}, "native"), 100, 100, 200, 100);
  check_rectangle(fitted({600, 100}, {0, 0, 400, 300}, "native"), -100, 100, 600, 100);
  CHECK_THROWS_AS(fitted({1, 1}, {0, 0, 1, 1}, "cover"), Error);
}

TEST_CASE("image fit: positions are mapped by each image's own size, and those beside it are dropped", "[readers]") {
  Shown shown;
  const Gaze contained = shown.read("contain", rows);
  CHECK(contained.dropped.outside == 1);  // left of the tall image
  REQUIRE(contained.tracks.at("wide").fixations.size() == 2);
  check_fixation(contained.tracks.at("wide").fixations[0], 0.5, 0.5, 250, 0);
  check_fixation(contained.tracks.at("wide").fixations[1], 0.25, 0, 250, 250);
  REQUIRE(contained.tracks.at("tall").fixations.size() == 2);
  check_fixation(contained.tracks.at("tall").fixations[0], 0.5, 0.5, 250, 0);
  CHECK(contained.tracks.at("tall").image_width == 100);
  CHECK(contained.tracks.at("tall").image_height == 200);
  check_contains(contained.assumed, "each image by --fit contain in 0,0 400x300");

  const Gaze native = shown.read("native", rows);
  check_fixation(native.tracks.at("wide").fixations[0], 0.5, 0.5, 250, 0);
  CHECK(native.tracks.at("wide").fixations.size() == 1);  // the other is above the image
  check_fixation(native.tracks.at("tall").fixations[0], 0.5, 0.5, 250, 0);

  shown.options.viewing.image = {100, 100, 200, 200};  // the area of contain
  check_fixation(shown.read("contain", "wide,150,175,250\n").tracks.at("wide").fixations[0], 0.25, 0.25, 250, 0);
}

TEST_CASE("image fit: thresholds of samples are in pixels of the screen", "[readers]") {
  Shown shown;
  shown.options.viewing.fit = "contain";
  shown.options.detect.method = "idt";
  shown.options.detect.dispersion = 20;
  std::string samples = "image,time [ms],x [px],y [px]\n";
  for (int i = 0; i < 60; ++i) samples += str_cat("wide,", 10 * i, ",", i < 30 ? 200 : 300, ",150\n");
  const Gaze gaze = read_text(samples, shown.options);
  REQUIRE(gaze.tracks.at("wide").fixations.size() == 2);
  check_fixation(gaze.tracks.at("wide").fixations[0], 0.5, 0.5, 290, 0);
  check_fixation(gaze.tracks.at("wide").fixations[1], 0.75, 0.5, 290, 300);
}

TEST_CASE("image fit: images that the folder lacks are passed over, unless it lacks all", "[readers]") {
  Shown shown;
  const Gaze gaze = shown.read("contain", "wide,200,150,250\ncross,200,150,250\n");
  CHECK(gaze.tracks.size() == 1);
  check_contains(gaze.assumed, "1 images that ");
  check_contains(gaze.assumed, " lacks, such as cross, were passed over");
  check_contains(shown.refused("contain", "image,x [px],y [px],duration\ncross,1,1,250\n"), ", such as 'cross'");
}

TEST_CASE("image fit: positions in image sides and missing options are refused", "[readers]") {
  Shown shown;
  check_contains(shown.refused("native", "image,x [norm],y [norm],duration\nwide,0.5,0.5,250\n"),
                 "gaze.csv:2: positions are in image sides: --fit native is for positions in pixels of the screen");
  check_contains(shown.refused("contain", "IMAGE,CURRENT_FIX_X\n"), "does not use --screen");
  shown.options.viewing.image = {0, 0, 10, 10};
  check_contains(shown.refused("native", "x\n"), "and no --image-size or --image-rect");
  shown.options = {};
  check_contains(shown.refused("contain", "x\n"), "--fit contain: expected --screen WxH and --images DIR");
}

TEST_CASE("image fit: the program fits images, and refuses other options with it", "[readers]") {
  Shown shown;
  write(shown.folder / "gaze.csv", "image,x [px],y [px],duration\n" + rows);
  const std::string in = "fixations " + shown.folder / "gaze.csv" + " --out " + shown.folder / "out.csv ",
                    screen = "--screen 400x300 ", images = "--images " + shown.options.images + " ";
  const Result r = run(in + screen + images + "--fit contain");
  INFO(r.out << r.err);
  CHECK(r.status == 0);
  check_contains(r.out, "each image by --fit contain in 0,0 400x300");
  for (const auto& [options, part] :
       {std::pair{screen + "--fit contain", "--fit requires --images"},
        {images + "--fit contain", "--fit requires --screen"},
        {screen + images + "--fit contain --image-size 9x9", "--image-size excludes --fit"},
        {screen + images + "--fit native --image-rect 0,0,9,9", "--fit native: "},
        {screen + images + "--fit cover", "cover not in {contain,native}"}}) {
    const Result bad = run(in + options + " --force");
    INFO(options << ": " << bad.err);
    CHECK(bad.status == 2);
    CHECK(bad.err.find(part) != std::string::npos);
  }
}
