// The random number generator: published test vectors, and moments of the distributions.
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "core/random.h"
#include "tests/catch.h"

using namespace gt;

namespace {

std::vector<uint32_t> philox_of(std::vector<uint32_t> counter, uint32_t key0, uint32_t key1) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  philox(c, key0, key1);
  return {c, c + 4};
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0;
};

template <class Draw>
Moments moments(Draw&& draw, int n = 400000) {
  std::vector<double> x(static_cast<size_t>(n));
  for (double& v : x) v = draw();
  Moments m;
  for (const double v : x) m.mean += v / n;
  for (const double v : x) m.variance += (v - m.mean) * (v - m.mean) / n;
  for (const double v : x) m.skewness += std::pow((v - m.mean) / std::sqrt(m.variance), 3) / n;
  return m;
}

}  // namespace

TEST_CASE("random: Philox4x32-10 gives the known answers of the Random123 distribution", "[random]") {
  using Words = std::vector<uint32_t>;
  const uint32_t ff = 0xFFFFFFFF;
  CHECK(philox_of({0, 0, 0, 0}, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox_of({ff, ff, ff, ff}, ff, ff) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox_of({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: a stream is the sequence of Philox blocks for its key", "[random]") {
  Random random((uint64_t(2) << 32) | 1, (uint64_t(5) << 32) | 4, 3);
  for (uint32_t block = 0; block < 3; ++block)
    for (const uint32_t word : philox_of({block, 3, 4, 5}, 1, 2)) CHECK(random.bits() == word);
}

TEST_CASE("random: hash64() gives the known answers of FNV-1a", "[random]") {
  CHECK(hash64("") == 0xcbf29ce484222325u);
  CHECK(hash64("a") == 0xaf63dc4c8601ec8cu);
  CHECK(hash64("foobar") == 0x85944171f73967e8u);
}

TEST_CASE("random: a stream repeats for its key, and streams of other keys share no word with it", "[random]") {
  const auto draw = [](Random random) {
    std::vector<uint32_t> words(64);
    std::generate(words.begin(), words.end(), [&] { return random.bits(); });
    return words;
  };
  const std::vector<uint32_t> first = draw(Random(1, 2, 3));
  CHECK(draw(Random(1, 2, 3)) == first);
  std::set<uint32_t> seen(first.begin(), first.end());
  size_t count = first.size();
  const uint64_t high = uint64_t(1) << 32;
  for (const Random& other : {Random(1, 2, 4), Random(1, 3, 3), Random(2, 2, 3), Random(1 + high, 2, 3),
                              Random(1, 2 + high, 3), Random(2, 1, 3), Random(3, 2, 1)}) {
    const std::vector<uint32_t> words = draw(other);
    seen.insert(words.begin(), words.end());
    count += words.size();
  }
  CHECK(seen.size() == count);  // 512 words: two of them are equal with probability 3e-5; the keys are fixed
}

TEST_CASE("random: neighbouring streams are not correlated", "[random]") {
  const int n = 4000;
  double sum = 0;
  for (uint64_t stream = 0; stream < 50; ++stream) {
    Random a(7, stream), b(7, stream + 1);
    for (int i = 0; i < n; ++i) sum += (a.uniform() - 0.5) * (b.uniform() - 0.5) * 12;
  }
  CHECK(std::fabs(sum / (50 * n)) < 5 / std::sqrt(50.0 * n));
}

TEST_CASE("random: uniform() has its range and moments", "[random]") {
  Random random(1);
  double lo = 1, hi = 0;
  const Moments m = moments([&] {
    const double u = random.uniform();
    lo = std::min(lo, u);
    hi = std::max(hi, u);
    return u;
  });
  CHECK(lo >= 0);
  CHECK(hi < 1);
  CHECK(lo < 1e-4);
  CHECK(hi > 1 - 1e-4);
  CHECK(m.mean == Approx(0.5).margin(0.003));
  CHECK(m.variance == Approx(1.0 / 12).margin(0.001));
  CHECK(m.skewness == Approx(0).margin(0.015));
  const Moments shifted = moments([&] { return random.uniform(-3, 5); });
  CHECK(shifted.mean == Approx(1).margin(0.02));
  CHECK(shifted.variance == Approx(64.0 / 12).margin(0.05));
}

TEST_CASE("random: normal() has its moments and tails", "[random]") {
  Random random(2);
  int within1 = 0, beyond3 = 0;
  const int n = 400000;
  const Moments m = moments(
      [&] {
        const double x = random.normal();
        within1 += std::fabs(x) < 1;
        beyond3 += std::fabs(x) > 3;
        return x;
      },
      n);
  CHECK(m.mean == Approx(0).margin(0.01));
  CHECK(m.variance == Approx(1).margin(0.015));
  CHECK(m.skewness == Approx(0).margin(0.03));
  CHECK(double(within1) / n == Approx(0.682689).margin(0.005));
  CHECK(double(beyond3) / n == Approx(0.0026998).margin(0.0005));
}

TEST_CASE("random: the mean and the variance of gamma(shape) are the shape", "[random]") {
  for (const double shape : {1.0, 1.7, 4.0, 50.0}) {
    Random random(3, uint64_t(shape * 10));
    double lowest = 1e9;
    const Moments m = moments([&] {
      const double x = random.gamma(shape);
      lowest = std::min(lowest, x);
      return x;
    });
    INFO("shape " << shape);
    CHECK(lowest > 0);
    CHECK(m.mean == Approx(shape).epsilon(0.01));
    CHECK(m.variance == Approx(shape).epsilon(0.025));
    CHECK(m.skewness == Approx(2 / std::sqrt(shape)).margin(0.08));
  }
}

TEST_CASE("random: below(n) gives every integer below n with equal probability", "[random]") {
  Random random(4);
  for (const int64_t n : {1, 2, 7, 100}) {
    std::vector<int> hits(static_cast<size_t>(n), 0);
    for (int64_t i = 0; i < 10000 * n; ++i) ++hits.at(size_t(random.below(n)));
    for (const int h : hits) CHECK(std::abs(h - 10000) < 600);
  }
  const int64_t large = int64_t(1) << 50;
  int64_t lo = large, hi = 0;
  for (int i = 0; i < 1000; ++i) {
    const int64_t k = random.below(large);
    lo = std::min(lo, k);
    hi = std::max(hi, k);
  }
  CHECK((lo >= 0 && lo < large / 100));
  CHECK((hi < large && hi > large / 100 * 99));
}

TEST_CASE("random: chance(p) is true with probability p", "[random]") {
  Random random(5);
  int never = 0, sometimes = 0, always = 0;
  for (int i = 0; i < 100000; ++i) {
    never += random.chance(0);
    sometimes += random.chance(0.3);
    always += random.chance(1);
  }
  CHECK(never == 0);
  CHECK(sometimes == Approx(30000).margin(800));
  CHECK(always == 100000);
}
