// Parts of the HTML pages on runs and on experiments.
#pragma once

#include <string>
#include <vector>

#include "gaze/metrics.h"
#include "tools/run_folder.h"

namespace gt {

/// A paragraph of secondary text, which is escaped.
std::string paragraph(const std::string& text);

/// The header of a page: title, date, and a warning if gaze was simulated. `simulated` lists the runs that were trained
/// on simulated gaze. With `all`, which means that every run was, the warning does not name them.
std::string page_header(const std::string& title, const std::vector<std::string>& simulated, bool all);

/// What a figure says that stands alone: that gaze was simulated, that test images chose the network; "" for neither.
std::string figure_warning(bool simulated, bool selected_on_test);

/// The title of the document. It begins with "[SIMULATED GAZE]" if gaze was simulated.
std::string document_title(const std::string& title, bool simulated);

/// A label with the gaze that a run was trained on: simulated, recorded, none or unknown.
std::string gaze_badge(const Run& run);

/// HTML for "0.812 +- 0.034". The mean is bold if it is the best.
std::string mean_std_html(const MeanStd& m, int decimals, bool best = false);

/// HTML for a missing value: an en dash.
std::string dash();

/// The notes of all metrics, each with a space before it. With `compared_only`, the notes of the metrics that
/// comparisons show.
std::string metric_notes(bool compared_only);

}  // namespace gt
