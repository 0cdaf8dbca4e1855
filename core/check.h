// Errors. There is one type, and its message is one line: what is wrong, where, and what was expected.
//   fail(...)            bad input: the parts are the whole message and name the file, line and key
//   GT_CHECK(c, ...)     a broken contract between functions: the message ends with the place in the source
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace gt {

class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// There is not enough memory on the device.
class OutOfDeviceMemory : public Error {
  using Error::Error;
};

/// The parts, each written with operator<<, as one string.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// `text` as one printable line: control characters are written as \n, \t, \r or \x1b.
std::string one_line(const std::string& text);

/// Throws Error with the parts as its message, as one_line() shows them: names and fields of files may hold anything.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(one_line(str_cat(parts...)));
}

}  // namespace gt

#define GT_STRINGIZE_(x) #x
#define GT_STRINGIZE(x) GT_STRINGIZE_(x)

#define GT_CHECK(condition, ...)                                                             \
  do {                                                                                       \
    if (!(condition)) ::gt::fail(__VA_ARGS__, " [" __FILE__ ":" GT_STRINGIZE(__LINE__) "]"); \
  } while (0)
