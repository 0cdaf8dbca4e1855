// A lock on a folder, so that one process works in it.
#pragma once

#include <string>

namespace gt {

/// Locks a folder by its file .lock while the object is alive. The file records process, host and command. The system
/// ends the lock if the process is killed; the file stays.
class FolderLock {
 public:
  /// Whether programs that this process starts keep the lock until they have ended too.
  enum class Programs { start_without, keep };

  /// Locks an existing folder. `command` names the work for those who are refused. Throws Error if another process has
  /// the lock, or if the file system has no locks.
  FolderLock(const std::string& folder, const std::string& command, Programs programs = Programs::start_without);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_;
};

/// Throws Error if another process has the lock of the folder. Writes nothing.
void require_unlocked(const std::string& folder);

}  // namespace gt
