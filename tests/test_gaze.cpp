// Fixation tables, truncation, packing, maps, heat map, simulator.
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "core/parallel.h"
#include "gaze/maps.h"
#include "gaze/readers.h"
#include "gaze/simulate.h"
#include "tests/catch.h"
#include "tests/temp_folder.h"

using namespace gt;

namespace {

const std::string header =
    "IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_START\n";

Gaze read_text(const std::string& text, const std::string& file = "gaze.csv") {
  const TempFolder folder;
  write(folder / file, text);
  return read_gaze(folder / file);
}

/// The message that a table is refused with, from "gaze.csv" on.
std::string refusal(const std::string& text) {
  const std::string message = error_of([&] { read_text(text); });
  const size_t at = message.find("gaze.csv");
  return at == message.npos ? message : message.substr(at);
}

void check_contains(const std::string& message, const std::string& part) {
  INFO(message << " should hold: " << part);
  CHECK(message.find(part) != message.npos);
}

Track track_of(const std::vector<Fixation>& fixations) { return {"a", fixations, 100, 100}; }

std::vector<Fixation> with_durations(const std::vector<double>& durations) {
  std::vector<Fixation> f;
  for (const double d : durations) f.push_back({0.1 + 0.1 * double(f.size()), 0.5, d, 400.0 * double(f.size())});
  return f;
}

Image disc(int64_t size, double x, double y, double radius) {
  Image mask(size, size, 1);
  for (int64_t row = 0; row < size; ++row)
    for (int64_t column = 0; column < size; ++column)
      if (std::hypot((double(column) + 0.5) / double(size) - x, (double(row) + 0.5) / double(size) - y) < radius)
        *mask.at(row, column) = 255;
  return mask;
}

bool same(const Track& a, const Track& b) {
  if (a.image != b.image || a.fixations.size() != b.fixations.size()) return false;
  for (size_t i = 0; i < a.fixations.size(); ++i) {
    const Fixation &f = a.fixations[i], &g = b.fixations[i];
    if (f.x != g.x || f.y != g.y || f.duration != g.duration || f.start != g.start) return false;
  }
  return true;
}

}  // namespace

// ---- Reading --------------------------------------------------------------------------------------------------------

TEST_CASE("a GazeMedSeg table is read, cleaned and grouped by image", "[gaze]") {
  const Gaze gaze = read_text(
      "\xEF\xBB\xBFIMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,CURRENT_FIX_PUPIL,"
      "CURRENT_FIX_START,IMAGE_HEIGHT,IMAGE_WIDTH\r\n"
      "b.jpg,2,0.3,0.4,200,9,300,50,60\r\n"
      "a.v2.png,1,0.5,0.5,100,9,7,20,30\r\n"
      "\r\n"
      "b.jpg,1,0.1,0.2,250,9,7,50,60\r\n"
      "b.jpg,3,1.2,0.2,250,9,600,50,60\r\n"
      "b.jpg,4,0.1,0.2,49,9,900,50,60\r\n"
      "b.jpg,6,1,0,50,9,1000,50,60");
  CHECK_FALSE(gaze.simulated);
  CHECK(gaze.dropped.outside == 1);
  CHECK(gaze.dropped.brief == 1);
  REQUIRE(gaze.tracks.size() == 2);
  CHECK(gaze.tracks.count("a.v2") == 1);
  const Track& b = gaze.tracks.at("b");
  CHECK(b.image == "b");
  CHECK(b.image_height == 50);
  CHECK(b.image_width == 60);
  REQUIRE(b.fixations.size() == 3);
  CHECK(b.fixations[0].x == 0.1);
  CHECK(b.fixations[1].y == 0.4);
  CHECK(b.fixations[2].duration == 50);
  CHECK(b.fixations[2].start == 1000);
}

TEST_CASE("columns may stand in any order, with quotes, blanks and further columns", "[gaze]") {
  const Gaze gaze = read_text(
      "\"CURRENT_FIX_Y\", CURRENT_FIX_X ,note,CURRENT_FIX_DURATION,IMAGE,CURRENT_FIX_INDEX\n"
      "0.25,1e-1,\"a, \"\"b\"\"\", 100 ,\"x,1.jpg\",1\n"
      "0.25,0.5,,150,\"x,1.jpg\",2\n");
  const std::vector<Fixation>& f = gaze.tracks.at("x,1").fixations;
  REQUIRE(f.size() == 2);
  CHECK(f[0].x == 0.1);
  CHECK(f[0].y == 0.25);
  CHECK(f[0].start == 0);
  CHECK(f[1].start == 100);  // without start times fixations follow one another
}

TEST_CASE("a plain table is the track of the image it is named after", "[gaze]") {
  const Gaze gaze = read_text("x,y,duration,start\n0.1,0.2,100,5\n0.3,0.4,60,200\n", "polyp7.csv");
  REQUIRE(gaze.tracks.size() == 1);
  CHECK(gaze.tracks.at("polyp7").fixations[1].start == 200);
  CHECK(read_text("x,y,duration\n0.1,0.2,100\n0.3,0.4,60\n").tracks.at("gaze").fixations[1].start == 100);
}

TEST_CASE("gaze survives writing and reading, marked if it is simulated", "[gaze]") {
  const TempFolder folder;
  const Track a{"a.b", {{0.1, 1.0 / 3, 250, 7}, {0.7, 0.9, 123.25, 300}}, 352, 640};
  const Track b{"odd, \"name\"", {{0, 1, 50, 0}}, 0, 0};
  for (const bool simulated : {false, true}) {
    write_gaze(folder / "g.csv", {a, b}, simulated);
    const Gaze gaze = read_gaze(folder / "g.csv");
    CHECK(gaze.simulated == simulated);
    REQUIRE(gaze.tracks.size() == 2);
    CHECK(same(gaze.tracks.at(a.image), a));
    CHECK(same(gaze.tracks.at(b.image), b));
    CHECK(gaze.tracks.at(a.image).image_width == 640);
  }
}

TEST_CASE("tables that are not right are refused with file, line and reason", "[gaze]") {
  const std::string row = "a.jpg,1,0.5,0.5,100,0\n";
  check_contains(refusal(""), "gaze.csv: expected a fixation table, the file is empty");
  check_contains(refusal("\r\n \n"), "the file is empty");
  check_contains(refusal(header), "gaze.csv: expected fixations");
  check_contains(refusal(header + "a.jpg,1,1.5,0.5,100,0\n"), "1 outside the image");
  check_contains(refusal("IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_DURATION\na,1,0,99\n"),
                 "gaze.csv:1: expected a column CURRENT_FIX_Y, got IMAGE, ");
  check_contains(refusal("x,y\n0.1,0.2\n"), "gaze.csv:1: expected a column duration");
  check_contains(refusal("hello\n"), "gaze.csv:1: expected a table of gaze in one of the formats tobii, pupil, ");
  check_contains(refusal("x,x,y,duration\n1,1,1,1\n"), "gaze.csv:1: column x appears twice");
  check_contains(refusal(header + row + "a.jpg,2,0.5\n"), "gaze.csv:3: expected 6 fields as in the header, got 3");
  check_contains(refusal(header + "a.jpg,1,0.5,0.5,100,0,8\n"),
                 "gaze.csv:2: expected 6 fields as in the header, got 7");
  for (const char* value : {"abc", "", "nan", "inf", "-inf", "1e999", "0.5x", "0,5"}) {
    const std::string message = refusal("x,y,duration\n0.5,\"" + std::string(value) + "\",100\n");
    check_contains(message, "gaze.csv:2: column y: expected a number, got '" + std::string(value) + "'");
  }
  check_contains(refusal(header + "\na.jpg,1,0.5,0.5,-1,0\n"),
                 "gaze.csv:3: column CURRENT_FIX_DURATION: expected a duration in ms, got -1");
  for (const char* index : {"0", "-1", "1.5"})
    check_contains(refusal(header + "a.jpg," + index + ",0.5,0.5,100,0\n"),
                   "gaze.csv:2: column CURRENT_FIX_INDEX: expected a whole number of at least 1");
  check_contains(refusal(header + row + "b.jpg,1,0.5,0.5,100,0\n" + row),
                 "gaze.csv:4: fixation 1 of image a was given on line 2 already");
  check_contains(refusal(header + "a.jpg,2,0.5,0.5,100,10\na.jpg,1,0.5,0.5,100,300\n"),
                 "gaze.csv:2: fixation 2 of image a is out of order");
  check_contains(refusal(header + ".jpg,1,0.5,0.5,100,0\n" + ",1,0.5,0.5,100,0\n"), "gaze.csv:3: column IMAGE");
  check_contains(error_of([] { read_gaze("no/such/gaze.csv"); }), "no/such/gaze.csv");
}

TEST_CASE("a table cut anywhere or with a byte changed is read or refused, nothing else", "[gaze]") {
  const std::string whole = header + "a.jpg,1,0.5,0.5,100,0\na.jpg,2,0.25,0.75,300,120\n";
  const TempFolder folder;
  for (size_t i = 0; i < whole.size(); ++i)
    for (const char c : {'\0', '"', ',', '\n', '9', '\xFF'}) {
      std::string changed = whole;
      changed[i] = c;
      for (const std::string& bytes : {changed, whole.substr(0, i)}) {
        write(folder / "gaze.csv", bytes);
        size_t tracks = 1;
        error_of([&] { tracks = read_gaze(folder / "gaze.csv").tracks.size(); });  // anything but Error fails the test
        CHECK(tracks > 0);
      }
    }
}

TEST_CASE("an image's name is its path without folder and extension", "[gaze]") {
  CHECK(image_name("images/a.b.jpg") == "a.b");
  CHECK(image_name("a.PNG") == "a");
  CHECK(image_name("a.b") == "a.b");
  CHECK(image_name("x/y.dcm") == "y");
  CHECK(image_name("plain") == "plain");
}

// ---- Maps -----------------------------------------------------------------------------------------------------------

TEST_CASE("truncation keeps the shortest end of the track with the wanted share", "[gaze]") {
  using Kept = std::pair<int64_t, int64_t>;
  const std::vector<Fixation> track = with_durations({100, 100, 100, 300, 200, 200});  // 1000 ms
  MapOptions options;
  CHECK(truncate(track, 1.0, options) == Kept{0, 6});
  CHECK(truncate(track, 0.7, options) == Kept{3, 6});
  CHECK(truncate(track, 0.71, options) == Kept{2, 6});
  CHECK(truncate(track, 0.4, options) == Kept{4, 6});
  CHECK(truncate(track, 0.0, options) == Kept{5, 6});
  options.keep_end = "first";
  CHECK(truncate(track, 0.3, options) == Kept{0, 3});
  CHECK(truncate(track, 0.0, options) == Kept{0, 1});
  options.keep_by = "count";
  CHECK(truncate(track, 0.5, options) == Kept{0, 3});
  options.keep_end = "last";
  CHECK(truncate(track, 0.51, options) == Kept{2, 6});
  CHECK(truncate(with_durations(std::vector<double>(20, 100)), 0.55, options) == Kept{9, 20});  // 11.000000000000002
  CHECK(truncate(with_durations({80}), 0.25, options) == Kept{0, 1});
}

TEST_CASE("tracks are packed with their weights, kept parts and offsets", "[gaze]") {
  const Track a = track_of(with_durations({100, 300})), b = track_of(with_durations({200, 200, 400}));
  MapOptions options;
  options.gamma = 0.5;
  const PackedTracks packed = pack_tracks({&a, &b}, options, DType::f64);
  CHECK(packed.xy.shape() == Shape{5, 2});
  CHECK(packed.offsets.values<int32_t>() == std::vector<int32_t>{0, 2, 5});
  CHECK(packed.kept.shape() == Shape{5, 2, 2});
  CHECK(packed.kept.values<int32_t>() ==
        std::vector<int32_t>{0, 2, 2, 5, 1, 2, 3, 5, 1, 2, 4, 5, 1, 2, 4, 5, 0, 2, 2, 5});
  const std::vector<double> w = packed.weight.values<double>();
  const std::vector<double> full = {0.25 * 0.5, 0.75, 0.25 * 0.25, 0.25 * 0.5, 0.5};
  for (size_t i = 0; i < 5; ++i) {
    CHECK(w[i] == Approx(full[i]));
    CHECK(w[20 + i] == Approx(full[i]));                           // the full track's map
    CHECK(w[15 + i] == Approx(i == 1 || i == 4 ? full[i] : 0.0));  // the finest level's
  }
}

TEST_CASE("a track's spread is the median distance from its median centre, by duration", "[gaze]") {
  CHECK(track_spread({}) == 0);
  CHECK(track_spread({{0.3, 0.8, 100, 0}}) == 0);
  CHECK(track_spread({{0.2, 0.5, 100, 0}, {0.6, 0.5, 100, 0}}) == Approx(0.2));
  std::vector<Fixation> ring = {{0.4, 0.5, 90, 0}, {0.5, 0.4, 90, 0}, {0.6, 0.5, 90, 0}, {0.5, 0.6, 90, 0}};
  CHECK(track_spread(ring) == Approx(0.1));
  ring.push_back({0.5, 0.5, 60, 0});
  ring.push_back({1, 0, 60, 0});  // a glance elsewhere
  CHECK(track_spread(ring) == Approx(0.1));
  ring.push_back({0.5, 0.5, 1000, 0});  // most of the time at the centre
  CHECK(track_spread(ring) == Approx(0));
}

TEST_CASE("sigma and tau follow a track's own spread", "[gaze]") {
  const Track wide = track_of({{0.2, 0.5, 100, 0}, {0.6, 0.5, 100, 0}}), point = track_of({{0.3, 0.3, 100, 0}});
  MapOptions options;
  options.sigma_x = {0.4, 0.3, 0.2, 0.1};
  options.sigma_y = {0.8, 0.7, 0.6, 0.5};
  options.spread = 0.05;
  for (const double follow : {0.0, 0.5, 1.0}) {
    options.spread_exponent = follow;
    const PackedTracks packed = pack_tracks({&wide, &point}, options, DType::f64);
    REQUIRE(packed.sigma.shape() == Shape{5, 2, 2});
    REQUIRE(packed.inverse_scale.shape() == Shape{2});
    const std::vector<double> factors = {std::pow(4, follow), std::pow(0.6, follow)};  // 0.03 is the least spread
    for (size_t b = 0; b < 2; ++b) {
      CHECK(packed.inverse_scale.values<double>()[b] == Approx(1 / factors[b]));
      for (size_t l = 0; l < 5; ++l) {
        const double* sigma = packed.sigma.data<double>() + 2 * (2 * l + b);
        CHECK(sigma[0] == Approx(options.sigma_x[std::min(l, size_t(3))] * factors[b]));
        CHECK(sigma[1] == Approx(options.sigma_y[std::min(l, size_t(3))] * factors[b]));
      }
    }
  }
}

TEST_CASE("with follow 1 a track twice as large has its map twice as large", "[gaze]") {
  const Track small = track_of({{0.45, 0.47, 200, 0}, {0.55, 0.5, 150, 0}, {0.5, 0.56, 250, 0}, {0.46, 0.5, 90, 0}});
  Track large = small;
  for (Fixation& f : large.fixations) f.x = 0.5 + 2 * (f.x - 0.5), f.y = 0.5 + 2 * (f.y - 0.5);
  MapOptions options;
  options.spread_exponent = 1;
  const auto maps_of = [&](const Track& track, int64_t n) {
    return track_maps(pack_tracks({&track}, options, DType::f64), options, std::vector<MapSize>(5, MapSize{n, n}));
  };
  const int64_t n = 16;
  const Tensors inner = maps_of(small, 2 * n), whole = maps_of(large, n);
  for (size_t l = 0; l < 5; ++l)
    for (int64_t v = 0; v < n; ++v)
      for (int64_t u = 0; u < n; ++u)  // the middle of the finer map has the pixels of the coarser
        CHECK(inner[l].data<double>()[(v + n / 2) * 2 * n + u + n / 2] ==
              Approx(whole[l].data<double>()[v * n + u]).margin(1e-12));
}

TEST_CASE("maps are what the formula says", "[gaze]") {
  const Track a = track_of({{0.2, 0.3, 100, 0}, {0.7, 0.4, 200, 200}, {0.5, 0.8, 150, 600}}),
              b = track_of({{0.9, 0.1, 80, 0}});
  MapOptions options;
  options.sigma_x = {0.2, 0.15, 0.1, 0.09};
  options.tau = {0.3, 0.2, 0.1, 0.05};
  const std::vector<MapSize> sizes = {{3, 4}, {5, 5}, {8, 7}, {9, 11}, {6, 6}};
  for (const auto& [mix, follow] : std::vector<std::pair<double, double>>{{0, 0}, {0.3, 0}, {1, 0}, {0.3, 0.7}}) {
    options.mix = mix;
    options.spread_exponent = follow;
    const double factor = std::pow(track_spread(a.fixations) / options.spread, follow);
    const PackedTracks packed = pack_tracks({&a, &b}, options, DType::f64);
    const Tensors maps = track_maps(packed, options, sizes);
    REQUIRE(maps.size() == 5);
    for (size_t l = 0; l < 5; ++l) {
      const size_t level = std::min(l, size_t(3));
      const auto [height, width] = sizes[l];
      REQUIRE(maps[l].shape() == Shape{2, height, width});
      const auto centre = [&](int64_t i, int64_t n) { return (double(i) + 0.5) / double(n); };
      const auto [begin, end] =
          l < 4 ? truncate(a.fixations, options.keep[l], options) : std::pair{int64_t(0), int64_t(3)};
      std::vector<double> splat, path;
      for (int64_t i = 0; i < height * width; ++i) {
        const double x = centre(i % width, width), y = centre(i / width, height);
        double s = 0, d = 1e9;
        for (int64_t k = begin; k < end; ++k) {
          const Fixation &f = a.fixations[size_t(k)], &g = a.fixations[size_t(std::min(k + 1, end - 1))];
          s += f.duration * std::exp(-0.5 * (std::pow((x - f.x) / (options.sigma_x[level] * factor), 2) +
                                             std::pow((y - f.y) / (options.sigma_y[level] * factor), 2)));
          for (int64_t j = 0; j <= 2000; ++j) {  // along the path
            const double t = double(j) / 2000;
            d = std::min(d, std::hypot(x - f.x - t * (g.x - f.x), y - f.y - t * (g.y - f.y)));
          }
        }
        splat.push_back(s);
        path.push_back(std::exp(-0.5 * std::pow(d / (options.tau[level] * factor), 2)));
      }
      const double most = *std::max_element(splat.begin(), splat.end());
      for (size_t i = 0; i < splat.size(); ++i)
        CHECK(maps[l].data<double>()[i] == Approx(mix * splat[i] / most + (1 - mix) * path[i]).margin(1e-5));
    }
  }
  CHECK_THROWS_AS(track_maps(pack_tracks({&a}, options), options, {{2, 2}}), Error);
}

TEST_CASE("the heat map is a filtered, normalised sum of durations", "[gaze]") {
  // Filtering by hand: a kernel cut at 4 sigma, the canvas continued by its mirror image.
  const double sigma = 70;
  const Track track = track_of({{0.05, 0.5, 100, 0}, {0.6, 0.97, 250, 200}, {1, 0, 70, 500}});
  const auto filtered = [&](double at, int64_t pixel) {
    const int64_t source = std::min<int64_t>(767, int64_t(at * 768));
    double weight = 0, total = 0;
    for (int64_t k = -280; k <= 280; ++k) {
      int64_t from = pixel + k;
      if (from < 0) from = -1 - from;
      if (from > 767) from = 2 * 768 - 1 - from;
      const double g = std::exp(-0.5 * double(k * k) / (sigma * sigma));
      total += g;
      weight += from == source ? g : 0;
    }
    return weight / total;
  };
  std::vector<double> expected(768 * 768, 0.0);
  for (const Fixation& f : track.fixations) {
    std::vector<double> across, down;
    for (int64_t i = 0; i < 768; ++i) {
      across.push_back(filtered(f.x, i));
      down.push_back(filtered(f.y, i));
    }
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += f.duration * down[i / 768] * across[i % 768];
  }
  const auto [least, most] = std::minmax_element(expected.begin(), expected.end());
  const double lo = *least, range = *most - *least;
  const Tensor heat = heat_map(track, 768, 768, sigma);
  REQUIRE(heat.shape() == Shape{768, 768});
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i)
    worst = std::max(worst, std::fabs(double(heat.data<float>()[i]) - (expected[i] - lo) / range));
  CHECK(worst < 1e-5);

  CHECK(heat_map(track, 31, 47).shape() == Shape{31, 47});
  CHECK_THROWS_AS(heat_map(track_of({}), 8, 8), Error);
}

// ---- Simulator ------------------------------------------------------------------------------------------------------

TEST_CASE("a simulated track is set by seed, name and mask", "[gaze]") {
  const Image mask = disc(96, 0.6, 0.4, 0.2);
  const Track track = simulate_track(mask, "a", 1);
  CHECK(same(track, simulate_track(mask, "a", 1)));
  CHECK_FALSE(same(track, simulate_track(mask, "b", 1)));
  CHECK_FALSE(same(track, simulate_track(mask, "a", 2)));
  CHECK_THROWS_AS(simulate_track(Image(8, 8, 1), "a", 1), Error);
}

TEST_CASE("simulated tracks keep to the protocol, whatever the mask", "[gaze]") {
  std::vector<Image> masks = {disc(1, 0.5, 0.5, 1), disc(50, 0.02, 0.98, 0.05), disc(64, 0.5, 0.5, 2),
                              disc(31, 0.3, 0.7, 0.25)};
  masks.push_back(disc(64, 0.2, 0.2, 0.1));
  for (size_t i = 0; i < masks.back().pixels.size(); ++i) masks.back().pixels[i] |= disc(64, 0.8, 0.8, 0.15).pixels[i];
  for (const Image& mask : masks)
    for (int64_t seed = 0; seed < 20; ++seed) {
      const Track track = simulate_track(mask, "m", uint64_t(seed));
      CHECK((track.fixations.size() >= 5 && track.fixations.size() <= 99));
      double end = 0;
      for (const Fixation& f : track.fixations) {
        CHECK((f.x >= 0 && f.x <= 1 && f.y >= 0 && f.y <= 1));
        CHECK(f.duration >= 50);
        CHECK(f.start > end);
        end = f.start + f.duration;
      }
      const Fixation& first = track.fixations[0];
      CHECK(std::hypot(first.x - 0.5, first.y - 0.5) < 0.6);
    }
}

TEST_CASE("statistics are computed alike with any number of threads, and tabled as simulated", "[gaze]") {
  std::vector<Image> masks;
  std::vector<Track> tracks;
  for (int64_t i = 0; i < 12; ++i) {
    masks.push_back(disc(64, 0.3 + 0.03 * double(i), 0.5, 0.1 + 0.01 * double(i)));
    tracks.push_back(simulate_track(masks.back(), str_cat("m", i), 3));
  }
  const int threads = num_threads();
  const std::string table = statistics_table(gaze_statistics(tracks, masks));
  set_num_threads(1);
  CHECK(statistics_table(gaze_statistics(tracks, masks)) == table);
  set_num_threads(threads);
  CHECK(table.starts_with("simulated gaze"));
  CHECK_THROWS_AS(gaze_statistics(tracks, {}), Error);
}

// ---- Real data, where it is at hand ---------------------------------------------------------------------------------

TEST_CASE("published gaze and simulated gaze show the published statistics", "[gaze][data]") {
  const char* data = std::getenv("GRADTRACK_DATA");
  if (data == nullptr) {
    WARN("skipped: GRADTRACK_DATA does not name a folder with real-gaze/ and kvasir-seg/");
    return;
  }
  const std::string root = data;
  // The two published sequences: Dice of the raw heat map at 0.3 and 0.5, and share inside, as computed elsewhere.
  const Gaze gaze = read_gaze(root + "/real-gaze/kvasir_samples.csv");
  REQUIRE(gaze.tracks.size() == 2);
  const double dice_30[] = {0.853, 0.691}, dice_50[] = {0.776, 0.793}, inside[] = {0.949, 0.829};
  size_t i = 0;
  for (const auto& [name, track] : gaze.tracks) {
    const GazeStatistics s = gaze_statistics({track}, {read_image(root + "/real-gaze/" + name + "_mask.jpg", 1)});
    CHECK(s.heat_dice_30 == Approx(dice_30[i]).margin(0.0015));
    CHECK(s.heat_dice_50 == Approx(dice_50[i]).margin(0.0015));
    CHECK(s.inside_mean == Approx(inside[i]).margin(0.0006));
    ++i;
  }

  std::vector<std::string> names;
  for (const char* split : {"train", "val"}) {
    std::istringstream lines(read_file(root + "/kvasir-seg/" + split + ".txt"));
    for (std::string name; lines >> name;) names.push_back(name);
  }
  std::vector<Image> masks;
  std::vector<Track> tracks;
  for (const std::string& name : names) {
    masks.push_back(read_image(root + "/kvasir-seg/masks/" + name + ".jpg", 1));
    tracks.push_back(simulate_track(masks.back(), name, 1));
  }
  const GazeStatistics s = gaze_statistics(tracks, masks);
  INFO(statistics_table(s));
  CHECK(s.fixations_min >= 5);
  CHECK(s.fixations_max <= 99);
  CHECK(s.inside_mean == Approx(0.85).margin(0.02));
  CHECK(s.inside_median == Approx(0.90).margin(0.02));
  CHECK(s.offset_sd_x == Approx(0.029).margin(0.004));
  CHECK(s.offset_sd_y == Approx(0.036).margin(0.004));
  CHECK(s.offset_length == Approx(0.041).margin(0.004));
  CHECK(s.duration_mean == Approx(302).margin(10));
  CHECK(s.duration_median == Approx(285).margin(10));
  CHECK(s.duration_sd == Approx(114).margin(10));
  CHECK(s.trial_seconds == Approx(8.8).margin(0.5));
  CHECK(s.heat_dice_50 == Approx(0.745).margin(0.02));
  CHECK((s.heat_dice_30 > 0.73 && s.heat_dice_30 < 0.80));
}
