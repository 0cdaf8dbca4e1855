#include "core/autograd.h"

#include <atomic>
#include <map>
#include <optional>
#include <ostream>
#include <queue>
#include <set>
#include <utility>

#include "core/elementwise.h"

namespace gt {

namespace {

/// What a gradient must agree with.
struct Description {
  Shape shape;
  DType dtype;
  Device device;

  explicit Description(const Tensor& t) : shape(t.shape()), dtype(t.dtype()), device(t.device()) {}
  bool operator==(const Description&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Description& d) {
  return out << d.dtype << d.shape << " on " << d.device;
}

}  // namespace

/// Where the gradient of a tensor goes: to the node that computed it, or to a leaf. Neither, if it needs none.
struct Edge {
  std::optional<Description> of;  // none for an undefined tensor
  std::shared_ptr<Node> node = nullptr;
  int output = 0;  // index among the node's outputs
  Tensor leaf{};

  bool requires_grad() const { return node != nullptr || leaf.requires_grad(); }
};

struct Node {
  uint64_t id;
  const char* name;
  size_t outputs;
  std::vector<Edge> inputs;
  Backward backward;
  Tensors grads = Tensors(outputs);  // of the outputs, summed so far
  bool queued = false;

  ~Node();
};

/// How to compute the elements of a tensor again.
struct Recomputation {
  std::function<Tensor()> compute;
  std::weak_ptr<Buffer> elements;  // of the last time, while anybody has them
};

namespace {

thread_local bool recording = true;
thread_local Trace* current_trace = nullptr;
std::atomic<uint64_t> last_id{0};

}  // namespace

/// Access of the engine to the private members of Tensor.
struct Autograd {
  static Edge edge(const Tensor& t) {
    if (!t.defined()) return {};
    Edge edge{Description(t)};
    if (t.impl_->node != nullptr)
      edge.node = t.impl_->node, edge.output = t.impl_->output;
    else if (t.requires_grad())
      edge.leaf = t;
    return edge;
  }

  static void attach(const Tensor& t, std::shared_ptr<Node> node, int output) {
    t.impl_->requires_grad = true;
    t.impl_->node = std::move(node);
    t.impl_->output = output;
  }

  static std::shared_ptr<Recomputation> recomputation(const Tensor& t) { return t.impl_->recomputation; }

  static void set_recomputation(const Tensor& t, std::function<Tensor()> compute) {
    t.impl_->recomputation =
        std::make_shared<Recomputation>(Recomputation{std::move(compute), std::weak_ptr(t.impl_->buffer)});
  }

  /// The tensor of a recomputation, which has this shape and type.
  static Tensor elements(Recomputation& r, const Shape& shape, DType dtype, Device device) {
    Tensor t;
    if (std::shared_ptr<Buffer> present = r.elements.lock()) {
      t.impl_ = std::make_shared<Tensor::Impl>(shape, dtype, device, std::move(present));
      return t;
    }
    t = r.compute();
    GT_CHECK(t.shape() == shape && t.dtype() == dtype && t.device() == device, "a saved tensor was computed again as ",
             t.dtype(), t.shape(), ", expected ", dtype, shape);
    r.elements = t.impl_->buffer;
    return t;
  }

  /// slot += dx. Copies the slot first if another tensor shares its buffer.
  static void add(Tensor& slot, const Tensor& dx) {
    if (!slot.defined()) {
      slot = dx.detach();
      return;
    }
    if (!slot.sole_owner()) slot = slot.clone();
    add_elements(slot, dx);
  }

  static void add_to_leaf(const Tensor& leaf, const Tensor& dx) {
    Tensor slot;
    slot.impl_ = std::move(leaf.impl_->grad);
    add(slot, dx);
    leaf.impl_->grad = std::move(slot.impl_);
  }
};

// Freeing the last node of a long chain must not recurse through the destructors of the nodes before it. The outermost
// destructor collects the edges of the inner ones and frees them in a loop.
Node::~Node() {
  static thread_local std::vector<Edge>* pending = nullptr;
  if (pending != nullptr) {
    for (Edge& edge : inputs) pending->push_back(std::move(edge));
    return;
  }
  std::vector<Edge> collected = std::move(inputs);
  pending = &collected;
  while (!collected.empty()) {
    const Edge last = std::move(collected.back());
    collected.pop_back();
  }
  pending = nullptr;
}

Saved::Saved(const Tensor& t)
    : shape_(t.shape()), dtype_(t.dtype()), device_(t.device()), recomputation_(Autograd::recomputation(t)) {
  if (recomputation_ == nullptr) elements_ = t.detach();
}

Tensor Saved::get() const {
  return recomputation_ == nullptr ? elements_ : Autograd::elements(*recomputation_, shape_, dtype_, device_);
}

void recompute_in_backward(const Tensor& t, std::function<Tensor()> compute) {
  Autograd::set_recomputation(t, std::move(compute));
}

bool will_record(const Tensors& inputs) {
  if (!recording) return false;
  for (const Tensor& t : inputs)
    if (t.requires_grad()) return true;
  return false;
}

Tensors record(const OpCall& call, Tensors outputs, Tensors inputs, Backward backward) {
  if (current_trace != nullptr) current_trace->ops_.push_back({call.name, call.attributes, inputs, outputs});
  if (!will_record(inputs)) return outputs;
  std::vector<Edge> edges;
  for (const Tensor& x : inputs) edges.push_back(Autograd::edge(x));
  const auto node =
      std::shared_ptr<Node>(new Node{++last_id, call.name, outputs.size(), std::move(edges), std::move(backward)});
  for (size_t i = 0; i < outputs.size(); ++i) Autograd::attach(outputs[i], node, int(i));
  return outputs;
}

Tensor record(const OpCall& call, Tensor output, Tensors inputs, std::function<Tensors(const Tensor&)> backward) {
  if (current_trace == nullptr && !will_record(inputs)) return output;
  return record(call, Tensors{std::move(output)}, std::move(inputs),
                Backward([backward = std::move(backward)](const Tensors& dy) { return backward(dy[0]); }))[0];
}

double TracedOp::attribute(const std::string& key) const {
  for (const auto& [name_of_number, number] : attributes)
    if (name_of_number == key) return number;
  fail(name, ": the op has no attribute '", key, "'");
}

Trace::Trace() {
  GT_CHECK(current_trace == nullptr, "Trace: this thread has one");
  current_trace = this;
}

Trace::~Trace() { current_trace = nullptr; }

namespace {

/// The leaves of a graph, and the number of their uses whose gradients are still to come.
class PendingLeaves {
 public:
  explicit PendingLeaves(const Edge& start) {
    std::set<const Node*> seen;
    std::vector<const Edge*> pending{&start};
    while (!pending.empty()) {
      const Edge& edge = *pending.back();
      pending.pop_back();
      if (edge.leaf.requires_grad()) add(edge.leaf);
      if (edge.node == nullptr || !seen.insert(edge.node.get()).second) continue;
      for (const Edge& input : edge.node->inputs) pending.push_back(&input);
    }
  }

  /// One gradient of the leaf came, or will not. Returns whether it was the last one.
  bool take(const Tensor& leaf) { return --leaves_[places_.at(leaf.raw())].second == 0; }

  /// The leaves whose gradients are still to come, in the order of the graph.
  Tensors left() const {
    Tensors left;
    for (const auto& [leaf, uses] : leaves_)
      if (uses > 0) left.push_back(leaf);
    return left;
  }

 private:
  void add(const Tensor& leaf) {
    const auto [at, is_new] = places_.emplace(leaf.raw(), leaves_.size());
    if (is_new) leaves_.emplace_back(leaf, 0);
    ++leaves_[at->second].second;
  }

  std::vector<std::pair<Tensor, int>> leaves_;
  std::map<const void*, size_t> places_;  // by the elements' address
};

}  // namespace

void backward(const Tensor& output, const Tensor& seed, const std::function<void(const Tensor&)>& complete) {
  GT_CHECK(output.requires_grad(), "backward: the output does not depend on a tensor that requires a gradient");
  GT_CHECK(seed.defined() || output.size() == 1, "backward: an output of shape ", output.shape(), " needs a seed");
  const auto older = [](const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) { return a->id < b->id; };
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, decltype(older)> ready(older);

  const auto accumulate = [&](const Edge& to, const Tensor& dx, const char* from) {
    GT_CHECK(Description(dx) == *to.of, from, ": gradient is ", Description(dx), ", expected ", *to.of);
    if (to.node == nullptr) return Autograd::add_to_leaf(to.leaf, dx);
    Node& node = *to.node;
    GT_CHECK(node.backward != nullptr, "backward: the graph through op '", node.name, "' has been used");
    Autograd::add(node.grads[size_t(to.output)], dx);
    if (!node.queued) ready.push(to.node);
    node.queued = true;
  };

  accumulate(Autograd::edge(output),
             seed.defined() ? seed : Tensor::full(output.shape(), 1, output.dtype(), output.device()), "backward");
  const NoGrad no_grad;
  std::optional<PendingLeaves> leaves;
  if (complete) leaves.emplace(Autograd::edge(output));
  const auto step = [&](const Node& node, const Tensors& grads) {
    GT_CHECK(grads.size() == node.inputs.size(), node.name, ": expected ", node.inputs.size(),
             " gradients, one per input, got ", grads.size());
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!node.inputs[i].requires_grad()) continue;
      if (grads[i].defined()) accumulate(node.inputs[i], grads[i], node.name);
      const Tensor& leaf = node.inputs[i].leaf;
      if (leaves && leaf.defined() && leaves->take(leaf)) complete(leaf);
    }
  };
  try {
    while (!ready.empty()) {
      const std::shared_ptr<Node> node = ready.top();
      ready.pop();
      step(*node, std::exchange(node->backward, nullptr)(std::exchange(node->grads, {})));
      node->inputs.clear();
    }
  } catch (...) {
    for (; !ready.empty(); ready.pop()) ready.top()->backward = nullptr;  // their gradients are incomplete
    throw;
  }
  if (!leaves) return;
  for (const Tensor& leaf : leaves->left()) complete(leaf);
}

NoGrad::NoGrad() : before_(std::exchange(recording, false)) {}
NoGrad::~NoGrad() { recording = before_; }

}  // namespace gt
