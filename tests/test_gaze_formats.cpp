// EyeLink's text, BIDS eye tracking and tables of chest X-rays. tests/fixtures/make_gaze.py makes the files.
#include <filesystem>

#include "gaze/image.h"
#include "gaze/readers.h"
#include "tests/gaze_files.h"

using namespace gt;

namespace {

const std::string fixtures = GT_SOURCE_DIR "/tests/fixtures/gaze/";

/// The text with a part replaced.
std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const size_t at = text.find(part);
  REQUIRE(at != text.npos);
  return text.replace(at, part.size(), by);
}

// ---- EyeLink's text -------------------------------------------------------------------------------------------------

std::string asc_text() { return read_file(fixtures + "eyelink.asc"); }

std::string asc_refusal(const std::string& text, const GazeOptions& options = {}) {
  return refusal_of_text(text, options, "p01.asc");
}

/// A file with one trial of the right eye: these lines between START at 100 and END at 900.
std::string one_trial(const std::string& lines, const std::string& id = "TRIALID a.jpg") {
  return "MSG\t10 DISPLAY_COORDS 0 0 999 499\nMSG\t90 " + id + "\nSTART\t100\tRIGHT\tEVENTS\nEVENTS\tGAZE\tRIGHT\n" +
         lines + "END\t900\tEVENTS\n";
}

const std::string fix = "EFIX R 200 298 100 250.0 125.0 900\n";

}  // namespace

TEST_CASE("asc: fixations of the right eye, from the onset, in the rectangle that the message gives", "[readers]") {
  const Gaze gaze = read_gaze(fixtures + "eyelink.asc");
  CHECK(gaze.format == "asc");
  CHECK(gaze.assumed ==
        "positions in pixels of the screen, image of line 86 at 576,156 768x768; times in ms from the onset message");
  REQUIRE(gaze.tracks.size() == 2);
  for (const char* name : {"polyp1", "polyp2"}) {
    const std::vector<Fixation>& f = gaze.tracks.at(name).fixations;
    REQUIRE(f.size() == 2);  // not the one before DISPLAY ON, the one without a position, and the one on a blank screen
    check_fixation(f[0], 0.25, 0.25, 120, 10);
    check_fixation(f[1], 0.75, 0.75, 200, 200);
  }
  CHECK(gaze.dropped.early == 2);
  CHECK(gaze.dropped.unplaced == 2);
}

TEST_CASE("asc: options choose eye, trial, rectangle, blinks and samples", "[readers]") {
  GazeOptions options;
  options.eye = "left";
  const Gaze left = read_gaze(fixtures + "eyelink.asc", options);
  REQUIRE(left.tracks.at("polyp1").fixations.size() == 1);
  check_fixation(left.tracks.at("polyp1").fixations[0], (702 - 576) / 768., (600 - 156) / 768., 120, 10);

  options = {};
  options.recording = "2";
  CHECK(read_gaze(fixtures + "eyelink.asc", options).tracks.count("polyp1") == 0);
  options.recording = "3";
  check_contains(error_of([&] { read_gaze(fixtures + "eyelink.asc", options); }), "has no recording '3'");

  options = {};
  options.drop_blinks = true;
  check_contains(error_of([&] { read_gaze(fixtures + "eyelink.asc", options); }), "4 next to a blink");

  options = {};
  options.viewing.image_width = 1920, options.viewing.image_height = 1080;  // in the middle of DISPLAY_COORDS
  check_fixation(read_gaze(fixtures + "eyelink.asc", options).tracks.at("polyp1").fixations[0], 0.4, 348 / 1080., 120,
                 10);

  options = {};
  options.detect.method = "idt";
  options.detect.dispersion = 10;
  const Gaze samples = read_gaze(fixtures + "eyelink.asc", options);
  REQUIRE(samples.tracks.at("polyp2").fixations.size() == 1);
  check_fixation(samples.tracks.at("polyp2").fixations[0], 0.25, 0.25, 118, 10);
}

TEST_CASE("asc: the image's name is of --image, its own message, a variable or the trial", "[readers]") {
  GazeOptions options;
  options.viewing.screen_width = 1000, options.viewing.screen_height = 500;
  const auto only = [&](const std::string& text, const char* name, double start) {
    INFO(text);
    const Gaze gaze = read_text(text, options, "p01.asc");
    REQUIRE(gaze.tracks.size() == 1);
    REQUIRE(gaze.tracks.count(name) == 1);
    check_fixation(gaze.tracks.at(name).fixations.at(0), 0.25, 0.25, 100, start);
  };
  only(one_trial(fix), "a", 100);
  only(one_trial(fix + "MSG\t850 !V TRIAL_VAR Image b.png\n"), "b", 100);
  only(one_trial("MSG\t150 !V IMGLOAD FILL c d.png\n" + fix, "TRIALID 7"), "c d", 50);
  only(one_trial("MSG\t150 SYNCTIME\n" + fix + "MSG\t880 !V IMGLOAD FILL c.png\n", "TRIALID 7"), "c", 50);
  options.image_column = "picture";
  only(one_trial(fix + "MSG\t850 !V TRIAL_VAR picture e.png\n"), "e", 100);
  options.image_column = "";
  options.image_message = "show ";
  options.onset_message = "flip";
  only(one_trial("MSG\t110 SHOW f.png\nMSG\t120 flip\n" + fix), "f", 80);
  const Gaze two = read_text(one_trial("MSG\t110 show f.png\nMSG\t120 flip\n" + fix +
                                       "MSG\t400 show g.png\nMSG\t410 flip\nEFIX R 420 518 100 500 250 9\n"),
                             options, "p01.asc");
  check_fixation(two.tracks.at("f").fixations.at(0), 0.25, 0.25, 100, 80);
  check_fixation(two.tracks.at("g").fixations.at(0), 0.5, 0.5, 100, 10);
  CHECK(two.tracks.at("f").fixations.size() == 1);
  options.image_message = options.onset_message = "";
  options.image = "h.png";
  only(one_trial(fix, "TRIALID 7"), "h", 100);
}

TEST_CASE("asc: a faulty or ambiguous file is refused", "[readers]") {
  GazeOptions options;
  options.viewing.screen_width = 1000, options.viewing.screen_height = 500;
  const auto refused = [&](const std::string& text, const std::string& part) {
    check_contains(asc_refusal(text, options), part);
  };
  refused(replaced(one_trial(fix), "END\t900\tEVENTS\n", ""), "p01.asc:3: START has no END, the file is truncated");
  refused(one_trial(fix + fix), "p01.asc:6: EFIX starts at 200 ms, not after that of line 5: it is given twice");
  refused(one_trial("EFIX R 200 298 100 250.0\n"), "p01.asc:5: EFIX: expected an eye, start, end, duration, x and y");
  refused(one_trial("EFIX R 200 298 0.1 250 125 9\n"), "p01.asc:5: EFIX from 200 to 298 ms has a duration of 0.1 ms");
  refused(one_trial("EFIX R 200 298 100 nan 125 9\n"), "p01.asc:5: expected the x of EFIX, got 'nan'");
  refused(one_trial("EFIX X 200 298 100 250 125 9\n"), "p01.asc:5: expected the eye L or R, got 'X'");
  refused(one_trial(""), "p01.asc: has no fixations, expected EFIX, or samples and --detect");
  refused(one_trial(fix) + fix, "p01.asc:7: EFIX stands outside of a recording");
  refused(one_trial(fix) + replaced(one_trial(fix), "DISPLAY_COORDS 0 0 999 499", "again"),
          "p01.asc:9: START 100 is before the END of the recording of line 3");
  refused(replaced(one_trial(fix), "EVENTS\tGAZE", "EVENTS\tHREF"), "p01.asc:4: EVENTS are in HREF coordinates");
  refused(replaced(one_trial(fix), "999 499", "1919 1079"),
          "p01.asc:1: the screen is 1920x1080, --screen says 1000x500");
  refused(one_trial(fix, "TRIALID 7"), "p01.asc: no message names an image: expected !V IMGLOAD");
  refused(one_trial("MSG\t120 !V IMGLOAD FILL a.png\nMSG\t300 !V IMGLOAD FILL b.png\n" + fix),
          "p01.asc:6: trial 'a.jpg' shows several images, the first on line 5");
  refused(one_trial("MSG\t120 DISPLAY ON\nMSG\t300 DISPLAY ON\n" + fix),
          "p01.asc:6: trial 'a.jpg' has a message 'DISPLAY ON' already on line 5");
  options.eye = "left";
  refused(one_trial(fix), "p01.asc:3: --eye left: only the other eye was recorded here");
  options = {};
  refused(one_trial(fix),
          "p01.asc:2: image 'a': expected its place on the screen (gradtrack fixations --image-rect or --image-size, "
          "or --screen 1000x500 if it filled the screen)");
  const std::string text = asc_text();
  check_contains(asc_refusal(replaced(text, "MSG\t2105 5 DISPLAY ON\n", "")),
                 "has no message of its appearance, 1 others");
  check_contains(asc_refusal(replaced(text, "polyp2.jpg", "polyp1.jpg")),
                 "image polyp1 was looked at in trial 2, after trial 1: expected one recording");
  check_contains(refusal_of_text(std::string("SR_RESEARCH_COMBFILE\0\x01", 22), {}, "p01.edf"),
                 "p01.edf: is a binary EDF file of EyeLink: expected its text, which SR Research's program edf2asc");
}

TEST_CASE("asc: a file truncated anywhere or with a changed byte is read or refused", "[readers]") {
  const TempFolder tmp;
  GazeOptions options;
  options.viewing.screen_width = 1000, options.viewing.screen_height = 500;
  const std::string whole = one_trial("MSG\t150 4 DISPLAY ON\n" + fix);
  for (size_t i = 0; i < whole.size(); i += 2)
    for (const char c : {'\0', '\t', '\n', '9', '\xFF'}) {
      std::string changed = whole;
      changed[i] = c;
      for (const std::string& bytes : {changed, whole.substr(0, c == '9' ? i : 0)}) {
        if (bytes.empty()) continue;
        write(tmp / "p01.asc", bytes);
        size_t tracks = 1;
        error_of([&] { tracks = read_gaze(tmp / "p01.asc", options).tracks.size(); });
        CHECK(tracks > 0);
      }
    }
}

// ---- BIDS -----------------------------------------------------------------------------------------------------------

namespace {

/// A copy of the fixture's files, to be changed.
struct BidsFolder {
  TempFolder tmp;
  std::string stem = tmp / "sub-01_task-view", recording = stem + "_recording-eye1";
  std::string data = recording + "_physio.tsv.gz";
  BidsFolder() {
    for (const auto& file : std::filesystem::directory_iterator(fixtures))
      if (file.path().filename().string().starts_with("sub-01"))
        std::filesystem::copy_file(file.path(), tmp / file.path().filename().string());
  }
  void change(const std::string& path, const std::string& part, const std::string& by) const {
    write(path, replaced(read_file(path), part, by));
  }
  std::string refusal(const GazeOptions& options) const {
    const std::string message = error_of([&] { read_gaze(data, options); });
    CHECK(message.find('\n') == message.npos);
    return message;
  }
};

GazeOptions centred() {
  GazeOptions options;
  options.viewing.image_width = options.viewing.image_height = 768;
  return options;
}

}  // namespace

TEST_CASE("bids: fixations of the events lie at the mean of their samples, on the images of the task", "[readers]") {
  const BidsFolder f;
  const Gaze gaze = read_gaze(f.data, centred());
  CHECK(gaze.format == "bids");
  REQUIRE(gaze.tracks.size() == 2);
  // The first sample is at -500 ms of the task, and the first image appears at 300 ms.
  const std::vector<Fixation>& first = gaze.tracks.at("polyp1").fixations;
  REQUIRE(first.size() == 2);
  CHECK(std::abs(first[0].x - (960.5 - 576) / 768) < 1e-3);
  CHECK(std::abs(first[0].y - 0.5) < 1e-9);
  CHECK(first[0].start == Approx(100));
  CHECK(first[0].duration == Approx(950));
  CHECK(gaze.tracks.at("polyp2").fixations.at(0).duration == Approx(1200));
  CHECK(gaze.dropped.early == 1);

  GazeOptions options = centred();
  options.detect.method = "idt";
  options.detect.dispersion = 20;
  const Gaze samples = read_gaze(f.data, options);
  CHECK(samples.tracks.at("polyp1").fixations.size() >= 2);
  CHECK(samples.tracks.at("polyp2").fixations.size() == 1);
}

TEST_CASE("bids: what the files lack or contradict is refused", "[readers]") {
  const auto refused = [](const char* file, const std::string& part, const std::string& by, const std::string& expected,
                          const GazeOptions& options = centred()) {
    const BidsFolder f;
    f.change(f.stem + file, part, by);
    check_contains(f.refusal(options), expected);
  };
  const char *sidecar = "_recording-eye1_physio.json", *events = "_recording-eye1_physioevents.json";
  refused(sidecar, "gaze-on-screen", "eye-in-head", "physio.json: SampleCoordinateSystem: expected gaze-on-screen");
  refused(sidecar, "\"pixel\"", "\"mm\"", "physio.json: x_coordinate: expected Units pixel, got 'mm'");
  refused(sidecar, "\"ms\"", "\"s\"", "samples are 10000 ms apart, SamplingFrequency says 10 ms");
  refused(sidecar, "100,", "0,", "SamplingFrequency");
  refused(sidecar, "\"pupil_size\"", "\"a\", \"pupil_size\"",
          "physio.tsv.gz:1: expected 5 fields as in the header, got 4");
  refused(sidecar, "eyetrack", "generic", "physio.json: PhysioType: expected eyetrack, got 'generic'");
  refused(events, "\"Units\": \"s\"", "\"Units\": \"ms\"", "expected fixations, the file has none that can be used");
  refused(events, "\"Units\": \"ms\"", "\"Units\": \"s\"", "is outside of the samples");
  refused("_events.tsv", "1.8", "2.8", "events.tsv:4: the image appears at 2150 ms, while that of");
  refused("_events.tsv", "stim_file", "picture", "events.tsv:1: expected a column stim_file");
  refused("_events.json", "\"top\"", "\"bottom\"", "events.json: ScreenOrigin");
  GazeOptions other = centred();
  other.viewing.screen_width = 1280, other.viewing.screen_height = 1024;
  other.viewing.centre_image();
  refused("_events.tsv", "show", "show", "ScreenResolution is 1920x1080, --screen says 1280x1024", other);
  refused("_events.tsv", "show", "show", "expected the image's place there", {});

  const BidsFolder f;
  write(f.data, read_file(f.data).substr(0, 300));
  check_contains(f.refusal(centred()), "physio.tsv.gz: the packed data are damaged or truncated");
  std::filesystem::remove(f.recording + "_physio.json");
  std::filesystem::copy_file(fixtures + "sub-01_task-view_recording-eye1_physio.tsv.gz", f.data,
                             std::filesystem::copy_options::overwrite_existing);
  check_contains(f.refusal(centred()), "_physio.json: expected this file, the sidecar of the recording");
}

// ---- Chest X-rays ---------------------------------------------------------------------------------------------------

namespace {

const std::string reflacx_header =
    "timestamp_start_fixation,timestamp_end_fixation,x_position,y_position,pupil_area_normalized,window_level,"
    "window_width,angular_resolution_x_pixels_per_degree,angular_resolution_y_pixels_per_degree,xmin_shown_from_image,"
    "ymin_shown_from_image,xmax_shown_from_image,ymax_shown_from_image,xmin_in_screen_coordinates,"
    "ymin_in_screen_coordinates,xmax_in_screen_coordinates,ymax_in_screen_coordinates\n";
const std::string reflacx_row = ",1.1,0.5,1,94,94,0,0,2544,3056,661,0,3180,2160\n";

const std::string egd_header =
    "SESSION_ID,DICOM_ID,CNT,Time (in secs),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV,X_ORIGINAL,Y_ORIGINAL\n";

}  // namespace

TEST_CASE("reflacx: positions are pixels of the image, whose size is given", "[readers]") {
  GazeOptions options;
  options.image = "x1.dcm";
  options.viewing.image_width = 2544, options.viewing.image_height = 3056;
  const std::string text = reflacx_header + "0.5,0.75,1272,764" + reflacx_row + "0.8,1.1,-20,764" + reflacx_row +
                           "1.2,1.5,2544,3056" + reflacx_row;
  const Gaze gaze = read_text(text, options, "fixations.csv");
  CHECK(gaze.format == "reflacx");
  const Track& track = gaze.tracks.at("x1");
  REQUIRE(track.fixations.size() == 2);
  check_fixation(track.fixations[0], 0.5, 0.25, 250, 500);
  check_fixation(track.fixations[1], 1, 1, 300, 1200);
  CHECK(gaze.dropped.outside == 1);
  CHECK(track.image_width == 2544);

  const auto refused = [&](const std::string& changed, const std::string& part) {
    check_contains(refusal_of_text(changed, options, "fixations.csv"), part);
  };
  refused(reflacx_header + "0.5,0.4,1272,764" + reflacx_row, "fixations.csv:2: the fixation ends at 400 ms");
  refused(reflacx_header + "0.5,0.75,1272,764" + reflacx_row + "0.1,0.3,1,1" + reflacx_row, "is out of order");
  refused(reflacx_header + "0.5,0.75,1272" + reflacx_row,
          "fixations.csv:2: expected 17 fields as in the header, got 16");
  options.viewing.image_width = 1024;
  refused(text, "fixations.csv:2: the part of the image that was shown ends beyond its 1024x3056 pixels");
  options.viewing.image_width = 0;
  refused(text, "expected its size (gradtrack fixations --images DIR");
  options.image = "";
  refused(text, "does not say which image was looked at: expected --image NAME");
}

TEST_CASE("egd_cxr: positions are pixels of the images of a folder", "[readers]") {
  const TempFolder tmp;
  make_folder(tmp / "images");
  write_png(tmp / "images/x1.png", Image(40, 50, 1));
  GazeOptions options;
  options.images = tmp / "images";
  const std::string rows =
      "s1,x1,9,2,0.4,0.4,1.5,0.25,1,1,25,10\ns1,x1,9,3,0.1,0.4,2,0.25,2,1,-3,10\ns1,x1,9,4,0.1,0.4,3,0.5,3,0,5,10\n"
      "s1,calibration,9,4,0.1,0.4,3,0.5,3,1,5,10\ns1,x1,9,4,0.1,0.4,4,0.5,4,1,50,40\n";
  const Gaze gaze = read_text(egd_header + rows, options, "fixations.csv");
  CHECK(gaze.format == "egd_cxr");
  CHECK(gaze.dropped.outside == 1);
  CHECK(gaze.dropped.unplaced == 1);
  check_contains(gaze.assumed, "1 images that ");
  REQUIRE(gaze.tracks.size() == 1);
  REQUIRE(gaze.tracks.at("x1").fixations.size() == 2);
  check_fixation(gaze.tracks.at("x1").fixations[0], 0.5, 0.25, 250, 0);
  check_fixation(gaze.tracks.at("x1").fixations[1], 1, 1, 500, 2500);

  const auto refused = [&](const std::string& more, const std::string& part) {
    check_contains(refusal_of_text(egd_header + more, options, "fixations.csv"), part);
  };
  refused("s1,x1,9,2,0.4,0.4,1.5,0.25,1,1,2500,10\n",
          "fixations.csv:2: the position 2500,10 is beyond the image's 50x40");
  refused(rows + rows, "fixation 1 of image x1 was given on line 2 already");
  refused(rows + "s2,x1,9,2,0.4,0.4,1.5,0.25,9,1,25,10\n", "looked at in recording s2, after recording s1");
  options.images = "";
  refused(rows, "fixations.csv:2: has positions in pixels of image 'x1': expected its size");
}
