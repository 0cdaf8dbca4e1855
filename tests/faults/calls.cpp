// System calls that fail: injected by strace, by a full disk and by a limit of the size of files.
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/io.h"
#include "tests/faults/campaign.h"

namespace gt::faults {
namespace {

namespace fs = std::filesystem;

Command traced(const Command& command, const std::vector<std::string>& options) {
  Command all = command;
  std::vector<std::string> words = {"strace", "-f", "--seccomp-bpf", "-qq", "-y", "-s", "0"};
  words.insert(words.end(), options.begin(), options.end());
  all.words.insert(all.words.begin(), words.begin(), words.end());
  return all;
}

/// For each system call of the main thread, the places in its sequence of calls (from 1) that touch this folder.
std::map<std::string, std::vector<int64_t>> places_in(const std::string& log, const std::string& folder) {
  std::map<std::string, std::vector<int64_t>> places;
  std::map<std::string, int64_t> count;
  std::string main_thread;
  for (const TextLine& line : read_lines(log)) {
    const size_t blank = line.text.find(' '), name = line.text.find_first_not_of(' ', blank),
                 open = line.text.find('(', name);
    if (open == std::string::npos) continue;
    const std::string thread = line.text.substr(0, blank), call = line.text.substr(name, open - name);
    if (main_thread.empty()) main_thread = thread;
    if (thread != main_thread) continue;
    ++count[call];
    if (line.text.find(folder) != std::string::npos) places[call].push_back(count[call]);
  }
  return places;
}

/// `count` of the values, evenly spread.
std::vector<int64_t> spread(const std::vector<int64_t>& values, size_t count) {
  std::vector<int64_t> chosen;
  for (size_t i = 0; i < count && !values.empty(); ++i) {
    const int64_t value = values[i * (values.size() - 1) / std::max<size_t>(1, count - 1)];
    if (chosen.empty() || chosen.back() != value) chosen.push_back(value);
  }
  return chosen;
}

std::string temporary_left(const std::string& folder) {
  if (!fs::exists(folder)) return "";
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".tmp") return "leaves " + entry.path().filename().string();
  return "";
}

/// The loss of a training that ended with `outcome` in the folder `name`. Space is there again when it is resumed.
std::string loss_after(const Workshop& w, const Outcome& outcome, const std::string& name) {
  if (outcome.status != 0 && outcome.status != 1) return str_cat("ends with ", outcome.status, ": ", outcome.error);
  if (outcome.status == 1 && outcome.error.rfind("gradtrack: ", 0) != 0) return "no message: " + outcome.error;
  if (outcome.status == 1 && outcome.error.find(w.path("")) == std::string::npos)
    return "the message names no file: " + outcome.error;
  const std::string left = temporary_left(w.path(name));
  return left.empty() ? w.resumed_differs(name) : left;
}

}  // namespace

Row failing_calls(Workshop& w) {
  Row row = {"failing system call", "one line that names the file; resumed bit by bit"};
  const std::string log = w.path("strace.txt"), name = "failing";
  constexpr const char* calls = "trace=openat,read,write,fsync,rename,close,mkdir,ftruncate";
  w.remove(name);
  if (w.run(traced(w.training(name), {"-o", log, "-e", calls})).status != 0) {
    row.skipped = "strace does not run";
    return row;
  }
  const auto places = places_in(log, w.path(""));
  constexpr std::pair<const char*, const char*> errors[] = {
      {"write", "EIO"},     {"write", "ENOSPC"}, {"write", "EDQUOT"},  {"write", "EINTR"},
      {"fsync", "EIO"},     {"rename", "EIO"},   {"openat", "EMFILE"}, {"openat", "EACCES"},
      {"openat", "ENOSPC"}, {"read", "EIO"},     {"mkdir", "ENOSPC"}};
  for (const auto& [call, error] : errors) {
    const auto at = places.find(call);
    if (at == places.end()) continue;
    for (const int64_t when : spread(at->second, 4)) {
      w.remove(name);
      const std::string inject = str_cat("inject=", call, ":error=", error, ":when=", when);
      const Outcome outcome = w.run(traced(w.training(name), {"-o", log, "-e", str_cat("trace=", call), "-e", inject}));
      if (read_file(log).find("INJECTED") == std::string::npos) continue;
      const std::string loss = loss_after(w, outcome, name);
      row.add(loss.empty() ? "" : str_cat(error, " of ", call, " number ", when, ": ", loss));
    }
  }
  return row;
}

Row full_disk(Workshop& w) {
  Row row = {"full disk", "one line that names the file; resumed bit by bit"};
  const std::string disk = w.path("disk"), name = "disk/run";
  make_folder(disk);
  const auto needed = int64_t(fs::file_size(w.path("undisturbed/last.safetensors")));
  for (const double share : {0.1, 0.7, 1.2, 1.8, 2.3, 2.8}) {
    const std::string size = str_cat("size=", int64_t(share * double(needed)));
    if (mount("tmpfs", disk.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      row.skipped = str_cat("no file system can be mounted: ", std::strerror(errno));
      return row;
    }
    const Outcome outcome = w.run(w.training(name));
    mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m");
    const std::string loss = loss_after(w, outcome, name);
    row.add(loss.empty() ? "" : str_cat("a disk of ", share, " checkpoints: ", loss));
    umount2(disk.c_str(), MNT_DETACH);
  }
  return row;
}

Row file_limit(Workshop& w) {
  Row row = {"limit of the size of files", "one line that names the file; resumed bit by bit"};
  const auto needed = int64_t(fs::file_size(w.path("undisturbed/last.safetensors")));
  for (const int64_t limit : {int64_t(500), int64_t(4096), needed / 2, needed - 1}) {
    w.remove("limited");
    Command command = w.training("limited");
    command.max_file_bytes = limit;
    const std::string loss = loss_after(w, w.run(command), "limited");
    row.add(loss.empty() ? "" : str_cat("files of ", limit, " bytes: ", loss));
  }
  return row;
}

}  // namespace gt::faults
