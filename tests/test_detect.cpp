// Detection of fixations in samples.
#include "gaze/detect.h"

#include <cmath>
#include <tuple>

#include "core/random.h"
#include "gaze/readers.h"
#include "tests/gaze_files.h"

using namespace gt;

namespace {

using Ranges = std::vector<std::pair<size_t, size_t>>;

DetectOptions with_method(const std::string& method) {
  DetectOptions options;
  options.method = method;
  return options;
}

/// A recording at 500 Hz: 300 ms at (0,0), 30 ms to (10,0), 200 ms there; with noise of 0.02.
std::vector<GazeSample> two_fixations() {
  std::vector<GazeSample> samples;
  Random random(3);
  for (int i = 0; i < 265; ++i) {
    const double x = i < 150 ? 0 : i < 165 ? 10 * (i - 149) / 16.0 : 10;
    samples.push_back({1000 + 2.0 * i, x + random.uniform(-0.01, 0.01), random.uniform(-0.01, 0.01)});
  }
  return samples;
}

}  // namespace

TEST_CASE("detection: I-DT and I-VT find two fixations in a simulated recording", "[readers]") {
  const std::vector<GazeSample> samples = two_fixations();
  for (const std::string method : {"idt", "ivt"}) {
    const Ranges found = detect_fixations(samples, with_method(method));
    INFO(method);
    REQUIRE(found.size() == 2);
    CHECK(found[0].first == 0);
    CHECK((found[0].second >= 144 && found[0].second <= 152));
    CHECK((found[1].first >= 163 && found[1].first <= 171));
    CHECK(found[1].second == 265);
  }
}

TEST_CASE("detection: I-DT agrees with cases by hand", "[readers]") {
  const std::vector<GazeSample> s = {{0, 0, 0},   {50, 0.5, 0}, {100, 0, 0.5}, {150, 0.5, 0.5},
                                     {200, 3, 3}, {250, 9, 9},  {300, 9, 9.5}, {350, 9.4, 9.5}};
  CHECK(detect_fixations(s, with_method("idt")) == Ranges{{0, 4}, {5, 8}});
  DetectOptions options = with_method("idt");
  options.dispersion = 0.89;  // the first three have the dispersion 0.5 + 0.5
  CHECK(detect_fixations(s, options) == Ranges{});
  options.dispersion = 0.91;  // the last three have 0.4 + 0.5
  CHECK(detect_fixations(s, options) == Ranges{{5, 8}});
  options.dispersion = 1;
  options.min_duration = 101;
  CHECK(detect_fixations(s, options) == Ranges{{0, 4}});
  options.max_gap = 49;
  CHECK(detect_fixations(s, options).empty());
}

TEST_CASE("detection: I-VT agrees with cases by hand", "[readers]") {
  // Speeds from sample to sample are 10, 10, 100, 10, 10, 10 units per second.
  const std::vector<GazeSample> s = {{0, 0, 0},     {50, 0.5, 0}, {100, 1, 0},  {150, 6, 0},
                                     {200, 6, 0.5}, {250, 6, 1},  {300, 6, 1.5}};
  DetectOptions options = with_method("ivt");
  options.window = 0;
  CHECK(detect_fixations(s, options) == Ranges{{0, 3}, {4, 7}});
  options.min_duration = 101;
  CHECK(detect_fixations(s, options).empty());
  options.min_duration = 0;
  options.velocity = 100.1;
  CHECK(detect_fixations(s, options) == Ranges{{0, 7}});
  options.velocity = 9;
  CHECK(detect_fixations(s, options).empty());
  CHECK(detect_fixations({}, options).empty());
  CHECK(detect_fixations({{0, 0, 0}}, options).empty());
  CHECK(error_of([] { detect_fixations({}, with_method("what")); }) ==
        "detection of fixations: expected the method idt or ivt, got 'what'");
}

TEST_CASE("detection: a window keeps noise from splitting a fixation", "[readers]") {
  std::vector<GazeSample> s;  // at 1,000 Hz, alternating by 0.05: 50 units per second
  for (int i = 0; i < 200; ++i) s.push_back({double(i), 0.05 * (i % 2), 0});
  DetectOptions options = with_method("ivt");
  CHECK(detect_fixations(s, options) == Ranges{{0, 200}});
  options.window = 0;
  CHECK(detect_fixations(s, options).empty());
}

TEST_CASE("detection: I-VT does not join fixations over missing samples between which the eye jumped", "[readers]") {
  DetectOptions options = with_method("ivt");
  for (const double jump : {0.0, 5.0}) {
    std::vector<GazeSample> s;
    for (int i = 0; i < 100; ++i)
      if (i < 50 || i >= 60) s.push_back({4.0 * i, i < 60 ? 0 : jump, 0});
    INFO(jump);
    CHECK(detect_fixations(s, options) == (jump == 0 ? Ranges{{0, 90}} : Ranges{{0, 50}, {50, 90}}));
  }
}

TEST_CASE("detection: fixations are detected in the samples of every format that has them", "[readers]") {
  std::string plain = "time\tx [px]\ty [px]\timage\n", pupil = "gaze_timestamp,norm_pos_x,norm_pos_y,confidence\n",
              eyelink = "RECORDING_SESSION_LABEL\tTRIAL_INDEX\tIMAGE\tTIMESTAMP\tRIGHT_GAZE_X\tRIGHT_GAZE_Y\n",
              tobii = "Recording timestamp\tPresented Media name\tGaze point X\tGaze point Y\n";
  for (const GazeSample& s : two_fixations()) {
    const double x = 500 + 30 * s.x, y = 400 + 30 * s.y;  // on a screen of 1000x800 pixels, 30 per degree
    const bool blink = s.time > 1500;
    plain += str_cat(s.time, "\t", x, "\t", y, "\ta.png\n");
    pupil += str_cat(s.time / 1000, ",", x / 1000, ",", 1 - y / 800, ",", blink ? 0.1 : 0.95, "\n");
    eyelink += str_cat("s\t1\ta.png\t", s.time, "\t", blink ? "." : std::to_string(x), "\t",
                       blink ? "." : std::to_string(y), "\n");
    tobii += str_cat(int(s.time * 1000), "\ta.png\t", x, "\t", y, "\n");
  }
  for (const std::string& file : {plain, pupil, eyelink, tobii})
    for (const std::string method : {"idt", "ivt"}) {
      GazeOptions options;
      if (file == pupil) options.image = "a";
      options.viewing = {1000, 800, {}, 1000 * 0.2909, 0.2909 * 30 / std::tan(std::acos(-1) / 180)};  // mm
      options.detect = with_method(method);
      const Gaze gaze = read_text(file, options);
      INFO(file.substr(0, 30) << " " << method);
      const std::vector<Fixation>& f = gaze.tracks.at("a").fixations;
      REQUIRE(f.size() == 2);
      CHECK(f[0].x == Approx(0.5).margin(2e-3));
      CHECK(f[0].y == Approx(0.5).margin(2e-3));
      CHECK(f[1].x == Approx(0.8).margin(2e-3));
      CHECK(f[0].duration == Approx(300).margin(14));
      CHECK(f[0].start == Approx(0).margin(1e-6));
      CHECK(f[1].start == Approx(330).margin(14));
      options.viewing.distance_mm = options.viewing.screen_mm = 0;  // pixels
      options.detect.dispersion = 30, options.detect.velocity = 900;
      CHECK(read_text(file, options).tracks.at("a").fixations.size() == 2);
    }
}

TEST_CASE("detection: faulty samples are refused", "[readers]") {
  GazeOptions options;
  options.detect = with_method("ivt");
  check_contains(refusal_of_text("time,x,y\n0,0.5,0.5\n", options),
                 "gaze.csv: positions on image gaze are in image sides, the thresholds in pixels or degrees");
  check_contains(refusal_of_text("IMAGE,CURRENT_FIX_INDEX\na,1\n", options),
                 "gaze.csv: has the format gazemedseg, which does not use --detect; formats that do: ");
  options.viewing = {100, 100, {}, 0, 500};
  CHECK(refusal_of_text("time,x,y\n0,0.5,0.5\n", options) ==
        "gaze.csv: a viewing distance is given: expected the screen's width in mm and in pixels too (--screen-mm, "
        "--screen)");
  options.viewing = {100, 100, {}, 0, 0};
  check_contains(refusal_of_text("time,x,y\n9,0.5,0.5\n8,0.5,0.5\n", options),
                 "gaze.csv:3: a sample of image gaze is out of order: its time is 8 ms, that of line 2 is 9 ms");
  check_contains(refusal_of_text("time,x,y\n9,0.5,0.5\n", options), "gaze.csv: expected fixations, the file has none");
  check_contains(refusal_of_text("time,x\n9,0.5\n", options), "gaze.csv:1: expected a column y, got time, x");
}

TEST_CASE("detection: a million samples are searched by I-DT and I-VT", "[readers]") {
  std::vector<GazeSample> samples;  // at 1,000 Hz, a saccade each 1000 s; then drift that is never a fixation for I-DT
  for (int i = 0; i < 1000000; ++i) samples.push_back({double(i), i < 500000 ? 0.0 : i * 0.011, 0});
  DetectOptions idt = with_method("idt"), ivt = with_method("ivt");
  CHECK(detect_fixations(samples, idt) == Ranges{{0, 500000}});
  idt.min_duration = 250000, idt.dispersion = 100;  // long windows, most of them too wide
  CHECK(detect_fixations(samples, idt) == Ranges{{0, 500000}});
  ivt.window = 250000;
  CHECK(!detect_fixations(samples, ivt).empty());
}

TEST_CASE("detection: samples at (0, 0) pixels are lost, not a fixation in the corner", "[readers]") {
  std::string plain = "time,x [px],y [px]\n",
              tobii = "Recording timestamp [ms]\tPresented Media name\tGaze point X\tGaze point Y\n";
  for (int i = 0; i < 200; ++i) {
    const bool lost = i >= 80 && i < 120;
    const std::string x = lost ? "0" : i < 80 ? "480" : "640.5", y = lost ? "0.0" : "270";
    plain += str_cat(4 * i, ",", x, ",", y, "\n");
    tobii += str_cat(4 * i, "\ta.png\t", x, "\t", y, "\n");
  }
  for (const std::string& text : {plain, tobii})
    for (const std::string method : {"idt", "ivt"}) {
      GazeOptions options;
      options.detect = with_method(method);
      options.detect.dispersion = 40, options.detect.velocity = 1000;
      options.viewing = {960, 540, {}, 0, 0};
      const Gaze gaze = read_text(text, options, "a.csv");
      CHECK(gaze.dropped.lost == 40);
      REQUIRE(gaze.tracks.at("a").fixations.size() == 2);
      CHECK(gaze.tracks.at("a").fixations[0].x == Approx(0.5));
      CHECK(gaze.tracks.at("a").fixations[1].y == Approx(0.5));
    }
}

TEST_CASE("detection: samples whose times look like seconds or microseconds need their unit", "[readers]") {
  for (const auto& [step, word, unit] : {std::tuple(0.004, "seconds", "s"), std::tuple(4000., "microseconds", "us")}) {
    std::string text = "time,x [px],y [px]\n";
    for (int i = 0; i < 50; ++i) text += str_cat(step * i, ",50,50\n");
    GazeOptions options;
    options.detect = with_method("idt");
    options.viewing = {100, 100, {}, 0, 0};
    const std::string message = refusal_of_text(text, options);
    check_contains(message, str_cat("look like ", word, ": expected the unit in the columns' names"));
    check_contains(message, "--time-unit");
    options.time_unit = unit;
    CHECK(read_text(text, options).tracks.at("gaze").fixations.at(0).duration == Approx(196));
  }
}
