// The gradient check itself: what it must find. And `gradtrack gradcheck` with its files.
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/autograd.h"
#include "core/safetensors.h"
#include "kernels/cases/check_op.h"
#include "tests/program.h"

using namespace gt;

namespace {

Tensor parameter(const std::vector<double>& values) {
  Tensor x({int64_t(values.size())}, DType::f64);
  std::copy(values.begin(), values.end(), x.data<double>());
  return x.set_requires_grad(), x;
}

// The function x^2, whose backward multiplies its gradient by factor().
Tensors square(const Tensor& x, const std::function<double()>& factor) {
  Tensor y(x.shape(), DType::f64);
  for (int64_t i = 0; i < x.size(); ++i) y.data<double>()[i] = std::pow(x.data<double>()[i], 2);
  return {record("square", y, {x}, [x = x.detach(), factor](const Tensor& dy) -> Tensors {
    const double by = factor();
    Tensor dx(x.shape(), DType::f64);
    for (int64_t i = 0; i < x.size(); ++i) dx.data<double>()[i] = 2 * by * x.data<double>()[i] * dy.data<double>()[i];
    return {dx};
  })};
}

GradCheck check(const std::function<Tensors(const Tensors&)>& op, const Tensor& x, bool directional) {
  return check_gradients(op, {x}, Random(1), {.steps = {1e-3, 1e-4, 1e-5, 1e-6}, .directional = directional});
}

}  // namespace

TEST_CASE("gradcheck: a gradient that is wrong by 1e-5 is found", "[gradcheck]") {
  for (const bool directional : {false, true})
    for (const double factor : {1.0, 1 + 1e-5}) {
      const GradCheck result = check([&](const Tensors& x) { return square(x[0], [&] { return factor; }); },
                                     parameter({0.3, -1.2, 2}), directional);
      INFO(directional << " " << result.where);
      CHECK(result.elements == (directional ? 1 : 3));
      CHECK((result.worst < 1e-6) == (factor == 1));
      CHECK(result.differing == "");
      CHECK(result.kink == 0);
    }
}

TEST_CASE("gradcheck: gradients that differ from run to run have their own finding", "[gradcheck]") {
  double factor = 1;
  const auto op = [&](const Tensors& x) { return square(x[0], [&] { return factor += 1e-15; }); };
  const GradCheck result = check(op, parameter({0.3, -1.2}), false);
  CHECK(result.worst < 1e-6);
  CHECK(result.differing.find("input 0") == 0);
}

TEST_CASE("gradcheck: the distance to a kink is reported, and a kink is no error", "[gradcheck]") {
  const auto op = [](const Tensors& x) { return Tensors{leaky_relu(x[0], 0.1)}; };
  for (const bool directional : {false, true}) {
    const GradCheck near = check(op, parameter({1, 5e-5}), directional);
    CHECK(near.worst < 1e-6);
    CHECK(near.kink >= 1e-4);  // seen by differences over up to 2e-4 or 2e-3
    CHECK(near.kink <= 2e-3);
    CHECK(check(op, parameter({1, 0.5}), directional).kink == 0);
  }
}

TEST_CASE("gradcheck: results are written as JSON and JUnit, also if they fail", "[gradcheck]") {
  const TempFolder tmp;
  const auto worst = [&](int seed) {
    const Result r = run("gradcheck --op sigmoid --json " + tmp / "g.json" + " --seed " + std::to_string(seed));
    REQUIRE(r.status == 0);
    return nlohmann::json::parse(read_file(tmp / "g.json"))["rows"][0]["worst"].get<double>();
  };
  const double a = worst(0), b = worst(1);
  REQUIRE(a != b);
  const std::string both = "gradcheck --op sigmoid --json " + tmp / "g.json" + " --junit " + tmp / "g.xml";

  REQUIRE(run(both + " --repeat 2 --fast").status == 0);
  const auto passed = nlohmann::json::parse(read_file(tmp / "g.json"));
  CHECK(passed["failed"] == 0);
  CHECK(passed["rows"][0]["verdict"] == "ok");
  CHECK(passed["rows"][0]["runs"] == 2);
  CHECK(has(read_file(tmp / "g.xml"), "<testsuite name=\"gradcheck\" tests=\"1\" failures=\"0\""));

  const std::string between = std::to_string(0.5 * (a + b) * 1e15);
  const Result flaky = run(both + " --repeat 2 --limit " + between + "e-15");
  CHECK(flaky.status == 1);
  CHECK(has(flaky.out, "FLAKY: 1 of 2 seeds, input 0"));
  CHECK(nlohmann::json::parse(read_file(tmp / "g.json"))["rows"][0]["flake_rate"] == 0.5);

  check_error(both + " --limit 1e-15 --step 1e-1", {"1 of 1 gradients differ from finite differences"});
  const auto failed = nlohmann::json::parse(read_file(tmp / "g.json"));
  CHECK(failed["rows"][0]["verdict"] == "FAILED");
  CHECK(failed["steps"] == nlohmann::json::parse("[0.1]"));
  CHECK(has(read_file(tmp / "g.xml"), "failures=\"1\""));
  CHECK(has(read_file(tmp / "g.xml"), "<failure type=\"FAILED\" message=\"input 0"));
  for (const char* wrong : {"--step 0", "--limit x", "--repeat 0", "--diff a", "--dump a --diff a b"}) {
    INFO(wrong);
    CHECK(run(std::string("gradcheck ") + wrong).status == 2);
  }
}

TEST_CASE("gradcheck: gradients are dumped and compared, worst first", "[gradcheck]") {
  const TempFolder tmp;
  const std::string dump = "gradcheck --op 'network full' --dump ";
  REQUIRE(run(dump + tmp / "a").status == 0);
  REQUIRE(run(dump + tmp / "b").status == 0);
  const std::string diff = "gradcheck --diff " + tmp / "a" + " " + tmp / "b";
  const Result same = run(diff);
  INFO(same.err);
  CHECK(same.status == 0);
  CHECK(has(same.out, " 0 differ by more than 1e-06"));

  SafeTensors file = read_safetensors(tmp / "b/gradients.safetensors");
  REQUIRE(file.tensors.size() > 10);
  Tensor changed = file.tensors[7].second;
  changed.data<double>()[0] += 1e-3 * largest(changed);
  file.metadata.clear();
  write_safetensors(tmp / "b/gradients.safetensors", file);
  const Result other = run(diff);
  CHECK(other.status == 1);
  CHECK(has(other.out, " 1 differ by more than 1e-06"));
  const size_t first = other.out.find('\n') + 1;
  CHECK(has(other.out.substr(first, other.out.find('\n', first) - first), file.tensors[7].first));
  CHECK(run(diff + " --limit 0.1").status == 0);

  file.tensors.pop_back();
  write_safetensors(tmp / "b/gradients.safetensors", file);
  check_error(diff, {"b/gradients.safetensors: expected the gradient 'network full", "which"});
  check_error("gradcheck --diff " + tmp / "a" + " " + tmp / "none", {"none/gradients.safetensors"});
}
