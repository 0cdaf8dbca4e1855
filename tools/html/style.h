// The style sheet of the HTML pages.
#pragma once

namespace gt::html {

/// The text of tools/html/style.css, which CMake embeds into the program.
extern const char* const style_sheet;

}  // namespace gt::html
