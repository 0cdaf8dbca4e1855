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

/// Takes the lock of an open lock file. Closes it and throws Error if that fails.
void take_lock(int file, const std::string& folder) {
  while (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    const int reason = errno;
    char holder[256] = {};
    const ssize_t size = ::pread(file, holder, sizeof holder - 1, 0);
    ::close(file);
    if (reason != EWOULDBLOCK) fail(lock_path(folder), ": cannot lock: ", std::strerror(reason));
    const std::string_view who = trim_blanks(std::string_view(holder, size_t(size > 0 ? size : 0)));
    fail(folder, ": ", who.empty() ? "another process" : who.substr(0, who.find('\n')),
         " is at work in it; wait for it, or choose another folder");
  }
}

}  // namespace

FolderLock::FolderLock(const std::string& folder, const std::string& command, Programs programs) {
  const std::string path = lock_path(folder);
  const int inherited = programs == Programs::keep ? 0 : O_CLOEXEC;
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | inherited, 0666);
  if (file_ < 0) fail(path, ": cannot write: ", std::strerror(errno));
  take_lock(file_, folder);
  // The text is for messages alone, so a full disk is no error.
  const std::string text = str_cat("process ", getpid(), " on host ", host_name(), " (", command, ")");
  if (ftruncate(file_, 0) != 0 || ::pwrite(file_, text.data(), text.size(), 0) < 0) return;
}

FolderLock::~FolderLock() { ::close(file_); }

void require_unlocked(const std::string& folder) {
  const int file = ::open(lock_path(folder).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return;  // no lock yet, or none that this user may take
  take_lock(file, folder);
  ::close(file);
}

}  // namespace gt
