// Locks on folders.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "core/folder_lock.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

TEST_CASE("folder lock: a second lock is refused with process, host and command of the first", "[lock]") {
  const TempFolder folder;
  std::optional<FolderLock> first(std::in_place, folder.path(), "gradtrack train");
  const std::string error = error_of([&] { FolderLock(folder.path(), "gradtrack eval"); });
  CHECK(error.starts_with(str_cat(folder.path(), ": process ", getpid(), " on host ")));
  CHECK(error.ends_with(" (gradtrack train) is at work in it; wait for it, or choose another folder"));
  CHECK(error_of([&] { require_unlocked(folder.path()); }) == error);
  first.reset();
  require_unlocked(folder.path());
  const FolderLock again(folder.path(), "a much longer command than the first one was");
  CHECK(error_of([&] { require_unlocked(folder.path()); }).find("(a much longer command") != std::string::npos);
}

TEST_CASE("folder lock: the lock of a killed process is free", "[lock]") {
  const TempFolder folder;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const FolderLock lock(folder.path(), "gradtrack train");
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK(error_of([&] { FolderLock(folder.path(), "x"); }).find(str_cat("process ", child)) != std::string::npos);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK_NOTHROW(FolderLock(folder.path(), "x"));
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("folder lock: programs keep the lock only if asked to", "[lock]") {
  const TempFolder folder;
  for (const auto programs : {FolderLock::Programs::start_without, FolderLock::Programs::keep}) {
    std::optional<FolderLock> lock(std::in_place, folder.path(), "gradtrack compare", programs);
    const pid_t child = fork();
    if (child == 0) {
      execlp("sleep", "sleep", "60", nullptr);
      _exit(127);
    }
    usleep(200'000);
    lock.reset();
    const bool locked = !error_of([&] { require_unlocked(folder.path()); }).empty();
    CHECK(locked == (programs == FolderLock::Programs::keep));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    CHECK_NOTHROW(require_unlocked(folder.path()));
  }
}

TEST_CASE("folder lock: a folder without the file is not changed, and a link is not followed", "[lock]") {
  const TempFolder folder;
  require_unlocked(folder.path());
  require_unlocked(folder / "none");
  CHECK_FALSE(std::filesystem::exists(folder / ".lock"));
  write(folder / "precious", "kept");
  std::filesystem::create_symlink("precious", folder / ".lock");
  CHECK(error_of([&] { FolderLock(folder.path(), "x"); }).starts_with((folder / ".lock") + ": cannot write: "));
  CHECK(read_file(folder / "precious") == "kept");
  CHECK(error_of([&] { FolderLock(folder / "none", "x"); }).starts_with((folder / "none/.lock") + ": cannot write: "));
}
