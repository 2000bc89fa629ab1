// x / (1 + e^-x) and its derivative, element by element.

#include "kernels.h"
#include "vector.h"

namespace {

// 1 + e^-x, infinite where e^-x is 2^127 and more: a large x of either sign then gives what it gives libtorch, -Inf no number.
inline Float denominator(Float x) {
    const Float exponent = x * -1.4426950408889634f;
    return exponent > 127.0f ? spread(__builtin_inff()) : 1.0f + powerOfTwo(exponent);
}

inline Float value(Float x) { return x / denominator(x); }

inline Float slope(Float x) {
    const Float s = 1.0f / denominator(x);
    return s * (1.0f + x * (1.0f - s));
}

// The rest of a row that is no full vector goes through one, so that every element is computed alike.
template <class Function> void each(const float* x, const float* gradient, float* to, int64_t count, Function&& function) {
    int64_t i = 0;
    for (; i + Lanes <= count; i += Lanes)
        store(to + i, function(load(x + i), gradient ? load(gradient + i) : Float{}));
    if (i == count)
        return;
    float lastX[Lanes] = {}, lastGradient[Lanes] = {}, last[Lanes];
    for (int64_t k = 0; i + k < count; ++k) {
        lastX[k] = x[i + k];
        lastGradient[k] = gradient ? gradient[i + k] : 0.0f;
    }
    store(last, function(load(lastX), load(lastGradient)));
    for (int64_t k = 0; i + k < count; ++k)
        to[i + k] = last[k];
}

void forward(const float* x, float* to, int64_t count) {
    each(x, nullptr, to, count, [](Float from, Float) { return value(from); });
}

void backward(const float* x, const float* gradient, float* to, int64_t count) {
    each(x, gradient, to, count, [](Float from, Float along) { return along * slope(from); });
}

} // namespace

namespace kernels {
extern const SiluKernels VARIANT(silu) = {forward, backward};
}
