#include "tools/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>

#include "core/check.h"

namespace gt {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

int terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string format_time(double seconds) {
  const long s = std::lround(seconds);
  char buffer[32];
  if (s >= 3600)
    std::snprintf(buffer, sizeof buffer, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(buffer, sizeof buffer, "%ld:%02ld", s / 60, s % 60);
  return buffer;
}

ProgressBar::ProgressBar(std::string title, int64_t all, int64_t done)
    : title_(std::move(title)), all_(all), first_(done), start_(now()), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (dirty_) std::fputc('\n', stderr);
}

std::string ProgressBar::left(int64_t done) const {
  return done > first_ ? format_time((now() - start_) * double(all_ - done) / double(done - first_)) : "?";
}

void ProgressBar::clear() {
  if (dirty_) std::fputs("\r\033[K", stderr);
  dirty_ = false;
}

void ProgressBar::update(int64_t done, const std::string& detail) {
  if (!terminal_ || (now() - drawn_ < 0.1 && done < all_)) return;
  drawn_ = now();
  constexpr int cells = 20;
  const int full = int(cells * done / (all_ > 0 ? all_ : 1));
  std::string line = str_cat(title_, " [", std::string(size_t(full), '#'), std::string(size_t(cells - full), '.'), "] ",
                             done, "/", all_, "  left ", left(done), "  ", detail);
  line.resize(std::min(line.size(), size_t(terminal_width() - 1)));
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
  dirty_ = true;
}

void ProgressBar::line(const std::string& text) {
  clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

}  // namespace gt
