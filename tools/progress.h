// Progress of long work on stderr: a bar on a terminal, lines in a file.
#pragma once

#include <cstdint>
#include <string>

namespace gt {

/// Formats a time: "1:02:03", or "2:03" below one hour.
std::string format_time(double seconds);

/// A progress bar, which is drawn only if stderr is a terminal.
class ProgressBar {
 public:
  /// A bar for `all` steps, of which `done` are done at the start.
  ProgressBar(std::string title, int64_t all, int64_t done = 0);
  ~ProgressBar();  // ends the line of the bar

  /// Whether stderr is a terminal.
  bool on_terminal() const { return terminal_; }
  /// Draws title, bar, done/all, time left and `detail`, at most ten times per second. Text that is wider than the
  /// terminal is clipped.
  void update(int64_t done, const std::string& detail);
  /// Prints a line above the bar.
  void line(const std::string& text);
  /// The time left at the mean speed so far, by format_time(); "?" if no step was done since the start.
  std::string left(int64_t done) const;

 private:
  void clear();
  std::string title_;
  int64_t all_, first_;
  double start_, drawn_ = 0;
  bool terminal_, dirty_ = false;
};

}  // namespace gt
