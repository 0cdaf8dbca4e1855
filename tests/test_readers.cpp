// Exports of eye trackers' programs. The rows are invented; the columns are those of the programs.
#include "gaze/readers.h"

#include "gaze/formats.h"
#include "tests/gaze_files.h"

using namespace gt;

namespace {

std::string refusal(const std::string& text, const GazeOptions& options = {}, const std::string& file = "gaze.txt") {
  return refusal_of_text(text, options, file);
}

GazeOptions shown_at(double x, double y, double width, double height, double screen_w = 0, double screen_h = 0) {
  GazeOptions options;
  options.viewing = {screen_w, screen_h, {x, y, width, height}, 0, 0};
  return options;
}

std::string utf16(const std::string& ascii) {
  std::string out = "\xFF\xFE";
  for (const char c : ascii) out += {c, '\0'};
  return out;
}

// ---- EyeLink

const std::string eyelink_header =
    "RECORDING_SESSION_LABEL\tTRIAL_INDEX\tIMAGE\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\tCURRENT_FIX_Y\tCURRENT_FIX_START\t"
    "CURRENT_FIX_END\tCURRENT_FIX_DURATION\tCURRENT_FIX_BLINK_AROUND\tCURRENT_FIX_PUPIL\n";

std::string eyelink(const std::string& rows) { return eyelink_header + rows; }

}  // namespace

TEST_CASE("readers: positions of an EyeLink report are converted from the screen to the image", "[readers]") {
  const std::string report = eyelink(
      "s1\t1\ta.jpg\t1\t960.0\t540.0\t7\t262\t256\tNONE\t2146\n"
      "s1\t1\ta.jpg\t2\t.\t.\t300\t399\t100\tNONE\t2146\n"
      "s1\t1\ta.jpg\t3\t576.0\t924.0\t400\t599\t200\tAFTER\t2146\n"
      "s1\t2\tb.jpg\t1\t100.0\t540.0\t7\t262\t256\tNONE\t2146\n"
      "s1\t2\tb.jpg\t2\t1343.0\t157.0\t300\t349\t50\tNONE\t2146\n"
      "s1\t3\t.\t1\t960\t540\t7\t262\t256\tNONE\t2146\n");
  GazeOptions options = shown_at(576, 156, 768, 768, 1920, 1080);  // 768x768 in the middle of 1920x1080
  const Gaze gaze = read_text(report, options);
  CHECK(gaze.format == "eyelink");
  CHECK(gaze.dropped.unplaced == 1);
  CHECK(gaze.dropped.outside == 1);
  REQUIRE(gaze.tracks.size() == 2);
  REQUIRE(gaze.tracks.at("a").fixations.size() == 2);
  check_fixation(gaze.tracks.at("a").fixations[0], 0.5, 0.5, 256, 7);
  check_fixation(gaze.tracks.at("a").fixations[1], 0, 1, 200, 400);
  check_fixation(gaze.tracks.at("b").fixations[0], 767 / 768., 1 / 768., 50, 300);

  options.drop_blinks = true;
  const Gaze steady = read_text(report, options);
  CHECK(steady.dropped.blinks == 1);
  CHECK(steady.tracks.at("a").fixations.size() == 1);

  options = {};
  options.viewing.screen_width = 1920, options.viewing.screen_height = 1080;  // the image fills the screen
  check_fixation(read_text(report, options).tracks.at("a").fixations[1], 0.3, 924 / 1080., 200, 400);
}

TEST_CASE("readers: a faulty or ambiguous EyeLink report is refused", "[readers]") {
  const std::string row = "s1\t1\ta.jpg\t1\t960.0\t540.0\t7\t262\t256\tNONE\t2146\n";
  const GazeOptions options = shown_at(0, 0, 1920, 1080);
  check_contains(refusal(eyelink(row)),
                 "gaze.txt:2: column CURRENT_FIX_X is in pixels of the screen: expected the image's place there");
  check_contains(refusal(eyelink(row + "s1\t4\ta.jpg\t1\t960.0\t540.0\t7\t262\t256\tNONE\t2146\n"), options),
                 "gaze.txt:3: image a was looked at in recording s1 4, after recording s1 1: expected one recording");
  check_contains(refusal(eyelink(row + row), options), "gaze.txt:3: fixation 1 of image a was given on line 2 already");
  check_contains(refusal(eyelink("s1\t1\ta.jpg\t1\tx\t540.0\t7\t262\t256\tNONE\t2146\n"), options),
                 "gaze.txt:2: column CURRENT_FIX_X: expected a number, got 'x'");
  check_contains(refusal(eyelink("s1\t1\ta.jpg\t1\t1\t540.0\t7\t262\t.\tNONE\t2146\n"), options),
                 "gaze.txt:2: column CURRENT_FIX_DURATION: expected a number, got '.'");
  check_contains(refusal("TRIAL_INDEX\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\n1\t1\t1\n", options),
                 "gaze.txt:1: expected a column IMAGE or --image-column NAME");
  check_contains(refusal("TRIAL_INDEX\tIMAGE\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\n1\ta\t1\t1\n", options),
                 "gaze.txt:1: expected a column CURRENT_FIX_DURATION, got TRIAL_INDEX");
  GazeOptions other = options;
  other.recording = "s2";
  check_contains(refusal(eyelink(row), other), "gaze.txt: has no recording 's2', only s1");
  other.recording = "";
  other.image_column = "picture";
  check_contains(refusal(eyelink(row), other), "gaze.txt:1: expected a column picture, got RECORDING_SESSION_LABEL");
  other = options;
  other.drop_blinks = true;
  check_contains(refusal("TRIAL_INDEX\tIMAGE\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\tCURRENT_FIX_Y\tCURRENT_FIX_START\t"
                         "CURRENT_FIX_DURATION\n",
                         other),
                 "gaze.txt:1: expected a column CURRENT_FIX_BLINK_AROUND");
}

TEST_CASE("readers: options select the recording and the column of image names", "[readers]") {
  std::string report = eyelink(
      "s1\t1\ta.jpg\t1\t960.0\t540.0\t7\t262\t256\tNONE\t2146\n"
      "s2\t1\ta.jpg\t1\t480.0\t540.0\t9\t262\t200\tNONE\t2146\n");
  report.replace(report.find("IMAGE"), 5, "picture");
  GazeOptions options = shown_at(0, 0, 1920, 1080);
  options.image_column = "picture";
  options.recording = "s2";
  const Gaze gaze = read_text(report, options);
  REQUIRE(gaze.tracks.at("a").fixations.size() == 1);
  check_fixation(gaze.tracks.at("a").fixations[0], 0.25, 0.5, 200, 9);
}

// ---- Tobii ----------------------------------------------------------------------------------------------------------

namespace {

const std::string tobii_header =
    "Recording timestamp [ms]\tSensor\tParticipant name\tRecording name\tGaze point X [DACS px]\tGaze point Y [DACS "
    "px]\tPresented Media name\tPresented Media width [px]\tPresented Media height [px]\tPresented Media position X "
    "(DACSpx)\tPresented Media position Y (DACSpx)\tEye movement type\tGaze event duration [ms]\tEye movement type "
    "index\tFixation point X [DACS px]\tFixation point Y [DACS px]\n";

std::string tobii_row(double time, const std::string& media, const std::string& type, int duration, int index,
                      const std::string& x, const std::string& y, const std::string& recording = "R1") {
  const std::string media_place = media.empty() ? "\t\t\t" : "800\t600\t560\t240";
  return str_cat(time, "\tEye Tracker\tP1\t", recording, "\t", x, "\t", y, "\t", media, "\t", media_place, "\t", type,
                 "\t", duration, "\t", index, "\t", x, "\t", y, "\n");
}

/// Two fixations on a.png, the first in three rows, then one on b.png. Another began before a.png.
std::string tobii_export() {
  return tobii_header + tobii_row(900, "", "Fixation", 120, 1, "1", "1") +
         tobii_row(990, "a.png", "Fixation", 120, 1, "800", "400") +
         tobii_row(1000, "a.png", "Saccade", 16, 1, "", "") +
         tobii_row(1016, "a.png", "Fixation", 250, 2, "960", "540") +
         tobii_row(1100, "a.png", "Fixation", 250, 2, "960", "540") + "1110\t\tP1\tR1\t\t\ta.png\t\t\t\t\t\t\t\t\t\n" +
         tobii_row(1200, "a.png", "Fixation", 250, 2, "960", "540") +
         tobii_row(1300, "a.png", "EyesNotFound", 50, 1, "", "") +
         tobii_row(1350, "a.png", "Fixation", 300, 3, "560", "690") +
         tobii_row(1500, "b.png", "Fixation", 300, 3, "560", "690") +
         tobii_row(1700, "b.png", "Fixation", 90, 4, "1300,0", "240,0");
}

std::string replaced(std::string s, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = s.find(what, at)) != s.npos; at += by.size()) s.replace(at, what.size(), by);
  return s;
}

void check_tobii(const Gaze& gaze) {
  CHECK(gaze.format == "tobii");
  REQUIRE(gaze.tracks.size() == 2);
  const std::vector<Fixation>& a = gaze.tracks.at("a").fixations;
  REQUIRE(a.size() == 2);
  CHECK(gaze.dropped.early == 1);  // index 1 began before the first image
  check_fixation(a[0], 0.5, 0.5, 250, 26);
  check_fixation(a[1], 0, 0.75, 300, 360);  // it began on a and ends on b
  REQUIRE(gaze.tracks.at("b").fixations.size() == 1);
  check_fixation(gaze.tracks.at("b").fixations[0], 0.925, 0, 90, 200);
}

}  // namespace

TEST_CASE("readers: a Tobii export has one fixation per index, in the media's rectangle", "[readers]") {
  check_tobii(read_text(tobii_export()));
  check_tobii(read_text(utf16(replaced(tobii_export(), "\n", "\r\n"))));
  // Newer exports have other names for two columns; older ones have no units.
  check_tobii(read_text(replaced(replaced(tobii_export(), "Gaze event duration", "Eye movement event duration"),
                                 "Presented Media name", "Presented Stimulus name")));
  check_tobii(read_text(replaced(replaced(tobii_export(), " [ms]", ""), " [DACS px]", "")));
  // The options' rectangle overrides the file's.
  const Gaze gaze = read_text(tobii_export(), shown_at(0, 0, 1920, 1080));
  check_fixation(gaze.tracks.at("a").fixations[0], 0.5, 0.5, 250, 26);
  check_fixation(gaze.tracks.at("b").fixations[0], 1300 / 1920., 240 / 1080., 90, 200);
}

TEST_CASE("readers: Tobii timestamps in microseconds are recognised with and without a unit", "[readers]") {
  const std::string header =
      "Recording timestamp\tPresented Media name\tEye movement type\tGaze event duration\tEye "
      "movement type index\tFixation point X (MCSnorm)\tFixation point Y (MCSnorm)\n";
  const std::string rows =
      "500000\ta.png\tSaccade\t20\t1\t\t\n520000\ta.png\tFixation\t250\t1\t0,5\t0,25\n"
      "800000\ta.png\tFixation\t200\t2\t0,75\t0,5\n";
  for (const std::string unit : {"", " [\xCE\xBCs]"}) {
    const Gaze gaze = read_text(replaced(header, "timestamp", "timestamp" + unit) + rows);
    REQUIRE(gaze.tracks.at("a").fixations.size() == 2);
    check_fixation(gaze.tracks.at("a").fixations[0], 0.5, 0.25, 250, 20);
    check_fixation(gaze.tracks.at("a").fixations[1], 0.75, 0.5, 200, 300);
  }
}

TEST_CASE("readers: Tobii timestamps that look like seconds need their unit", "[readers]") {
  std::string text =
      "Recording timestamp\tPresented Media name\tEye movement type\tGaze event duration\tEye "
      "movement type index\tFixation point X (MCSnorm)\tFixation point Y (MCSnorm)\n";
  for (int i = 0; i < 60; ++i) text += str_cat(10 + i / 60., "\ta.png\tFixation\t300\t", 1 + i / 20, "\t0.5\t0.5\n");
  check_contains(refusal(text), "gaze.txt:1: column Recording timestamp has no unit, and its times look like seconds");
  GazeOptions options;
  options.time_unit.assign(1, 's');
  CHECK(read_text(text, options).tracks.at("a").fixations.size() == 3);
}

TEST_CASE("readers: positions of (0, 0) are lost in every unit", "[readers]") {
  const Gaze gaze = read_text("image,x [norm],y [norm],duration\na,0.5,0.5,200\na,0,0,200\na,0,0.5,200\n");
  CHECK(gaze.dropped.lost == 1);
  CHECK(gaze.tracks.at("a").fixations.size() == 2);
  const Gaze pupil = read_text("id,start_timestamp,duration,norm_pos_x,norm_pos_y\n1,10,200,0.5,0.5\n2,11,200,0,0\n",
                               {}, "fixations_on_surface_a.csv");
  CHECK(pupil.dropped.unplaced == 1);
  CHECK(pupil.tracks.at("a").fixations.size() == 1);
}

TEST_CASE("readers: shares where pixels are expected are named, without the image's place too", "[readers]") {
  const std::string text =
      "IMAGE\tTRIAL_INDEX\tCURRENT_FIX_INDEX\tCURRENT_FIX_X\tCURRENT_FIX_Y\tCURRENT_FIX_DURATION\t"
      "CURRENT_FIX_START\na\t1\t1\t0.4\t0.5\t200\t0\n";
  check_contains(refusal(text),
                 "gaze.txt:2: column CURRENT_FIX_X: 0.4 was expected in pixels of the screen and looks like "
                 "image sides");
}

TEST_CASE("readers: a file has one decimal mark", "[readers]") {
  const std::string rows = "x\ty\tduration\n0.5\t0.5\t200\n", options = "";
  check_contains(refusal(rows + "1,0125\t0.5\t200\n"),
                 "gaze.txt:3: column x: '1,0125' has a decimal comma, other numbers of the file have decimal points");
}

TEST_CASE("readers: Tobii fixations mapped onto snapshots are read", "[readers]") {
  const std::string text =
      "Recording timestamp [ms]\tRecording name\tGaze event duration [ms]\tMedia width [cat.jpg]\tMedia height "
      "[cat.jpg]\tMapped eye movement type [cat.jpg]\tMapped eye movement index [cat.jpg]\tMapped fixation X "
      "[cat.jpg]\tMapped fixation Y [cat.jpg]\n"
      "100\tR\t200\t400\t200\tFixation\t1\t100\t50\n120\tR\t200\t400\t200\tFixation\t1\t100\t50\n"
      "340\tR\t30\t400\t200\tSaccade\t1\t\t\n400\tR\t150\t400\t200\tFixation\t2\t300\t150\n";
  const Gaze gaze = read_text(text);
  REQUIRE(gaze.tracks.at("cat").fixations.size() == 2);
  check_fixation(gaze.tracks.at("cat").fixations[0], 0.25, 0.25, 200, 0);
  check_fixation(gaze.tracks.at("cat").fixations[1], 0.75, 0.75, 150, 300);
  check_contains(refusal(replaced(text, "Mapped fixation Y [cat.jpg]", "what")),
                 "gaze.txt:1: expected a column Mapped fixation Y [cat.jpg] with Mapped fixation X [cat.jpg]");
}

TEST_CASE("readers: a faulty Tobii export is refused", "[readers]") {
  check_contains(refusal(replaced(tobii_export(), "Eye movement type index", "what")),
                 "gaze.txt:1: expected a column Eye movement type index, got Recording timestamp [ms], ");
  check_contains(refusal(replaced(tobii_export(), "Fixation point X", "what")),
                 "gaze.txt:1: expected columns Fixation point X and Fixation point Y in pixels or (MCSnorm)");
  check_contains(refusal(replaced(tobii_export(), "[ms]\tSensor", "[weeks]\tSensor")),
                 "gaze.txt:2: column Recording timestamp [weeks]: expected a time in s, ms, us or ns");
  check_contains(refusal(replaced(tobii_export(), "\t250\t2\t", "\t250\ttwo\t")),
                 "gaze.txt:5: column Eye movement type index: expected a number, got 'two'");
  check_contains(refusal(replaced(tobii_export(), "800\t600\t560\t240", "\t\t\t")),
                 "gaze.txt:5: column Fixation point X [DACS px] is in pixels");
  check_contains(refusal(tobii_export() + tobii_row(2000, "a.png", "Fixation", 90, 9, "960", "540", "R2")),
                 "gaze.txt:13: image a was looked at in recording R2 P1, after recording R1 P1");
  check_contains(refusal(tobii_export() + "1\t2\n"), "gaze.txt:13: expected 16 fields as in the header, got 2");
}

// ---- Pupil Labs -----------------------------------------------------------------------------------------------------

TEST_CASE("readers: durations that no eye has are refused in every format", "[readers]") {
  const std::string pupil =
      "world_timestamp,world_index,fixation_id,start_timestamp,duration,dispersion,norm_pos_x,norm_pos_y,x_scaled,"
      "y_scaled,on_surf\n10.5,3,7,10.5,300300,0.9,0.25,0.8,25,80,True\n";
  check_contains(refusal_of_text(pupil, {}, "fixations_on_surface_x.csv"),
                 "durations are 300300 in the middle and look like microseconds");
}

TEST_CASE("readers: Pupil Labs' fixations have the origin at the bottom and a row per camera frame", "[readers]") {
  const Gaze gaze = read_text(
      "world_timestamp,world_index,fixation_id,start_timestamp,duration,dispersion,norm_pos_x,norm_pos_y,x_scaled,"
      "y_scaled,on_surf\n"
      "10.51,3,7,10.5,133.5,0.9,0.25,0.8,25,80,True\n10.54,4,7,10.5,133.5,0.9,0.27,0.82,27,82,True\n"
      "11.01,9,8,11.0,90,0.9,0.5,1.2,50,120,False\n12.01,19,9,12.0,80,0.9,0.5,0,50,0,True\n",
      {}, "fixations_on_surface_polyp 7.csv");
  CHECK(gaze.format == "pupil");
  CHECK(gaze.dropped.outside == 1);
  REQUIRE(gaze.tracks.count("polyp 7") == 1);
  const std::vector<Fixation>& f = gaze.tracks.at("polyp 7").fixations;
  REQUIRE(f.size() == 2);
  check_fixation(f[0], 0.26, 0.19, 133.5, 0);
  check_fixation(f[1], 0.5, 1, 80, 1500);
}

TEST_CASE("readers: Pupil Labs' fixations in the camera's image need the image's name", "[readers]") {
  const std::string text =
      "id,start_timestamp,duration,start_frame_index,end_frame_index,norm_pos_x,norm_pos_y,dispersion,confidence,"
      "method,base_data\n"
      "1,100.5,200,1,2,0.5,0.5,1.1,0.9,gaze,\"100.5 100.51\"\n2,101,200,1,2,0.3,0.75,1.1,0.9,gaze,\n";
  check_contains(refusal(text, {}, "fixations.csv"),
                 "fixations.csv:1: does not say which image was looked at: expected --image NAME");
  GazeOptions options;
  options.image = "a.png";
  check_fixation(read_text(text, options, "fixations.csv").tracks.at("a").fixations[1], 0.3, 0.25, 200, 500);
  options.viewing = {1000, 800, {200, 100, 500, 400}, 0, 0};  // the image in a camera's image of 1000x800
  check_fixation(read_text(text, options, "fixations.csv").tracks.at("a").fixations[1], 0.2, 0.25, 200, 500);
  check_contains(refusal(replaced(text, "start_timestamp", "what"), options, "fixations.csv"),
                 "fixations.csv:1: expected a column start_timestamp, got id, what");
  check_contains(refusal(replaced(text, "1,100.5,200", "1,100.5,-200"), options, "fixations.csv"),
                 "fixations.csv:2: column duration: expected a duration in ms, got -200");
}

// ---- SMI BeGaze -----------------------------------------------------------------------------------------------------

namespace {

const std::string begaze_head =
    "[BeGaze]\nConverted from:\tE:\\study\\P01-eye_data.idf\nDate:\t09.06.2015 15:27:25\nVersion:\tBeGaze "
    "3.5.90\nSample Rate:\t120\nSubject:\tP01\n\n"
    "Table Header for Fixations:\nEvent Type\tTrial\tNumber\tStart\tEnd\tDuration\tLocation X\tLocation Y\tDispersion "
    "X\tDispersion Y\tPlane\tAvg. Pupil Size X\tAvg. Pupil Size Y\n\n"
    "Table Header for Saccades:\nEvent Type\tTrial\tNumber\tStart\tEnd\tDuration\tAmplitude\n\n"
    "Table Header for User Events:\nEvent Type\tTrial\tNumber\tStart\tDescription\n\n";

std::string begaze_row(const std::string& eye, int trial, int number, int64_t start, int duration, double x, double y) {
  return str_cat("Fixation ", eye, "\t", trial, "\t", number, "\t", start, "\t", start + duration, "\t", duration, "\t",
                 x, "\t", y, "\t9\t9\t-1\t16.4\t16.4\n");
}

std::string begaze_message(int trial, int64_t start, const std::string& text) {
  return str_cat("UserEvent\t", trial, "\t1\t", start, "\t# Message: ", text, "\n");
}

/// Trial 1 shows a.jpg from 1.1 s and b.png from 2 s, trial 2 shows c.bmp. The eyes see different positions.
std::string begaze_events() {
  return begaze_head + begaze_row("L", 1, 1, 1000000, 90000, 1, 1) + begaze_row("R", 1, 1, 1000000, 90000, 1, 1) +
         begaze_message(1, 1100000, "a.jpg") + begaze_message(1, 1150000, "key pressed") +
         "Saccade L\t1\t1\t1200000\t1210000\t10000\t2.5\n" + begaze_row("L", 1, 2, 1300000, 200500, 0, 0) +
         begaze_row("R", 1, 2, 1300000, 200500, 400, 250) + begaze_row("R", 1, 3, 1600000, 300000, 800, 125) +
         begaze_message(1, 2000000, "stimuli/b.png") + begaze_row("R", 1, 4, 2000000, 60000, 200, 500) +
         begaze_message(2, 3000000, "c.bmp") + begaze_row("R", 2, 1, 3250000, 100000, 100, 100);
}

const std::string begaze_columns =
    "Trial\tStimulus\tParticipant\tCategory Group\tCategory\tEye L/R\tIndex\tEvent Start Trial Time [ms]\tEvent End "
    "Trial Time [ms]\tEvent Duration [ms]\tFixation Position X [px]\tFixation Position Y [px]\tAOI Name\n";

std::string begaze_statistics() {
  return begaze_columns +
         "Trial001\ta.jpg\tP01\tEye\tSaccade\tRight\t1\t0.0\t40.0\t40.0\t-\t-\t-\n"
         "Trial001\ta.jpg\tP01\tEye\tFixation\tLeft\t1\t40.0\t240.5\t200.5\t1.0\t1.0\tlesion\n"
         "Trial001\ta.jpg\tP01\tEye\tFixation\tRight\t1\t40.0\t240.5\t200.5\t400.0\t250.0\tlesion\n"
         "Trial001\ta.jpg\tP01\tInformation\tUser Event\t-\t1\t50.0\t50.0\t0.0\t-\t-\t-\n"
         "Trial001\ta.jpg\tP01\tEye\tFixation\tRight\t2\t300.0\t400.0\t100.0\t-\t-\t-\n"
         "Trial001\ta.jpg\tP01\tEye\tFixation\tRight\t3\t500.0\t600.0\t100.0\t800.0\t125.0\t-\n"
         "Trial002\t-\tP01\tEye\tFixation\tRight\t1\t0.0\t90.0\t90.0\t1.0\t1.0\t-\n"
         "Trial003\tb.png\tP01\tEye\tFixation\tRight\t1\t10.0\t70.0\t60.0\t200.0\t500.0\t-\n";
}

GazeOptions with_recording(GazeOptions options, const std::string& recording) {
  options.recording = recording;
  return options;
}

}  // namespace

TEST_CASE("readers: a BeGaze event export gives the right eye's fixations on the images that messages name",
          "[readers]") {
  const GazeOptions options = shown_at(0, 0, 800, 500);
  const std::string text = begaze_events();
  for (const std::string& file : {text, utf16(replaced(text, "\n", "\r\n"))}) {
    const Gaze gaze = read_text(file, options);
    CHECK(gaze.format == "begaze");
    CHECK(gaze.dropped.early == 1);  // the right eye's, before the first message
    REQUIRE(gaze.tracks.size() == 3);
    const std::vector<Fixation>& a = gaze.tracks.at("a").fixations;
    REQUIRE(a.size() == 2);
    check_fixation(a[0], 0.5, 0.5, 200.5, 200);
    check_fixation(a[1], 1, 0.25, 300, 500);
    check_fixation(gaze.tracks.at("b").fixations.at(0), 0.25, 1, 60, 0);
    check_fixation(gaze.tracks.at("c").fixations.at(0), 0.125, 0.2, 100, 250);
  }
  const Gaze second = read_text(text, with_recording(options, "2"));
  REQUIRE(second.tracks.size() == 1);
  CHECK(second.tracks.contains("c"));
}

TEST_CASE("readers: a BeGaze event export of one eye, with commas, of one stimulus is read", "[readers]") {
  const std::string rows =
      begaze_row("L", 1, 1, 500000, 90000, 200, 125) + begaze_row("L", 1, 2, 750000, 90000, 400, 0);
  const std::string text =
      replaced(begaze_head, "\n\nTable Header for Fix", "\nStimulus:\ta.jpg\n\nTable Header for Fix");
  GazeOptions options = shown_at(0, 0, 800, 500);
  for (const std::string& file : {text + rows, replaced(text + rows, "\t", ",")}) {
    if (file.find("Stimulus:,") != file.npos) options.image = "a.jpg";  // the export keeps tabs in these lines
    const Gaze gaze = read_text(file, options);
    REQUIRE(gaze.tracks.size() == 1);
    check_fixation(gaze.tracks.at("a").fixations.at(0), 0.25, 0.25, 90, 0);
    check_fixation(gaze.tracks.at("a").fixations.at(1), 0.5, 0, 90, 250);
  }
  options.image = "other.png";
  CHECK(read_text(text + rows, options).tracks.contains("other"));
}

TEST_CASE("readers: BeGaze event statistics give the right eye's fixations", "[readers]") {
  const Gaze gaze = read_text(begaze_statistics(), shown_at(0, 0, 800, 500));
  CHECK(gaze.format == "begaze");
  CHECK(gaze.dropped.unplaced == 1);
  REQUIRE(gaze.tracks.size() == 2);
  const std::vector<Fixation>& a = gaze.tracks.at("a").fixations;
  REQUIRE(a.size() == 2);
  check_fixation(a[0], 0.5, 0.5, 200.5, 40);
  check_fixation(a[1], 1, 0.25, 100, 500);
  check_fixation(gaze.tracks.at("b").fixations.at(0), 0.25, 1, 60, 10);

  // Without a right eye, the left one; without the column, the one eye.
  const std::string row = "\t1\t40.0\t240.5\t200.5\t1.0\t1.0\tlesion\n";
  for (const std::string& one_eye :
       {begaze_columns + "Trial001\ta.jpg\tP01\tEye\tFixation\tLeft" + row,
        replaced(begaze_columns, "Eye L/R\t", "") + "Trial001\ta.jpg\tP01\tEye\tFixation" + row})
    check_fixation(read_text(one_eye, shown_at(0, 0, 4, 2)).tracks.at("a").fixations.at(0), 0.25, 0.5, 200.5, 40);
}

TEST_CASE("readers: a faulty or ambiguous BeGaze event export is refused", "[readers]") {
  const GazeOptions options = shown_at(0, 0, 800, 500);
  const std::string text = begaze_events(), row = begaze_row("R", 1, 2, 1300000, 200500, 400, 250);
  check_contains(refusal(text),
                 "gaze.txt:23: column Location X is in pixels of the screen: expected the image's place");
  check_contains(refusal(begaze_head + row, options),
                 "gaze.txt:9: does not say which image was looked at: expected --image NAME, user events");
  check_contains(refusal(replaced(text, "Fixations:", "Nothing:"), options),
                 "expected a line 'Table Header for Fixations:', as in an event export");
  check_contains(refusal(replaced(text, "Fixation R", "Fixation B"), options),
                 "gaze.txt:18: column Event Type: expected 'Fixation L' or 'Fixation R', got 'Fixation B'");
  check_contains(refusal(replaced(text, "Location Y", "what"), options),
                 "gaze.txt:9: expected a column Location Y, got Event Type, Trial, Number");
  check_contains(refusal(replaced(text, "\tStart\tEnd", "\tStart [weeks]\tEnd"), options),
                 "column Start [weeks]: expected a time in s, ms, us or ns, got the unit 'weeks'");
  check_contains(refusal(replaced(text, "\t200500\t", "\t-200500\t"), options),
                 "column Duration: expected a duration in ms, got -200500");
  check_contains(
      refusal(text + begaze_message(3, 4000000, "c.bmp") + begaze_row("R", 3, 1, 4100000, 90000, 1, 1), options),
      "image c was looked at in recording 3, after recording 2: expected one recording of each image");
  check_contains(refusal(text + row, options), "fixation 2 of image a was given on line 23 already");
  check_contains(refusal(text + "Fixation R\t1\t2\n", options), "expected 13 fields as in the header, got 3");
  check_contains(refusal(text, with_recording(options, "7")), "gaze.txt: has no recording '7', only 1, 2");
  GazeOptions samples = options;
  samples.detect.method = "ivt";
  check_contains(refusal(text, samples), "gaze.txt: has the format begaze, which does not use --detect");
}

TEST_CASE("readers: faulty or ambiguous BeGaze event statistics are refused", "[readers]") {
  const GazeOptions options = shown_at(0, 0, 800, 500);
  const std::string text = begaze_statistics();
  check_contains(refusal(text), "gaze.txt:3: column Fixation Position X [px] is in pixels of the screen");
  check_contains(refusal(replaced(text, "\tStimulus\t", "\twhat\t"), options),
                 "gaze.txt:1: expected a column Stimulus, got");
  check_contains(refusal(replaced(text, "Fixation Position", "Visual Intake Position"), options),
                 "gaze.txt:1: expected columns Fixation Position X and Fixation Position Y in pixels or (MCSnorm)");
  check_contains(refusal(replaced(text, "Event Start Trial Time [ms]", "Event Start Trial Time"), options),
                 "gaze.txt:3: column Event Start Trial Time: expected a time in s, ms, us or ns, got the unit ''");
  check_contains(refusal(replaced(text, "\tLeft\t", "\tBinocular\t"), options),
                 "gaze.txt:3: column Eye L/R: expected 'Left' or 'Right', got 'Binocular'");
  check_contains(
      refusal(text + "Trial003\tb.png\tP01\tEye\tFixation\tRight\t1\t10\t70\t60\t200\t500\tother\n", options),
      "gaze.txt:10: fixation 1 of image b was given on line 9 already");
  check_contains(refusal(replaced(text, "Trial003\tb.png", "Trial003\ta.jpg"), options),
                 "gaze.txt:9: image a was looked at in recording P01 Trial003, after recording P01 Trial001");
  check_contains(refusal(text, with_recording(options, "P02")), "gaze.txt: has no recording 'P02', only P01");
}

// ---- Units ----------------------------------------------------------------------------------------------------------

TEST_CASE("readers: positions that look like those of another unit are refused until an option settles it",
          "[readers]") {
  const std::string shares = "s1\t1\ta.jpg\t1\t0.4\t0.5\t7\t262\t256\tNONE\t2146\n";
  GazeOptions options = shown_at(0, 0, 1920, 1080);
  check_contains(refusal(eyelink(shares), options),
                 "gaze.txt:2: positions were expected in pixels of the screen, 1 of 1 are between 0 and 1 and look "
                 "like image sides: gradtrack fixations --unit px or --unit share settles it");
  options.unit = "share";
  check_fixation(read_text(eyelink(shares), options).tracks.at("a").fixations.at(0), 0.4, 0.5, 256, 7);
  options.unit = "px";
  check_fixation(read_text(eyelink(shares), options).tracks.at("a").fixations.at(0), 0.4 / 1920, 0.5 / 1080, 256, 7);

  const std::string pixels = "x,y,duration\n480,540,99\n0,540,99\n";
  check_contains(refusal(pixels, {}),
                 "gaze.txt:2: positions were expected in image sides (0 to 1), 2 of 2 are above 2");
  const Gaze gaze = read_text(pixels, options);
  check_fixation(gaze.tracks.at("gaze").fixations.at(0), 0.25, 0.5, 99, 0);
  CHECK(gaze.assumed == "positions in pixels of the screen, image of line 2 at 0,0 1920x1080; fixations without gaps");
  check_contains(
      refusal("IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION\na,1,300,200,99\n"),
      "gaze.txt:2: positions were expected in image sides (0 to 1), 1 of 1 are above 2 and look like pixels");
  check_contains(refusal("x [deg],y [deg],duration\n0.1,0.1,99\n"),
                 "gaze.txt:1: column x [deg]: expected a position in px (pixels of the screen) or norm (image sides), "
                 "got the unit 'deg'");
  check_contains(refusal("x [px],y,duration\n0.1,0.1,99\n"),
                 "gaze.txt:1: columns x [px] and y: expected positions in one unit");
}

TEST_CASE("readers: times that look like those of another unit are refused until an option settles it", "[readers]") {
  const std::string seconds = "x,y,duration,start\n0.1,0.1,0.25,1\n0.2,0.2,0.3,1.5\n";
  check_contains(refusal(seconds),
                 "gaze.txt: times were expected in ms, durations are 0.3 in the middle and look like");
  GazeOptions options;
  options.time_unit = "s";
  const Gaze gaze = read_text(seconds, options);
  check_fixation(gaze.tracks.at("gaze").fixations.at(1), 0.2, 0.2, 300, 1500);
  CHECK(gaze.assumed == "positions in image sides; times in s");
  check_contains(refusal("x,y,duration,start\n0.1,0.1,250,1\n0.2,0.2,300,1.5\n"), "starts look like seconds");
  check_contains(refusal("x,y,duration,start\n0.1,0.1,250,1000\n0.2,0.2,300,290000\n"),
                 "starts look like microseconds");
}

TEST_CASE("readers: Tobii timestamps without a unit are ms if samples or fixations fit no other", "[readers]") {
  const std::string header =
      "Recording timestamp\tPresented Media name\tEye movement type\tGaze event duration\tEye movement type index\t"
      "Fixation point X (MCSnorm)\tFixation point Y (MCSnorm)\n";
  const auto row = [](int time, int index) {
    return str_cat(time, "\ta.png\tFixation\t100\t", index, "\t0.5\t0.25\n");
  };
  std::string sparse = header;  // 8 s apart, sampled every 17 ms
  for (int f = 0; f < 3; ++f)
    for (int i = 0; i < 5; ++i) sparse += row(1000 + 8000 * f + 17 * i, f + 1);
  const Gaze gaze = read_text(sparse);
  REQUIRE(gaze.tracks.at("a").fixations.size() == 3);
  CHECK(gaze.tracks.at("a").fixations[2].start == 16000);
  check_contains(gaze.assumed, "times in ms (assumed: the column has no unit)");
  CHECK(read_text(header + row(1000, 1) + row(9000, 2)).tracks.at("a").fixations[1].start == 8000);

  const std::string unclear = header + row(1000, 1) + row(2000, 2) + row(202000, 3) + row(402000, 4);
  check_contains(refusal(unclear),
                 "gaze.txt:1: column Recording timestamp has no unit, and its times may be ms or us: expected "
                 "--time-unit ms or --time-unit us");
  GazeOptions options;
  options.time_unit = "us";
  CHECK(read_text(unclear, options).tracks.at("a").fixations[1].start == 1);
}

TEST_CASE("readers: fixations without a position or at (0, 0) pixels are dropped and counted", "[readers]") {
  const Gaze gaze = read_text(eyelink("s1\t1\ta.jpg\t1\t960.0\t540.0\t7\t262\t256\tNONE\t2146\n"
                                      "s1\t1\ta.jpg\t2\tNA\tNA\t300\t399\t100\tNONE\t2146\n"
                                      "s1\t1\ta.jpg\t3\t0.0\t0\t400\t599\t200\tAFTER\t2146\n"
                                      "s1\t1\tNA\t1\t960\t540\t7\t262\t256\tNONE\t2146\n"),
                              shown_at(0, 0, 1920, 1080));
  CHECK(gaze.tracks.at("a").fixations.size() == 1);
  CHECK(gaze.dropped.unplaced == 1);
  CHECK(gaze.dropped.lost == 1);
}

TEST_CASE("readers: a Pupil fixation stands at its frames on the surface", "[readers]") {
  const std::string header = "fixation_id,start_timestamp,duration,norm_pos_x,norm_pos_y,on_surf\n";
  const Gaze gaze = read_text(header +
                                  "1,10,300,0.5,0.5,True\n1,10,300,6.5,6.5,False\n2,11,300,0.4,0.4,False\n"
                                  "3,12,300,0.2,0.5,True\n3,12,300,0.4,0.5,True\n",
                              {}, "fixations_on_surface_a.csv");
  REQUIRE(gaze.tracks.at("a").fixations.size() == 2);
  check_fixation(gaze.tracks.at("a").fixations[0], 0.5, 0.5, 300, 0);
  check_fixation(gaze.tracks.at("a").fixations[1], 0.3, 0.5, 300, 2000);
  CHECK(gaze.dropped.outside == 1);
  check_contains(refusal(header + "1,10,300,0.5,0.5,perhaps\n", {}, "fixations_on_surface_a.csv"),
                 ":2: column on_surf: expected True or False, got 'perhaps'");
  check_contains(refusal(header + "1,10,300,0.5,0.5,True\n1,12,300,0.5,0.5,True\n", {}, "fixations_on_surface_a.csv"),
                 ":3: fixation 1 starts at another time than on line 2: expected one fixation of each id");
}

TEST_CASE("readers: more than 10,000 fixations of an image are refused", "[readers]") {
  std::string text = "x,y,duration\n";
  for (int i = 0; i < 10001; ++i) text += "0.5,0.5,60\n";
  check_contains(refusal(text), "gaze.txt: image gaze.txt has 10001 fixations, expected at most 10000");
}

// ---- Any format -----------------------------------------------------------------------------------------------------

TEST_CASE("readers: a plain table may have decimal commas, pixels and units", "[readers]") {
  const Gaze gaze = read_text("x [px];y [px];duration [s];start [s]\n50,5;20;0,25;1\n80;20;0,1;2\n",
                              shown_at(0, 0, 101, 40), "a.csv");
  const std::vector<Fixation>& f = gaze.tracks.at("a").fixations;
  REQUIRE(f.size() == 2);
  check_fixation(f[0], 0.5, 0.5, 250, 1000);
}

TEST_CASE("readers: an option that the format does not use is refused", "[readers]") {
  const std::string plain = "x,y,duration\n0,0,99\n";
  const auto with = [](auto&& set) {
    GazeOptions options;
    set(options);
    return options;
  };
  check_contains(refusal(plain, with([](GazeOptions& o) { o.image_column.assign(1, 'a'); })),
                 "gaze.txt: has the format plain, which does not use --image-column; formats that do: eyelink");
  check_contains(refusal(plain, with([](GazeOptions& o) { o.drop_blinks = true; })), "does not use --drop-blinks");
  check_contains(refusal(plain, with([](GazeOptions& o) { o.recording.assign(1, 'a'); })), "does not use --recording");
  check_contains(refusal("IMAGE,CURRENT_FIX_X\n", shown_at(0, 0, 9, 9)),
                 "has the format gazemedseg, which does not use --screen, --image-size or --image-rect");
}

TEST_CASE("readers: every format is documented by the line of its row", "[readers]") {
  const std::string page = read_file(GT_SOURCE_DIR "/docs/data.md");
  for (const GazeFormat& format : gaze_formats())
    check_contains(page, str_cat("| `", format.name, "` | ", format.description, " |"));
}

TEST_CASE("readers: --format overrides the header and must name a format", "[readers]") {
  GazeOptions options;
  options.format = "tobii";
  check_contains(refusal("x,y,duration\n0,0,99\n", options), "gaze.txt:1: expected a column Recording timestamp");
  options.format = "what";
  CHECK(refusal("x,y,duration\n0,0,99\n", options) ==
        str_cat("format of gaze: expected auto, ", format_list(), ", got 'what'"));
}

TEST_CASE("readers: a file truncated anywhere or with a changed byte is read or refused", "[readers]") {
  const TempFolder folder;
  GazeOptions options = shown_at(0, 0, 1920, 1080);
  for (const std::string& whole :
       {tobii_export(), utf16(tobii_export()), eyelink("s1\t1\ta.jpg\t1\t960.0\t540.0\t7\t262\t256\tNONE\t2146\n"),
        begaze_events(), begaze_statistics()})
    for (size_t i = 0; i < whole.size(); i += 7)
      for (const char c : {'\0', '"', ',', '\t', '\n', '9', '\xFF'}) {
        std::string changed = whole;
        changed[i] = c;
        for (const std::string& bytes : {changed, whole.substr(0, i)}) {
          write(folder / "gaze.txt", bytes);
          size_t tracks = 1;
          error_of([&] { tracks = read_gaze(folder / "gaze.txt", options).tracks.size(); });
          CHECK(tracks > 0);
        }
      }
}
