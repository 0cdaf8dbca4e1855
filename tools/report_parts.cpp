#include "tools/report_parts.h"

#include <ctime>

#include "core/check.h"
#include "tools/html/page.h"

namespace gt {

using html::escape;

std::string paragraph(const std::string& text) { return "<p class=\"quiet\">" + escape(text) + "</p>\n"; }

std::string page_header(const std::string& title, const std::vector<std::string>& simulated, bool all) {
  char date[64];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::localtime(&now));
  std::string out =
      str_cat("<header><p class=\"eyebrow\">GradTrack report</p><h1>", escape(title),
              "</h1>\n<p class=\"quiet\">Medical image segmentation trained from eye movements. Created on ", date,
              ". For research only, not for clinical use.</p>\n");
  std::string names;
  for (const std::string& name : simulated) names += (names.empty() ? "" : ", ") + escape(name);
  if (!simulated.empty())
    out += str_cat("<div class=\"warning\"><strong>Simulated gaze</strong>", all ? "" : names + ": ",
                   "Trained on eye movements that a program simulated from the masks, not on a physician's. ",
                   "Do not quote these scores as results with recorded gaze.</div>\n");
  return out + "</header>\n";
}

std::string figure_warning(bool simulated, bool selected_on_test) {
  std::string warning = simulated ? "SIMULATED GAZE" : "";
  if (selected_on_test) warning += std::string(warning.empty() ? "" : ", ") + "SELECTED ON TEST IMAGES";
  return warning;
}

std::string document_title(const std::string& title, bool simulated) {
  return (simulated ? "[SIMULATED GAZE] " : "") + title + " - GradTrack";
}

std::string gaze_badge(const Run& run) {
  if (run.simulated()) return "<span class=\"badge simulated\">Simulated gaze</span>";
  const std::string gaze = run.fact("gaze");
  const std::string label = gaze == "recorded" ? "recorded gaze" : gaze == "none" ? "masks, no gaze" : "gaze unknown";
  return "<span class=\"badge\">" + label + "</span>";
}

std::string mean_std_html(const MeanStd& m, int decimals, bool best) {
  const std::string mean = html::fixed(m.mean, decimals);
  return (best ? "<b>" + mean + "</b>" : mean) + " <small>\u00b1 " + html::fixed(m.std, decimals) + "</small>";
}

std::string dash() { return "<span class=\"quiet\">\u2013</span>"; }

std::string metric_notes(bool compared_only) {
  std::string notes;
  for (const Metric& m : metric_table())
    if (*m.note != 0 && (m.compared || !compared_only)) notes += str_cat(" ", escape(m.note));
  return notes;
}

}  // namespace gt
