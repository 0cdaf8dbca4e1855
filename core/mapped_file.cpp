#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/check.h"
#include "core/random.h"

namespace gt {

MappedFile::MappedFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat facts {};
  const bool opened = file >= 0 && ::fstat(file, &facts) == 0;
  void* data = MAP_FAILED;
  if (opened && facts.st_size > 0) data = ::mmap(nullptr, size_t(facts.st_size), PROT_READ, MAP_SHARED, file, 0);
  const int reason = errno;
  if (file >= 0) ::close(file);
  if (opened && facts.st_size == 0) return;  // an empty file cannot be mapped
  if (data == MAP_FAILED) fail(path, ": cannot open: ", std::strerror(reason));
  data_ = static_cast<const char*>(data);
  size_ = size_t(facts.st_size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

void MappedFile::release() const {
  if (data_ != nullptr) ::madvise(const_cast<char*>(data_), size_, MADV_DONTNEED);
}

uint64_t file_stamp(const std::string& path) {
  struct stat facts {};
  timespec now{};
  if (::stat(path.c_str(), &facts) != 0 || ::clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
  const auto seconds = [](const timespec& t) { return double(t.tv_sec) + 1e-9 * double(t.tv_nsec); };
  // Times of files tick every few ms, or on some file systems every one or two seconds.
  const bool coarse = facts.st_ctim.tv_nsec == 0 && facts.st_mtim.tv_nsec == 0;
  const double age = seconds(now) - seconds(facts.st_ctim);
  if (age < (coarse ? 2.5 : 0.02)) return 0;
  const auto text = [](const timespec& t) { return str_cat(t.tv_sec, ".", t.tv_nsec); };
  return hash64(str_cat(facts.st_size, " ", text(facts.st_mtim), " ", text(facts.st_ctim)));
}

}  // namespace gt
