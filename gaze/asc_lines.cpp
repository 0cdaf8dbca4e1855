#include "gaze/asc_lines.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "core/text.h"

namespace gt {

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t at = 0; (at = line.find_first_not_of(" \t", at)) != line.npos;) {
    const size_t end = std::min(line.find_first_of(" \t", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

std::optional<double> number_of(std::string_view word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

namespace {

/// Reads a file line by line.
class AscReader {
 public:
  AscReader(const Table& table, const GazeOptions& options) : path_(table.path()), options_(options) {
    recording_.samples = !options.detect.method.empty();
    const std::string_view text = table.text();
    for (size_t at = 0; at < text.size(); ++line_) {
      const size_t end = std::min(text.find('\n', at), text.size());
      read_line(text.substr(at, end - at));
      at = end + 1;
    }
    if (!recording_.blocks.empty() && !recording_.blocks.back().ended)
      fail(path_, ":", recording_.blocks.back().line, ": START has no END, the file is truncated");
    if (recording_.blocks.empty()) fail(path_, ": has no line START, expected a recording");
  }
  AscRecording take() { return std::move(recording_); }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(path_, ":", line_, ": ", parts...);
  }

  double number(std::string_view word, const char* what) const {
    const std::optional<double> value = number_of(word);
    if (!value) refuse("expected ", what, ", got ", quoted(abbreviated(std::string(word))));
    return *value;
  }

  double coordinate(std::string_view word, const char* what) const {
    return word == "." ? no_position : number(word, what);
  }

  AscBlock& open_block(std::string_view event) {
    if (recording_.blocks.empty() || recording_.blocks.back().ended)
      refuse(event, " stands outside of a recording, expected a line START before it");
    return recording_.blocks.back();
  }

  void read_line(std::string_view line) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.empty()) return;
    const std::string_view first = words[0];
    if (first == "MSG") {
      read_message(line, words);
    } else if (first == "START") {
      begin(words);
    } else if (first == "END") {
      AscBlock& block = open_block(first);
      block.end = number(words.size() > 1 ? words[1] : "", "END TIME");
      if (block.end < block.start) refuse("END is before the START of line ", block.line);
      block.ended = true;
    } else if (first == "EVENTS" || first == "SAMPLES") {
      if (words.size() > 1 && words[1] != "GAZE" && (first == "SAMPLES") == recording_.samples)
        refuse(first, " are in ", words[1], " coordinates, expected GAZE, in pixels of the screen");
    } else if (first == "EFIX" && !recording_.samples) {
      read_fixation(words);
    } else if (first == "EBLINK" && !recording_.samples) {
      read_blink(words);
    } else if (first[0] >= '0' && first[0] <= '9' && recording_.samples) {
      read_sample(words);
    }
  }

  void begin(const std::vector<std::string_view>& words) {
    if (!recording_.blocks.empty() && !recording_.blocks.back().ended)
      refuse("expected the END of the START of line ", recording_.blocks.back().line, " first");
    AscBlock block;
    block.start = number(words.size() > 1 ? words[1] : "", "START TIME");
    block.line = line_;
    if (!recording_.blocks.empty() && block.start < recording_.blocks.back().end)
      refuse("START ", block.start, " is before the END of the recording of line ", recording_.blocks.back().line,
             ": expected one session's file");
    for (const std::string_view word : words) block.left |= word == "LEFT", block.right |= word == "RIGHT";
    if (!block.left && !block.right) refuse("START: expected LEFT, RIGHT or both eyes");
    block.use_right = options_.eye.empty() ? block.right : options_.eye == "right";
    if (!(block.use_right ? block.right : block.left))
      refuse("--eye ", options_.eye, ": only the other eye was recorded here");
    recording_.blocks.push_back(std::move(block));
  }

  /// A message's text may begin with a number of ms by which the time stamp is too late.
  void read_message(std::string_view line, const std::vector<std::string_view>& words) {
    if (words.size() < 2) refuse("MSG: expected a time and a text");
    AscMessage message{number(words[1], "MSG TIME"), line_, {}};
    size_t first = 2;
    if (words.size() > 3)
      if (const auto offset = number_of(words[2]); offset && *offset == std::floor(*offset))
        message.time -= *offset, first = 3;
    if (words.size() <= first) return;
    message.text = std::string(trim_blanks(line.substr(size_t(words[first].data() - line.data()))));
    const bool display = words[first].starts_with("DISPLAY_COORDS");
    if (display || (words[first].starts_with("GAZE_COORDS") && recording_.width == 0)) {
      read_screen(words, first);
    } else {
      recording_.messages.push_back(std::move(message));
    }
  }

  void read_screen(const std::vector<std::string_view>& words, size_t first) {
    std::vector<double> sides;
    for (size_t i = first + 1; i < words.size(); ++i)
      if (words[i] != "=") sides.push_back(number(words[i], "LEFT TOP RIGHT BOTTOM of the screen"));
    if (sides.size() != 4 || sides[2] <= sides[0] || sides[3] <= sides[1])
      refuse(words[first], ": expected LEFT TOP RIGHT BOTTOM of the screen");
    AscRecording& r = recording_;
    const double width = sides[2] - sides[0] + 1, height = sides[3] - sides[1] + 1;
    if (r.width > 0 && (width != r.width || height != r.height || sides[0] != r.left || sides[1] != r.top))
      refuse("the screen is another than on line ", r.screen_line);
    r.left = sides[0], r.top = sides[1], r.width = width, r.height = height, r.screen_line = line_;
  }

  /// Whether an event is one of the eye that is read.
  bool is_used(const AscBlock& block, std::string_view eye) const {
    if (eye != "L" && eye != "R") refuse("expected the eye L or R, got ", quoted(abbreviated(std::string(eye))));
    return (eye == "R") == block.use_right;
  }

  void read_fixation(const std::vector<std::string_view>& words) {
    AscBlock& block = open_block("EFIX");
    if (words.size() < 7)
      refuse("EFIX: expected an eye, start, end, duration, x and y, got ", words.size() - 1, " fields");
    if (!is_used(block, words[1])) return;
    const double start = number(words[2], "the start of EFIX"), end = number(words[3], "the end of EFIX"),
                 duration = number(words[4], "the duration of EFIX");
    constexpr double max_interval = 20;  // ms from sample to sample; a duration is to the end of the last one
    if (end < start || duration < end - start || duration > end - start + max_interval)
      refuse("EFIX from ", start, " to ", end, " ms has a duration of ", duration, " ms: these do not fit together");
    if (!block.records.empty() && start <= block.records.back().time)
      refuse("EFIX starts at ", start, " ms, not after that of line ", block.records.back().line,
             ": it is given twice or out of order");
    block.records.push_back(
        {coordinate(words[5], "the x of EFIX"), coordinate(words[6], "the y of EFIX"), start, duration, 0, line_});
    block.blinks.push_back(std::exchange(block.blink, false));
  }

  void read_blink(const std::vector<std::string_view>& words) {
    AscBlock& block = open_block("EBLINK");
    if (words.size() < 2 || !is_used(block, words[1])) return;
    if (!block.blinks.empty()) block.blinks.back() = true;
    block.blink = true;
  }

  void read_sample(const std::vector<std::string_view>& words) {
    AscBlock& block = open_block("a sample");
    const size_t x = block.use_right && block.left ? 4 : 1;
    if (words.size() < x + 2) refuse("expected a time and x, y and pupil of each eye, got ", words.size(), " fields");
    block.records.push_back({coordinate(words[x], "the x of a sample"), coordinate(words[x + 1], "the y of a sample"),
                             number(words[0], "the time of a sample"), 0, 0, line_});
  }

  const std::string& path_;
  const GazeOptions& options_;
  int64_t line_ = 1;
  AscRecording recording_;
};

}  // namespace

AscRecording read_asc_lines(const Table& table, const GazeOptions& options) { return AscReader(table, options).take(); }

}  // namespace gt
