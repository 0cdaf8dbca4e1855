// Locks on files and folders, so that one process works on them.
#pragma once

#include <memory>
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

/// A lock as FolderLock, by a file of any name, for those who wait.
class FileLock {
 public:
  /// The lock, or null if another process has it; `holder` then says who. Creates the file. Throws Error if it cannot
  /// be written, or if the file system has no locks.
  static std::unique_ptr<FileLock> try_take(const std::string& path, const std::string& command, std::string& holder);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};

/// Throws Error if another process has the lock of the folder. Writes nothing.
void require_unlocked(const std::string& folder);

}  // namespace gt
