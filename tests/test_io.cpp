// Files: reading and atomic writing.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "core/io.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

size_t files_in(const TempFolder& folder) {
  return size_t(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

/// While one is alive, no file of this process can grow beyond `bytes`. This stands for a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

}  // namespace

TEST_CASE("files: read_file() returns the bytes that write_file() wrote", "[io]") {
  const TempFolder folder;
  std::string bytes;
  for (uint32_t i = 0; i < 300000; ++i) bytes += char(i * 7919 >> 3);
  for (const size_t size : {size_t(0), size_t(1), size_t(65536), bytes.size()}) {
    write_file(folder / "f", bytes.substr(0, size));
    CHECK(read_file(folder / "f") == bytes.substr(0, size));
  }
  CHECK(files_in(folder) == 1);
}

TEST_CASE("files: read_file() refuses folders and missing files, and reads files that report no size", "[io]") {
  const TempFolder folder;
  CHECK(error_of([&] { read_file(folder / "none"); }) ==
        (folder / "none") + ": cannot open: No such file or directory");
  CHECK(error_of([&] { read_file(folder.path()); }) == folder.path() + ": cannot read: Is a directory");
  write(folder / "f", "x");
  CHECK_THROWS_AS(read_file(folder / "f/g"), Error);
  CHECK_FALSE(read_file("/proc/self/status").empty());
  CHECK(read_file("/dev/null").empty());
}

TEST_CASE("files: make_folder() creates parents, or throws the reason", "[io]") {
  const TempFolder folder;
  make_folder(folder / "a/b/c");
  make_folder(folder / "a/b/c");
  CHECK(std::filesystem::is_directory(folder / "a/b/c"));
  write(folder / "f", "x");
  CHECK(error_of([&] { make_folder(folder / "f/d"); }).starts_with((folder / "f/d") + ": cannot create the folder: "));
  CHECK_THROWS_AS(make_folder(folder / "f"), Error);
  CHECK_THROWS_AS(make_folder("/proc/gradtrack"), Error);
}

TEST_CASE("files: a failed write throws the reason, keeps the old file and removes its temporary file", "[io]") {
  const TempFolder folder;
  write(folder / "f", "old");
  const std::string large(100000, 'x');
  {
    const FileLimit limit(5000);
    CHECK(error_of([&] { write_file(folder / "f", large); }) == (folder / "f") + ": cannot write: File too large");
    CHECK_THROWS_AS(write_file(folder / "new", large), Error);
  }
  CHECK(read_file(folder / "f") == "old");
  CHECK(files_in(folder) == 1);

  make_folder(folder / "d");
  CHECK(error_of([&] { write_file(folder / "d", "x"); }) == (folder / "d") + ": cannot replace: Is a directory");
  CHECK(files_in(folder) == 2);
  CHECK_THROWS_AS(write_file(folder / "f/under a file", "x"), Error);
  CHECK_THROWS_AS(write_file(folder / "none/f", "x"), Error);
  CHECK_THROWS_AS(write_file("/proc/gradtrack", "x"), Error);
  CHECK_THROWS_AS(write_file(folder / std::string(300, 'n'), "x"), Error);
  CHECK_THROWS_AS(write_file("", "x"), Error);
}

TEST_CASE("files: a replaced file keeps its mode, and a new one follows the umask", "[io]") {
  const TempFolder folder;
  const auto mode = [&](const std::string& name) {
    struct stat facts {};
    REQUIRE(stat((folder / name).c_str(), &facts) == 0);
    return facts.st_mode & 07777;
  };
  const mode_t before = umask(027);
  write_file(folder / "new", "x");
  CHECK(mode("new") == 0640);
  for (const mode_t kept : {0600u, 0664u, 0755u}) {
    REQUIRE(chmod((folder / "new").c_str(), kept) == 0);
    write_file(folder / "new", "y");
    CHECK(mode("new") == kept);
  }
  umask(before);
}

TEST_CASE("files: a symbolic link stays, and its target is replaced", "[io]") {
  const TempFolder folder;
  make_folder(folder / "elsewhere");
  write(folder / "elsewhere/target", "old");
  std::filesystem::create_symlink("elsewhere/target", folder / "link");
  std::filesystem::create_symlink(folder / "link", folder / "second");
  std::filesystem::create_symlink("elsewhere/none yet", folder / "dangling");
  write_file(folder / "second", "new");
  write_file(folder / "dangling", "made");
  for (const char* link : {"link", "second", "dangling"}) CHECK(std::filesystem::is_symlink(folder / link));
  CHECK(read_file(folder / "elsewhere/target") == "new");
  CHECK(read_file(folder / "elsewhere/none yet") == "made");
  CHECK(files_in(folder) == 4);

  std::filesystem::create_symlink("loop", folder / "loop");
  CHECK(error_of([&] { write_file(folder / "loop", "x"); }) ==
        (folder / "loop") + ": cannot write: Too many levels of symbolic links");
}

TEST_CASE("files: no file or link that is named like a temporary file is written through", "[io]") {
  const TempFolder folder;
  write(folder / "precious", "kept");
  const auto plant = [&](const std::string& name) {
    std::error_code exists;
    std::filesystem::create_symlink("precious", folder / name, exists);
  };
  plant("f.tmp");
  for (int number = 0; number < 2000; ++number) plant(str_cat("f.", getpid(), "-", number, ".tmp"));
  error_of([&] { write_file(folder / "f", "x"); });  // refused if no name is left
  CHECK(read_file(folder / "precious") == "kept");
}

TEST_CASE("files: temporary files of killed processes are removed, other files stay", "[io]") {
  const TempFolder folder;
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  const std::vector<std::string> stay = {
      "f",          "f.tmp",      str_cat("f.", getppid(), "-0.tmp"), str_cat("f.", dead, ".tmp"), ".tmp",
      "f.-1-2.tmp", "f.12-x.tmp", str_cat("f.", dead, "-1.tmp.txt")};
  for (const std::string& name : stay) write(folder / name, "x");
  write(folder / str_cat("f.", dead, "-3.tmp"), "x");
  write(folder / str_cat("eval_val.json.", dead, "-12.tmp"), "x");
  remove_stale_temporaries(folder.path());
  CHECK(files_in(folder) == stay.size());
  for (const std::string& name : stay) CHECK(std::filesystem::exists(folder / name));
}

TEST_CASE("files: a file or device with more bytes than allowed is refused", "[io]") {
  const TempFolder folder;
  write(folder / "f", "12345");
  CHECK(read_file(folder / "f", 5) == "12345");
  CHECK(error_of([&] { read_file(folder / "f", 4); }) == (folder / "f") + ": expected at most 4 bytes, found more");
  CHECK(error_of([&] { read_file("/dev/zero", 1 << 20); }) == "/dev/zero: expected at most 1048576 bytes, found more");
}

TEST_CASE("files: devices and pipes are written, not replaced", "[io]") {
  CHECK(error_of([] { write_file("/dev/full", "x"); }) == "/dev/full: cannot write: No space left on device");
  write_file("/dev/null", "x");
  CHECK(std::filesystem::is_character_file("/dev/null"));
  CHECK(std::filesystem::is_character_file("/dev/full"));
}
