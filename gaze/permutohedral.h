// Gaussian filtering of points in D dimensions on the permutohedral lattice, in time linear in the number of points
// (Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010).
//   splat  a point adds its value to the D + 1 vertices of its simplex, by barycentric weights
//   blur   the vertices' values are filtered by [1 2 1] / 4 along each of the lattice's D + 1 directions
//   slice  a point's result is the weighted sum of its vertices' values
// Vertices are the points of Z^(D+1) whose coordinates sum to 0 and are congruent modulo D + 1. Positions are scaled so
// that the three steps together have the variance 1.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/check.h"

namespace gt {

template <int D>
class PermutohedralLattice {
 public:
  using Position = std::array<float, D>;

  /// Positions are in standard deviations of the Gaussian, at most 2^20 from the origin.
  explicit PermutohedralLattice(const std::vector<Position>& positions);

  int64_t points() const { return int64_t(corners_.size()); }
  int64_t vertices() const { return int64_t(keys_.size()) - 1; }

  /// Approximates out_i = c sum_j exp(-|p_i - p_j|^2 / 2) in_j with one constant c. `in` and `out` have one element per
  /// point and may be the same array.
  void filter(const float* in, float* out) const;

 private:
  using Key = std::array<int32_t, D>;  // coordinates of a vertex; the last follows from the others
  struct Corner {
    int32_t vertex;
    float weight;
  };
  struct Simplex {
    std::array<int32_t, D + 1> nearest;   // its vertex with remainder 0
    std::array<int, D + 1> rank;          // of a coordinate, by decreasing difference
    std::array<float, D + 1> difference;  // position minus `nearest`
  };
  struct Neighbours {
    int32_t before, after;
  };

  static uint64_t hash(const Key& key) {
    uint64_t h = 0;
    for (const int32_t k : key) h = (h ^ uint64_t(uint32_t(k))) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 32);
  }

  /// The key's slot in the table, or the free slot for it.
  size_t slot(const Key& key) const {
    const size_t mask = table_.size() - 1;
    size_t at = size_t(hash(key)) & mask;
    while (table_[at] != 0 && keys_[size_t(table_[at])] != key) at = (at + 1) & mask;
    return at;
  }

  int32_t find_or_add(const Key& key);
  void grow();
  static std::array<float, D + 1> elevate(const Position& position);
  static Simplex find_simplex(const std::array<float, D + 1>& elevated);
  void locate(const Position& position, std::array<Corner, D + 1>& corners);
  void link();

  // Vertex 0 stands for all missing vertices; its value is 0.
  std::vector<Key> keys_ = std::vector<Key>(1);
  std::vector<int32_t> table_ = std::vector<int32_t>(1 << 10);  // open addressing, a power of two
  std::vector<std::array<Corner, D + 1>> corners_;              // of each point
  std::array<std::vector<Neighbours>, D + 1> neighbours_;       // of each vertex, along each direction
  Key last_nearest_{};                                          // simplex of the point before
  std::array<int, D + 1> last_rank_{-1};
};

template <int D>
PermutohedralLattice<D>::PermutohedralLattice(const std::vector<Position>& positions) : corners_(positions.size()) {
  for (size_t i = 0; i < positions.size(); ++i) {
    locate(positions[i], corners_[i]);
    if (i + 1 < positions.size()) corners_[i + 1] = corners_[i];  // the next point often lies in this simplex
  }
  link();
}

template <int D>
void PermutohedralLattice<D>::grow() {
  table_.assign(2 * table_.size(), 0);
  for (size_t v = 1; v < keys_.size(); ++v) table_[slot(keys_[v])] = int32_t(v);
}

template <int D>
int32_t PermutohedralLattice<D>::find_or_add(const Key& key) {
  const size_t at = slot(key);
  if (table_[at] != 0) return table_[at];
  const int32_t vertex = int32_t(keys_.size());
  keys_.push_back(key);
  table_[at] = vertex;
  if (2 * keys_.size() > table_.size()) grow();
  return vertex;
}

/// Projects a position onto the hyperplane of D + 1 coordinates that sum to 0.
template <int D>
std::array<float, D + 1> PermutohedralLattice<D>::elevate(const Position& position) {
  const float deviation = std::sqrt(2.0f / 3) * (D + 1);
  std::array<float, D + 1> elevated;
  float sum = 0;
  for (int i = D; i > 0; --i) {
    const float scaled = position[size_t(i - 1)] * (deviation / std::sqrt(float(i * (i + 1))));
    elevated[size_t(i)] = sum - float(i) * scaled;
    sum += scaled;
  }
  elevated[0] = sum;
  return elevated;
}

/// Finds the nearest vertex with remainder 0. It rounds to multiples of D + 1, then corrects the coordinates with the
/// largest rounding errors until the sum is 0.
template <int D>
typename PermutohedralLattice<D>::Simplex PermutohedralLattice<D>::find_simplex(
    const std::array<float, D + 1>& elevated) {
  constexpr int n = D + 1;
  Simplex s;
  s.rank = {};
  int excess = 0;
  for (size_t i = 0; i < n; ++i) {
    const float multiple = elevated[i] / n;
    const int32_t rounded = int32_t(multiple + (multiple < 0 ? -0.5f : 0.5f));
    s.nearest[i] = rounded * n;
    s.difference[i] = elevated[i] - float(s.nearest[i]);
    excess += rounded;
  }
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i + 1; j < n; ++j) {
      const bool less = s.difference[i] < s.difference[j];
      s.rank[i] += less;
      s.rank[j] += !less;
    }
  for (size_t i = 0; i < n; ++i) {
    s.rank[i] += excess;
    const int shift = s.rank[i] < 0 ? n : s.rank[i] >= n ? -n : 0;
    s.rank[i] += shift;
    s.nearest[i] += shift;
    s.difference[i] -= float(shift);
  }
  return s;
}

/// Finds the simplex of a position and its barycentric weights (section 3.2 of the paper). `corners` holds those of the
/// point before.
template <int D>
void PermutohedralLattice<D>::locate(const Position& position, std::array<Corner, D + 1>& corners) {
  constexpr int n = D + 1;
  const auto [nearest, rank, difference] = find_simplex(elevate(position));
  std::array<float, n + 1> barycentric{};
  for (size_t i = 0; i < n; ++i) {
    barycentric[size_t(D - rank[i])] += difference[i] / n;
    barycentric[size_t(n - rank[i])] -= difference[i] / n;
  }
  barycentric[0] += 1 + barycentric[n];

  // Vertex r of the simplex adds r to the n - r coordinates of lowest rank, and r - n to the others.
  Key origin;
  for (size_t i = 0; i < D; ++i) origin[i] = nearest[i];
  const bool same = origin == last_nearest_ && rank == last_rank_;
  for (int r = 0; r < n; ++r) {
    Corner& corner = corners[size_t(r)];
    corner.weight = barycentric[size_t(r)];
    if (same) continue;
    Key key;
    for (size_t i = 0; i < D; ++i) key[i] = origin[i] + (rank[i] < n - r ? r : r - n);
    corner.vertex = find_or_add(key);
  }
  last_nearest_ = origin;
  last_rank_ = rank;
}

/// Finds the neighbours of all vertices. A step along direction j adds D to coordinate j and -1 to the others.
template <int D>
void PermutohedralLattice<D>::link() {
  for (int j = 0; j <= D; ++j) {
    std::vector<Neighbours>& of = neighbours_[size_t(j)];
    of.assign(keys_.size(), {0, 0});
    for (size_t v = 1; v < keys_.size(); ++v) {
      Key key = keys_[v];
      for (int32_t& k : key) --k;
      if (j < D) key[size_t(j)] += D + 1;
      const int32_t after = table_[slot(key)];
      of[v].after = after;
      if (after != 0) of[size_t(after)].before = int32_t(v);
    }
  }
}

template <int D>
void PermutohedralLattice<D>::filter(const float* in, float* out) const {
  std::vector<float> values(keys_.size()), blurred(keys_.size());
  for (size_t i = 0; i < corners_.size(); ++i)
    for (const Corner& c : corners_[i]) values[size_t(c.vertex)] += c.weight * in[i];
  for (const std::vector<Neighbours>& of : neighbours_) {
    for (size_t v = 1; v < values.size(); ++v)
      blurred[v] = 0.5f * values[v] + 0.25f * (values[size_t(of[v].before)] + values[size_t(of[v].after)]);
    values.swap(blurred);
  }
  for (size_t i = 0; i < corners_.size(); ++i) {
    float sum = 0;
    for (const Corner& c : corners_[i]) sum += c.weight * values[size_t(c.vertex)];
    out[i] = sum;
  }
}

}  // namespace gt
