// SR Research EyeLink: the text of an EDF file, as edf2asc writes it, with the messages of EyeLink Data Viewer User
// Manual, "Protocol for EyeLink Data to Viewer Integration". Positions
// are in pixels of the screen. A missing value is a dot.
#include <algorithm>
#include <limits>

#include "core/text.h"
#include "gaze/asc_lines.h"
#include "gaze/formats.h"

namespace gt {
namespace {

// ---- Trials and images ----------------------------------------------------------------------------------------------

/// What is recorded from one message TRIALID to the next; without these, a recording from START to END.
struct Trial {
  std::string name;
  int64_t line = 0, end_line = 0;  // lines [line, end_line)
  std::vector<const AscMessage*> messages;
  std::vector<AscBlock*> blocks;
};

struct ShownImage {
  std::string name;
  double onset = 0, end = 0;  // ms
  Rectangle shown;            // unknown: as the options say
  int64_t line = 0;           // of the message that names it
  bool first = true;          // of its trial
};

/// What follows `start` in a message that begins with it, in any case; nothing for another message.
std::optional<std::string> after(const std::string& message, std::string_view start) {
  if (!lower(message.substr(0, start.size())).starts_with(lower(std::string(start)))) return std::nullopt;
  return std::string(trim_blanks(std::string_view(message).substr(start.size())));
}

std::vector<Trial> trials_of(AscRecording& recording) {
  std::vector<Trial> trials;
  for (const AscMessage& m : recording.messages)
    if (const auto name = after(m.text, "TRIALID")) {
      if (!trials.empty()) trials.back().end_line = m.line;
      trials.push_back({*name, m.line, std::numeric_limits<int64_t>::max(), {}, {}});
    }
  if (trials.empty())
    for (size_t i = 0; i < recording.blocks.size(); ++i) {
      const bool last = i + 1 == recording.blocks.size();
      trials.push_back({std::to_string(i + 1),
                        i == 0 ? 0 : recording.blocks[i].line,
                        last ? std::numeric_limits<int64_t>::max() : recording.blocks[i + 1].line,
                        {},
                        {}});
    }
  for (Trial& trial : trials) {
    const auto has = [&trial](int64_t line) { return line >= trial.line && line < trial.end_line; };
    for (const AscMessage& m : recording.messages)
      if (has(m.line)) trial.messages.push_back(&m);
    for (AscBlock& block : recording.blocks)
      if (has(block.line)) trial.blocks.push_back(&block);
  }
  return trials;
}

/// Finds the images of trials and the times when they were on the screen.
class ImageFinder {
 public:
  ImageFinder(const Table& table, const AscRecording& recording, const GazeOptions& options)
      : path_(table.path()), recording_(recording), options_(options) {}

  /// In the order of their times.
  std::vector<ShownImage> images_of(const Trial& trial) {
    std::vector<ShownImage> images = named_images(trial);
    if (images.size() > 1 && options_.image_message.empty())
      fail(path_, ":", images[1].line, ": trial ", quoted(trial.name), " shows several images, the first on line ",
           images[0].line, ": expected one, or --image-message and the messages with which each appears");
    for (size_t i = 0; i < images.size(); ++i) {
      ShownImage& image = images[i];
      image.first = i == 0;
      const double next = i + 1 < images.size() ? images[i + 1].onset : trial.blocks.back()->end + 1;
      set_onset(trial, image, images.size() == 1, next);
      image.end = next;
      for (const AscMessage* m : trial.messages)
        if (is_off(m->text) && m->time > image.onset) image.end = std::min(image.end, m->time);
    }
    return images;
  }

  /// Throws Error if some images have a message of their appearance and others have none.
  void finish() const {
    if (with_onset_ > 0 && without_onset_ > 0)
      fail(path_, ":", onset_lacks_, ": image ", quoted(first_without_), " has no message of its appearance, ",
           with_onset_, " others have: expected one for each (--onset-message)");
  }
  std::string clock() const { return with_onset_ > 0 ? "ms from the onset message" : "ms from the image's message"; }

 private:
  static bool is_off(const std::string& text) {
    for (const char* off : {"TRIAL_RESULT", "BLANK_SCREEN", "DISPLAY OFF", "DISPLAY_OFF"})
      if (after(text, off)) return true;
    return false;
  }

  std::string name_in(const AscMessage& m, const std::string& text) const {
    const std::string where = str_cat(path_, ":", m.line), name = image_name(text, where);
    if (name.empty()) fail(where, ": the message names no image, got ", quoted(abbreviated(m.text)));
    return name;
  }

  /// The image of "!V IMGLOAD FILL PATH" or "!V IMGLOAD CENTER|TOP_LEFT PATH [X Y [WIDTH HEIGHT]]".
  ShownImage loaded_image(const AscMessage& m, const std::string& text) const {
    std::vector<std::string_view> words = words_of(text);
    if (words.size() < 2) fail(path_, ":", m.line, ": !V IMGLOAD: expected how and which image");
    const std::string_view how = words[0];
    std::vector<double> numbers;
    while (words.size() > 2 && numbers.size() < 4) {
      const auto number = number_of(words.back());
      if (!number) break;
      numbers.insert(numbers.begin(), *number);
      words.pop_back();
    }
    const size_t first = size_t(words[1].data() - text.data()),
                 last = size_t(words.back().data() - text.data()) + words.back().size();
    ShownImage image{name_in(m, text.substr(first, last - first)), m.time, 0, {}, m.line};
    if (how == "FILL" && recording_.width > 0)
      image.shown = {recording_.left, recording_.top, recording_.width, recording_.height};
    if (numbers.size() == 4 && numbers[2] > 0 && numbers[3] > 0) {
      const bool centre = how == "CENTER";
      image.shown = {numbers[0] - (centre ? numbers[2] / 2 : 0), numbers[1] - (centre ? numbers[3] / 2 : 0), numbers[2],
                     numbers[3]};
    }
    return image;
  }

  /// The images that a trial's messages name, each with the time of its message as the onset.
  std::vector<ShownImage> named_images(const Trial& trial) const {
    std::vector<ShownImage> loaded, by_variable, by_trial;
    const double start = trial.blocks.front()->start;
    if (!options_.image.empty()) return {{image_name(options_.image, path_), start, 0, {}, trial.line}};
    const std::string variable = options_.image_column.empty() ? "image" : options_.image_column;
    for (const AscMessage* m : trial.messages) {
      if (!options_.image_message.empty()) {
        if (const auto text = after(m->text, options_.image_message))
          loaded.push_back({name_in(*m, *text), m->time, 0, {}, m->line});
      } else if (const auto text = after(m->text, "!V IMGLOAD ")) {
        loaded.push_back(loaded_image(*m, *text));
      } else if (const auto value = after(m->text, "!V TRIAL_VAR " + variable + " ")) {
        by_variable.push_back({name_in(*m, *value), start, 0, {}, m->line});
      } else if (const auto id = after(m->text, "TRIALID")) {
        const std::string name = words_of(*id).size() == 1 ? image_file_name(*id, str_cat(path_, ":", m->line)) : "";
        if (!name.empty()) by_trial.push_back({name, start, 0, {}, m->line});
      }
    }
    if (!options_.image_column.empty()) return by_variable;
    if (!loaded.empty() || !options_.image_message.empty()) return loaded;
    return !by_variable.empty() ? by_variable : by_trial;
  }

  /// Moves an image's onset to its message of appearance, if there is one.
  void set_onset(const Trial& trial, ShownImage& image, bool alone, double next) {
    const bool given = !options_.onset_message.empty();
    const std::vector<std::string> usual = {"DISPLAY ON", "DISPLAY_ON", "SYNCTIME"};
    const std::vector<std::string> starts = given ? std::vector<std::string>{options_.onset_message} : usual;
    const AscMessage* onset = nullptr;
    for (const std::string& start : starts) {
      for (const AscMessage* m : trial.messages) {
        if (!after(m->text, start) || (!alone && (m->time < image.onset || m->time >= next))) continue;
        if (onset)
          fail(path_, ":", m->line, ": trial ", quoted(trial.name), " has a message ", quoted(start),
               " already on line ", onset->line, ": expected one that says when image ", quoted(image.name),
               " appeared (--onset-message)");
        onset = m;
      }
      if (onset) break;
    }
    if (onset) {
      image.onset = onset->time;
      ++with_onset_;
    } else if (given) {
      fail(path_, ":", image.line, ": image ", quoted(image.name), " has no message ", quoted(options_.onset_message),
           " of its appearance");
    } else {
      if (without_onset_++ == 0) first_without_ = image.name, onset_lacks_ = image.line;
      image.onset = std::max(image.onset, trial.blocks.front()->start);
    }
  }

  const std::string& path_;
  const AscRecording& recording_;
  const GazeOptions& options_;
  int64_t with_onset_ = 0, without_onset_ = 0, onset_lacks_ = 0;
  std::string first_without_;
};

// ---- The file -------------------------------------------------------------------------------------------------------

/// The options' view of the screen, completed by the file's size of the screen. Throws Error if they contradict.
Viewing viewing_of(const Table& table, const AscRecording& recording, const GazeOptions& options) {
  Viewing viewing = options.viewing;
  if (recording.width == 0) {
    if (viewing.image_width > 0 && !viewing.image.known())
      fail(table.path(), ": has no message DISPLAY_COORDS: expected --screen WxH with --image-size");
    return viewing;
  }
  if (viewing.screen_width > 0 &&
      (viewing.screen_width != recording.width || viewing.screen_height != recording.height))
    fail(table.path(), ":", recording.screen_line, ": the screen is ", recording.width, "x", recording.height,
         ", --screen says ", viewing.screen_width, "x", viewing.screen_height);
  if (viewing.image_width > 0 && viewing.screen_width == 0) {
    viewing.screen_width = recording.width, viewing.screen_height = recording.height;
    viewing.centre_image();
  }
  return viewing;
}

/// Where a trial was recorded, and on which screen.
struct Scene {
  const AscRecording& recording;
  const Trial& trial;
  const Viewing& viewing;
};

/// The image's rectangle in pixels from the screen's top left corner.
Rectangle rectangle_of(const Table& table, const Scene& scene, const ShownImage& image) {
  if (scene.viewing.image.known()) return scene.viewing.image;
  if (image.shown.known())
    return {image.shown.x - scene.recording.left, image.shown.y - scene.recording.top, image.shown.width,
            image.shown.height};
  if (scene.viewing.screen_width > 0) return image_rectangle(scene.viewing);
  fail(table.path(), ":", image.line, ": image ", quoted(image.name),
       ": expected its place on the screen (gradtrack fixations --image-rect or --image-size, or --screen",
       scene.recording.width > 0 ? str_cat(" ", scene.recording.width, "x", scene.recording.height) : "",
       " if it filled the screen)");
}

/// Adds what was recorded while the image was on the screen.
void add_image(GazeFile& file, const Table& table, const GazeOptions& options, const Scene& scene,
               const ShownImage& image) {
  ImageRecording& recording =
      recording_of(file, str_cat(table.path(), ":", image.line), image.name, "trial " + scene.trial.name, image.onset);
  const Rectangle shown = rectangle_of(table, scene, image);
  recording.shown = shown;
  for (const AscBlock* block : scene.trial.blocks)
    for (size_t i = 0; i < block->records.size(); ++i) {
      Record r = block->records[i];
      if (r.time >= image.end) continue;
      if (r.time < image.onset) {
        file.dropped.early += !file.samples && image.first;
      } else if (options.drop_blinks && !file.samples && block->blinks[i]) {
        ++file.dropped.blinks;
      } else {
        r.index = int64_t(recording.records.size()) + 1;
        r.x -= scene.recording.left, r.y -= scene.recording.top;
        place_on_image(file, r, shown);
        recording.records.push_back(r);
      }
    }
}

}  // namespace

bool recognises_asc(const Table& header) {
  const std::string& label = header.columns()[0].label;
  return label.starts_with("** CONVERTED FROM") || is_one_of(label.substr(0, label.find(' ')), {"MSG", "START"});
}

GazeFile read_asc(Table& table, const GazeOptions& options) {
  AscRecording recording = read_asc_lines(table, options);
  const auto is_empty = [](const AscBlock& block) { return block.records.empty(); };
  if (std::all_of(recording.blocks.begin(), recording.blocks.end(), is_empty))
    fail(table.path(), recording.samples ? ": has no samples, expected lines of a time, x and y"
                                         : ": has no fixations, expected EFIX, or samples and --detect");
  const Viewing viewing = viewing_of(table, recording, options);
  ImageFinder finder(table, recording, options);
  GazeFile file;
  file.samples = recording.samples;
  bool any_trial = false;
  for (const Trial& trial : trials_of(recording)) {
    if (trial.blocks.empty() || (!options.recording.empty() && trial.name != options.recording)) continue;
    any_trial = true;
    for (const ShownImage& image : finder.images_of(trial))
      add_image(file, table, options, {recording, trial, viewing}, image);
  }
  if (!any_trial) fail(table.path(), ": has no recording '", options.recording, "' that a message TRIALID names");
  finder.finish();
  if (file.recordings.empty())
    fail(table.path(), ": no message names an image: expected !V IMGLOAD, !V TRIAL_VAR ",
         options.image_column.empty() ? "image" : options.image_column,
         ", TRIALID with a file's name, or --image-message TEXT or --image NAME");
  file.clock = finder.clock();
  return file;
}

}  // namespace gt
