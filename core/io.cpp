#include "core/io.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

namespace gt {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_with_reason(const std::string& path, const char* what, int reason = errno) {
  fail(path, ": cannot ", what, ": ", std::strerror(reason));
}

/// A descriptor that is closed at the end, or earlier by close().
class Descriptor {
 public:
  explicit Descriptor(int file) : file_(file) {}
  ~Descriptor() {
    if (file_ >= 0) ::close(file_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  explicit operator bool() const { return file_ >= 0; }
  int operator*() const { return file_; }
  bool close() { return ::close(std::exchange(file_, -1)) == 0; }

 private:
  int file_;
};

/// The file that is replaced when `path` is written: the target of symbolic links, which need not exist.
std::string link_target(const std::string& path) {
  fs::path target = path;
  std::error_code none;
  for (int links = 0; fs::is_symlink(target, none); ++links) {
    if (links == 40) fail_with_reason(path, "write", ELOOP);
    const fs::path next = fs::read_symlink(target, none);
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  return target.string();
}

constexpr const char* temporary_suffix = ".tmp";

/// A new name beside `path`: PATH.<process>-<number>.tmp, with the file's name cut to what a folder can hold.
std::string temporary_name(const fs::path& path) {
  static std::atomic<int64_t> count = 0;
  const std::string name = path.filename().string().substr(0, 200);
  return (path.parent_path() / str_cat(name, ".", getpid(), "-", count++, temporary_suffix)).string();
}

/// The process that made a temporary file, from its name; none for the names of other files.
std::optional<pid_t> process_of_temporary(const std::string& name) {
  if (!name.ends_with(temporary_suffix)) return {};
  int process = 0, end = 0;
  long long number = 0;
  const std::string stem = name.substr(0, name.size() - std::strlen(temporary_suffix));
  const size_t dot = stem.rfind('.');
  if (dot == stem.npos || dot == 0) return {};
  const std::string ids = stem.substr(dot + 1);
  if (std::sscanf(ids.c_str(), "%9d-%18lld%n", &process, &number, &end) != 2 || size_t(end) != ids.size()) return {};
  return process > 0 && number >= 0 ? std::optional<pid_t>(process) : std::nullopt;
}

/// Gives an open file the mode of the file that it will replace, if there is one.
void keep_mode(int file, const std::string& old, const std::string& path) {
  struct stat before {
  }, now{};
  if (::stat(old.c_str(), &before) != 0 || !S_ISREG(before.st_mode)) return;
  if (::fstat(file, &now) == 0 && now.st_mode == before.st_mode) return;
  if (::fchmod(file, before.st_mode & 07777) != 0) fail_with_reason(path, "write");
}

void sync_folder(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  const Descriptor file(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file) sync_file(*file, path);  // a folder that cannot be read cannot be synced
}

/// What a path leads to.
fs::file_status status_of(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) fail(path, ": cannot look at it: ", error.message());
  return status;
}

}  // namespace

std::string read_file(const std::string& path, uint64_t max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) fail_with_reason(path, "open");
  struct stat facts {};
  const bool sized = ::fstat(fileno(file.get()), &facts) == 0 && S_ISREG(facts.st_mode);
  if (!sized) max_bytes = std::min(max_bytes, uint64_t(1) << 30);  // a device may never end
  const auto require_limit = [&](uint64_t size) {
    if (size > max_bytes) fail(path, ": expected at most ", max_bytes, " bytes, found more");
  };
  if (sized) require_limit(uint64_t(facts.st_size));
  try {
    std::string bytes;
    for (size_t done = 0;;) {  // until the end of the file: pipes and /proc report no size
      bytes.resize(std::max<size_t>(done == 0 && sized ? size_t(facts.st_size) + 1 : done + done / 2, 1 << 16));
      done += std::fread(bytes.data() + done, 1, bytes.size() - done, file.get());
      if (std::ferror(file.get())) fail_with_reason(path, "read");
      require_limit(done);
      if (done == bytes.size()) continue;
      bytes.resize(done);
      return bytes;
    }
  } catch (const std::bad_alloc&) {
    fail(path, ": cannot read: the memory is too small for its ", facts.st_size, " bytes");
  }
}

std::vector<TextLine> read_lines(const std::string& path) {
  const std::string bytes = read_file(path);
  std::string_view rest = bytes;
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());
  std::vector<TextLine> lines;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim_blanks(rest.substr(0, end));
    if (!line.empty()) lines.push_back({number, std::string(line)});
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return lines;
}

void write_all(int file, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(file, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_with_reason(path, "write");
    bytes.remove_prefix(size_t(n));
  }
}

void sync_file(int file, const std::string& path) {
  const bool synced = ::fsync(file) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
  if (!synced) fail_with_reason(path, "write");
}

FileReplacement::FileReplacement(const std::string& path) : path_(path), target_(link_target(path)) {
  for (int tries = 0; tries < 100 && file_ < 0; ++tries) {  // names that a killed process left are passed over
    temporary_ = temporary_name(target_);
    file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file_ < 0 && errno != EEXIST) break;
  }
  if (file_ < 0) fail_with_reason(path, "write");
}

FileReplacement::~FileReplacement() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void FileReplacement::append(std::string_view bytes) { write_all(file_, bytes, path_); }

void FileReplacement::commit() {
  keep_mode(file_, target_, path_);
  sync_file(file_, path_);
  if (::close(std::exchange(file_, -1)) != 0) fail_with_reason(path_, "write");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_reason(path_, "replace");
  temporary_.clear();
  sync_folder(target_);
}

void write_file(const std::string& path, const std::string& bytes) {
  std::error_code none;
  if (!fs::is_other(path, none)) {
    FileReplacement file(path);
    file.append(bytes);
    return file.commit();
  }
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // a device or a pipe has no old content to keep
  if (!file) fail_with_reason(path, "write");
  write_all(*file, bytes, path);
  sync_file(*file, path);
  if (!file.close()) fail_with_reason(path, "write");
}

void remove_stale_temporaries(const std::string& folder, const std::string& file) {
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    const std::optional<pid_t> process = process_of_temporary(name);
    if (!process || !name.starts_with(file) || !entry.is_regular_file(none)) continue;
    // In containers, a killed process may have had the number of this one.
    if (*process == getpid() || (::kill(*process, 0) != 0 && errno == ESRCH)) fs::remove(entry.path(), none);
  }
}

bool path_exists(const std::string& path) { return fs::exists(status_of(path)); }
bool is_folder(const std::string& path) { return fs::is_directory(status_of(path)); }

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(path, ": cannot create the folder: ", error.message());
}

}  // namespace gt
