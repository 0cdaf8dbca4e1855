#include "core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"
#include "core/host.h"
#include "core/io.h"

namespace gt {
namespace {

std::string lock_path(const std::string& folder) { return folder + "/.lock"; }

/// Takes the lock of an open lock file. If another process has it, `holder` says who. Closes the file, and throws Error
/// if the file system has no locks.
bool take_lock(int file, const std::string& path, std::string& holder) {
  while (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    const int reason = errno;
    char text[256] = {};
    const ssize_t size = ::pread(file, text, sizeof text - 1, 0);
    ::close(file);
    if (reason != EWOULDBLOCK) fail(path, ": cannot lock: ", std::strerror(reason));
    const std::string_view who = trim_blanks(std::string_view(text, size_t(size > 0 ? size : 0)));
    holder = who.empty() ? "another process" : std::string(who.substr(0, who.find('\n')));
    return false;
  }
  return true;
}

/// Opens a lock file and takes its lock; -1 if another process has it.
int open_lock(const std::string& path, const std::string& command, int flags, std::string& holder) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0666);
  if (file < 0) fail(path, ": cannot write: ", std::strerror(errno));
  if (!take_lock(file, path, holder)) return -1;
  // The text is for messages alone, so a full disk is no error.
  const std::string text = str_cat("process ", getpid(), " on host ", host_name(), " (", command, ")");
  const bool written = ftruncate(file, 0) == 0 && ::pwrite(file, text.data(), text.size(), 0) >= 0;
  static_cast<void>(written);
  return file;
}

[[noreturn]] void refuse(const std::string& folder, const std::string& holder) {
  fail(folder, ": ", holder, " is at work in it; wait for it, or choose another folder");
}

}  // namespace

FolderLock::FolderLock(const std::string& folder, const std::string& command, Programs programs) {
  std::string holder;
  file_ = open_lock(lock_path(folder), command, programs == Programs::keep ? 0 : O_CLOEXEC, holder);
  if (file_ < 0) refuse(folder, holder);
}

FolderLock::~FolderLock() { ::close(file_); }

std::unique_ptr<FileLock> FileLock::try_take(const std::string& path, const std::string& command, std::string& holder) {
  const int file = open_lock(path, command, O_CLOEXEC, holder);
  return file < 0 ? nullptr : std::unique_ptr<FileLock>(new FileLock(file));
}

FileLock::~FileLock() { ::close(file_); }

void require_unlocked(const std::string& folder) {
  const int file = ::open(lock_path(folder).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return;  // no lock yet, or none that this user may take
  std::string holder;
  if (!take_lock(file, lock_path(folder), holder)) refuse(folder, holder);
  ::close(file);
}

}  // namespace gt
