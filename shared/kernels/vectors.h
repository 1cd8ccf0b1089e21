// What a processor takes at once, and what is computed with it.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
constexpr int LANES = 16;  // floats that the processor takes at once
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline Vector load(const float *from) { return *reinterpret_cast<const Vector *>(from); }

static inline void store(float *to, Vector vector) { *reinterpret_cast<Vector *>(to) = vector; }

// e^x within 2 units of the last place (Cephes' expf): a loop over it becomes vectors, which the library's does not.
static inline float exponential(float x) {
    x = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
    const float whole = std::floor(x * 1.44269504f + 0.5f), rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    float power = 1.9875691500e-4f;
    power = power * rest + 1.3981999507e-3f;
    power = power * rest + 8.3334519073e-3f;
    power = power * rest + 4.1665795894e-2f;
    power = power * rest + 1.6666665459e-1f;
    power = power * rest + 5.0000001201e-1f;
    power = power * rest * rest + rest + 1.f;
    const int32_t bits = (static_cast<int32_t>(whole) + 127) << 23;
    float two;  // to the power of `whole`
    std::memcpy(&two, &bits, sizeof two);
    return power * two;
}

// `work(n)` for every n below `count`.
template <class Work>
static void spread(int64_t count, int64_t threads, Work work) {
    if (threads > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int64_t n = 0; n < count; n++) work(n);
    } else {  // without what OpenMP does for one thread
        for (int64_t n = 0; n < count; n++) work(n);
    }
}
