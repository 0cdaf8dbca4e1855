// Progress of long work, on stderr: a bar that is redrawn on a terminal, plain lines elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace gt {

/// "1:02:03" or "2:03".
std::string clock_text(double seconds);

class ProgressBar {
 public:
  /// `all` steps of work, of which `done` are done already.
  ProgressBar(std::string title, int64_t all, int64_t done = 0);
  ~ProgressBar();  // leaves the terminal's line

  bool on_terminal() const { return terminal_; }
  /// Redraws at most ten times a second: title, bar, done/all, time left, `detail` as far as the
  /// terminal is wide.
  void update(int64_t done, const std::string& detail);
  /// A line of its own, above the bar.
  void line(const std::string& text);
  /// Time left at the mean speed so far, as clock_text().
  std::string left(int64_t done) const;

 private:
  void clear();
  std::string title_;
  int64_t all_, first_;
  double start_, drawn_ = 0;
  bool terminal_, dirty_ = false;
};

}  // namespace gt
