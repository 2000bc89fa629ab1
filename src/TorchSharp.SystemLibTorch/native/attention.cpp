// Scaled dot product attention on the CPU as one node of the graph, for a libtorch that only composes it. The node keeps queries,
// keys, values, the output, and two numbers for each query.

#include "aligned.h"
#include "differentiable.h"
#include "door.h"
#include "kernels.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace {

using kernels::AttentionHead;
using kernels::Matrix;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Below this many tasks a head is cut. Neither depends on the number of threads, so that results do not.
constexpr int64_t FewTasks = 16;
constexpr int64_t LeastQueries = 64;
constexpr int64_t LeastKeys = 256;

kernels::Type typeOf(const at::Tensor& x) {
    return x.scalar_type() == at::kFloat ? kernels::Type::Float
        : x.scalar_type() == at::kBool   ? kernels::Type::Bool
                                         : kernels::Type::BFloat16;
}

// The last two dimensions at a place of the first two.
Matrix at2(const at::Tensor& x, int64_t sample, int64_t head) {
    Matrix matrix;
    if (!x.defined())
        return matrix;
    auto data = static_cast<char*>(x.data_ptr());
    matrix.data = data + (sample * x.stride(0) + head * x.stride(1)) * static_cast<int64_t>(x.itemsize());
    matrix.row = x.stride(2);
    matrix.column = x.stride(3);
    matrix.type = typeOf(x);
    return matrix;
}

struct Arguments {
    at::Tensor query, key, value, mask, output, largest, share;
    bool causal;

    int64_t samples() const { return query.size(0); }
    int64_t heads() const { return query.size(1); }
    int64_t all() const { return samples() * heads(); }

    AttentionHead head(int64_t index) const {
        const auto sample = index / heads(), head = index % heads();
        AttentionHead found{};
        found.query = at2(query, sample, head);
        found.key = at2(key, sample, head);
        found.value = at2(value, sample, head);
        found.output = at2(output, sample, head);
        found.mask = at2(mask, sample, head);
        found.largest = largest.data_ptr<float>() + index * query.size(2);
        found.share = share.data_ptr<float>() + index * query.size(2);
        found.queries = query.size(2);
        found.keys = key.size(2);
        found.width = query.size(3);
        found.valueWidth = value.size(3);
        found.causal = causal;
        return found;
    }
};

// How many pieces of at least so many of a head's rows make enough tasks.
int64_t pieces(int64_t heads, int64_t rows, int64_t least) {
    return heads >= FewTasks ? 1 : std::max<int64_t>(1, std::min((FewTasks + heads - 1) / heads, rows / least));
}

// Laid out as the linear layers around attention have it, [samples, rows, heads, width], so that joining heads moves nothing.
at::Tensor likeTokens(const at::Tensor& x, int64_t width) {
    const auto heads = x.size(1), rows = x.size(2);
    return at::empty_strided({x.size(0), heads, rows, width}, {rows * heads * width, width, heads * width, 1}, x.options());
}

void forward(Arguments& given) {
    const auto queries = given.query.size(2);
    const auto cuts = pieces(given.all(), queries, LeastQueries);
    const auto length = ((queries + cuts - 1) / cuts + LeastQueries - 1) / LeastQueries * LeastQueries;
    const auto& kernel = KERNELS(attention);
    at::parallel_for(0, given.all() * cuts, 1, [&](int64_t begin, int64_t end) {
        Aligned memory;
        for (auto task = begin; task < end; ++task) {
            const auto head = given.head(task / cuts);
            if (!memory)
                memory = aligned(kernel.forwardSpace(head));
            const auto first = task % cuts * length;
            if (first < queries)
                kernel.forward(head, first, std::min(first + length, queries), memory.get());
        }
    });
}

variable_list backward(const Arguments& given, const at::Tensor& gradient) {
    const auto keys = given.key.size(2), cuts = pieces(given.all(), keys, LeastKeys), length = (keys + cuts - 1) / cuts;
    auto keyGradient = likeTokens(given.key, given.key.size(3));
    auto valueGradient = likeTokens(given.value, given.value.size(3));
    // Each piece of keys has queries' gradients of its own, which are added up in order.
    std::vector<at::Tensor> parts;
    for (int64_t cut = 0; cut < cuts; ++cut)
        parts.push_back(cuts == 1 ? likeTokens(given.query, given.query.size(3))
                                  : at::zeros(given.query.sizes(), given.query.options().dtype(at::kFloat)));
    const auto& kernel = KERNELS(attention);
    at::parallel_for(0, given.all() * cuts, 1, [&](int64_t begin, int64_t end) {
        Aligned memory;
        for (auto task = begin; task < end; ++task) {
            const auto index = task / cuts, sample = index / given.heads(), place = index % given.heads();
            auto head = given.head(index);
            if (!memory)
                memory = aligned(kernel.backwardSpace(head, length));
            head.outputGradient = at2(gradient, sample, place);
            head.queryGradient = at2(parts[task % cuts], sample, place);
            head.keyGradient = at2(keyGradient, sample, place);
            head.valueGradient = at2(valueGradient, sample, place);
            const auto first = std::min(task % cuts * length, keys);
            kernel.backward(head, first, std::min(first + length, keys), memory.get());
        }
    });
    auto queryGradient = parts[0];
    for (int64_t cut = 1; cut < cuts; ++cut)
        queryGradient.add_(parts[cut]);
    return {queryGradient.to(given.query.scalar_type()), keyGradient, valueGradient};
}

// The same of operators, where the gradient itself is to be differentiated.
at::Tensor composed(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, at::Tensor mask, bool causal) {
    auto logits = at::matmul(query * (1 / std::sqrt(static_cast<double>(query.size(3)))), key.transpose(-2, -1));
    if (causal)
        mask = at::ones({query.size(2), key.size(2)}, query.options().dtype(at::kBool)).tril();
    if (!mask.defined())
        return at::matmul(at::softmax(logits, -1), value);
    if (mask.scalar_type() != at::kBool)
        return at::matmul(at::softmax(logits + mask, -1), value);
    const auto hidden = mask.logical_not();
    return at::matmul(at::softmax(logits.masked_fill(hidden, -INFINITY), -1).masked_fill(hidden, 0), value);
}

struct Attention : torch::autograd::Function<Attention> {
    // The mask is no variable: it may be undefined, and wants no gradient.
    static at::Tensor forward(
        AutogradContext* context, const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor* mask,
        bool causal) {
        const auto numbers = query.options().dtype(at::kFloat);
        Arguments given{
            query, key, value, *mask, likeTokens(query, value.size(3)), at::empty({query.size(0), query.size(1), query.size(2)}, numbers),
            at::empty({query.size(0), query.size(1), query.size(2)}, numbers), causal};
        ::forward(given);
        context->save_for_backward({query, key, value, *mask, given.output, given.largest, given.share});
        context->saved_data["causal"] = causal;
        return given.output;
    }

    static variable_list backward(AutogradContext* context, variable_list gradients) {
        const auto saved = context->get_saved_variables();
        const auto causal = context->saved_data["causal"].toBool();
        if (!gradients[0].defined())
            return variable_list(5);
        if (c10::GradMode::is_enabled())
            return differentiable::gradients(
                {saved[0], saved[1], saved[2]}, gradients[0], 5,
                [&](const variable_list& x) { return composed(x[0], x[1], x[2], saved[3], causal); });
        auto found = ::backward({saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6], causal}, gradients[0]);
        found.resize(5);
        return found;
    }
};

bool serves(const at::Tensor& x, const at::Tensor& like) {
    return x.device().is_cpu() && x.layout() == at::kStrided && x.dim() == 4 && x.scalar_type() == like.scalar_type()
        && x.size(0) == like.size(0) && x.size(1) == like.size(1) && x.numel() > 0;
}

} // namespace

// Leaves null where it does not serve: other devices, types and ranks, and masks that want gradients.
EXPORT const char* sl_attention(void* query, void* key, void* value, void* mask, int32_t causal, void** result) {
    using namespace door;
    *result = nullptr;
    return guarded([&] {
        const auto q = borrow(query), k = borrow(key), v = borrow(value);
        auto m = borrow(mask);
        if ((q.scalar_type() != at::kFloat && q.scalar_type() != at::kBFloat16) || !serves(q, q) || !serves(k, q) || !serves(v, q)
            || k.size(3) != q.size(3) || v.size(2) != k.size(2))
            return;
        if (m.defined()) {
            if (!m.device().is_cpu() || (m.scalar_type() != at::kBool && m.scalar_type() != q.scalar_type()) || m.dim() > 4
                || (m.requires_grad() && c10::GradMode::is_enabled()))
                return;
            m = m.expand({q.size(0), q.size(1), q.size(2), k.size(2)});
        }
        *result = give(Attention::apply(q, k, v, &m, causal != 0));
    });
}
