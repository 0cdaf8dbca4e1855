#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"

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

std::string file_stamp(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) return "";
  const auto time = [](const timespec& t) { return str_cat(t.tv_sec, ".", t.tv_nsec); };
  return str_cat(facts.st_size, " ", time(facts.st_mtim), " ", time(facts.st_ctim));
}

bool changed_since(const std::string& path, double time) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 &&
         double(facts.st_ctim.tv_sec) + 1e-9 * double(facts.st_ctim.tv_nsec) >= time;
}

}  // namespace gt
