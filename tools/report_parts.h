// Pieces that reports on runs share.
#pragma once

#include <string>
#include <vector>

#include "gaze/metrics.h"
#include "tools/run_folder.h"

namespace gt {

/// A quiet paragraph; the text is escaped.
std::string paragraph(const std::string& s);

/// A report's head: its title, today's date, and over everything a warning if gaze was simulated, for those named in
/// `simulated` or, if `all` were trained so, without names.
std::string heading(const std::string& title, const std::vector<std::string>& simulated, bool all);

/// The title of a report's document, which says first if gaze was simulated.
std::string document_title(const std::string& title, bool simulated);

std::string gaze_badge(const Run& run);

/// "0.812 +- 0.034", the mean bold if it is the best.
std::string mean_std_html(const MeanStd& m, int decimals, bool best = false);

/// What stands where there is no value.
std::string dash();

/// The notes of all metrics, or of those that comparisons show, as text of a paragraph: each after a blank.
std::string metric_notes(bool compared_only);

}  // namespace gt
