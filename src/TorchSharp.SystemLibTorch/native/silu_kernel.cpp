// x / (1 + e^-x) and its derivative, element by element.

#include "kernels.h"
#include "vector.h"

namespace {

// 2^-126 stands for all that is smaller.
inline Float sigmoid(Float x) {
    const Float exponent = x * -1.4426950408889634f;
    return 1.0f / (1.0f + powerOfTwo(exponent > 126.0f ? spread(126.0f) : exponent));
}

inline Float value(Float x) { return x * sigmoid(x); }

inline Float slope(Float x) {
    const Float s = sigmoid(x);
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
