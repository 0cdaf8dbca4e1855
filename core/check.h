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

/// The parts, each written with operator<<, as one string.
template <class... Parts>
std::string str_cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Throws Error with the parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(str_cat(parts...));
}

}  // namespace gt

#define GT_STRINGIZE_(x) #x
#define GT_STRINGIZE(x) GT_STRINGIZE_(x)

#define GT_CHECK(condition, ...)                                                             \
  do {                                                                                       \
    if (!(condition)) ::gt::fail(__VA_ARGS__, " [" __FILE__ ":" GT_STRINGIZE(__LINE__) "]"); \
  } while (0)
