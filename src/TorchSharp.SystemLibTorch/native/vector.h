// Vectors of the processor that a variant is compiled for, and a product of matrices that fit its caches. VARIANT names it.
#pragma once

#include <cstdint>

namespace {

#if defined(__AVX512F__)
constexpr int Lanes = 16;
constexpr int WidestTile = 4; // vectors in a row of a tile; with its rows they fill the registers
#elif defined(__AVX2__)
constexpr int Lanes = 8;
constexpr int WidestTile = 2;
#else
constexpr int Lanes = 4;
constexpr int WidestTile = 2;
#endif

template <int N> struct Vectors {
    typedef float Float __attribute__((vector_size(4 * N)));
    typedef uint32_t Int __attribute__((vector_size(4 * N)));
    typedef float Unaligned __attribute__((vector_size(4 * N), aligned(4), may_alias));
};
using Float = Vectors<Lanes>::Float;
using Int = Vectors<Lanes>::Int;

// Rows of packed matrices are filled up with zeros to a multiple of this.
constexpr int64_t Padding = Lanes < 8 ? Lanes : 8;

constexpr int64_t roundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

template <int N = Lanes> inline typename Vectors<N>::Float load(const float* from) {
    return *reinterpret_cast<const typename Vectors<N>::Unaligned*>(from);
}

template <int N = Lanes> inline void store(float* to, typename Vectors<N>::Float value) {
    *reinterpret_cast<typename Vectors<N>::Unaligned*>(to) = value;
}

inline Float spread(float value) { return value - Float{}; }

inline Float larger(Float a, Float b) { return a > b ? a : b; }

// The sum of all lanes, in an order that does not depend on their number alone: halves are added to halves.
inline float total(Float value) {
    float lanes[Lanes];
    store(lanes, value);
    for (int half = Lanes / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k)
            lanes[k] += lanes[k + half];
    return lanes[0];
}

// 2^x within 2 units in the last place, exact at whole numbers; zero below 2^-126; not a number for what is none. x is at most 127.
inline Float powerOfTwo(Float x) {
    // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits.
    const float magic = 12582912.0f;
    const Float shifted = x + magic;
    const Float f = x - (shifted - magic);
    // The minimax polynomial of relative error on [-1/2, 1/2], 2e-9.
    Float p = f * 0.0001534580223960802f + 0.0013399930903688073f;
    p = p * f + 0.009618489071726799f;
    p = p * f + 0.05550328642129898f;
    p = p * f + 0.24022646248340607f;
    p = p * f + 0.6931471824645996f;
    p = p * f + 1.0f;
    const Float scaled = (Float)((Int)p + ((Int)shifted << 23));
    // The shift takes bits of what is no number for an exponent.
    const Float known = x == x ? scaled : x;
    return x < -126.0f ? Float{} : known;
}

// A tile of c [Rows, Columns * N] = (c +) a b with b [depth, ldb]. The elements of a are apart by 1 from row to row and by stride
// along depth, or the other way around.
template <int N, int Rows, int Columns, bool ByRow, bool Add>
inline void tile(int64_t depth, const float* a, int64_t stride, const float* b, int64_t ldb, float* c, int64_t ldc) {
    typename Vectors<N>::Float sum[Rows][Columns];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < Columns; ++j)
            sum[i][j] = Add ? load<N>(c + i * ldc + j * N) : typename Vectors<N>::Float{};
    for (int64_t k = 0; k < depth; ++k) {
        typename Vectors<N>::Float right[Columns];
#pragma GCC unroll 16
        for (int j = 0; j < Columns; ++j)
            right[j] = load<N>(b + j * N);
#pragma GCC unroll 16
        for (int i = 0; i < Rows; ++i) {
            const float left = a[ByRow ? i * stride : i];
#pragma GCC unroll 16
            for (int j = 0; j < Columns; ++j)
                sum[i][j] += right[j] * left;
        }
        a += ByRow ? 1 : stride;
        b += ldb;
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
        for (int j = 0; j < Columns; ++j)
            store<N>(c + i * ldc + j * N, sum[i][j]);
}

template <int N, int Columns, bool ByRow, bool Add>
void columns(int64_t rows, int64_t depth, const float* a, int64_t stride, const float* b, int64_t ldb, float* c, int64_t ldc) {
    constexpr int Most = Columns == 1 ? 12 : Columns == 2 && WidestTile == 4 ? 12 : 6;
    const int64_t step = ByRow ? stride : 1;
    auto next = [&](int taken) {
        rows -= taken;
        a += taken * step;
        c += taken * ldc;
    };
    for (; rows >= Most; next(Most))
        tile<N, Most, Columns, ByRow, Add>(depth, a, stride, b, ldb, c, ldc);
    for (; rows >= 4; next(4))
        tile<N, 4, Columns, ByRow, Add>(depth, a, stride, b, ldb, c, ldc);
    for (; rows > 0; next(1))
        tile<N, 1, Columns, ByRow, Add>(depth, a, stride, b, ldb, c, ldc);
}

// c [rows, width] = (c +) a b; width is a multiple of Padding.
template <bool ByRow, bool Add>
void multiply(
    int64_t rows, int64_t width, int64_t depth, const float* a, int64_t stride, const float* b, int64_t ldb, float* c, int64_t ldc) {
    int64_t j = 0;
    if constexpr (WidestTile >= 4)
        for (; j + 4 * Lanes <= width; j += 4 * Lanes)
            columns<Lanes, 4, ByRow, Add>(rows, depth, a, stride, b + j, ldb, c + j, ldc);
    for (; j + 2 * Lanes <= width; j += 2 * Lanes)
        columns<Lanes, 2, ByRow, Add>(rows, depth, a, stride, b + j, ldb, c + j, ldc);
    for (; j + Lanes <= width; j += Lanes)
        columns<Lanes, 1, ByRow, Add>(rows, depth, a, stride, b + j, ldb, c + j, ldc);
    for (; j < width; j += Padding)
        columns<Padding, 1, ByRow, Add>(rows, depth, a, stride, b + j, ldb, c + j, ldc);
}

} // namespace
