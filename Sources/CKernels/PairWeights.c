#include "PairWeights.h"

#include <immintrin.h>

#define PAIRS_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define PAIRS_INLINE PAIRS_KERNEL static inline __attribute__((always_inline))

enum { LANES = 16 };

/// 2^x for x ≤ 0 to 1e-4 relative, a fortieth of what bfloat16 keeps; not-a-number stays it.
///
/// x = n + f, |f| ≤ 1/2; 2^f by a polynomial (Lawson fit of the relative error).
PAIRS_INLINE __m512 power_of_two(__m512 x) {
    // Where one of the two is no number, the second is the result.
    x = _mm512_max_ps(_mm512_set1_ps(-126), x);
    // Adding 1.5 · 2^23 rounds to the nearest integer and leaves it in the low bits.
    __m512 magic = _mm512_set1_ps(12582912.0f), shifted = _mm512_add_ps(x, magic);
    __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
    __m512 p = _mm512_set1_ps(0.0551716694f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.242611131f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.693260986f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.999928073f));
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
}

/// Lanes of the vector at `index` that hold scores.
PAIRS_INLINE __mmask16 lanes(long index, long count) {
    long rest = count - index;
    return rest >= LANES ? 0xFFFF : rest <= 0 ? 0 : (__mmask16)((1u << rest) - 1);
}

PAIRS_KERNEL void tessera_weigh_pairs(const float *scores, long count, float factor, float *top,
                                      float *total, float *sums, long width,
                                      unsigned short *weights) {
    __m512 high = _mm512_set1_ps(*top), other = high;
    long i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        high = _mm512_max_ps(high, _mm512_loadu_ps(scores + i));
        other = _mm512_max_ps(other, _mm512_loadu_ps(scores + i + LANES));
    }
    for (; i < count; i += LANES)
        high = _mm512_max_ps(high, _mm512_mask_loadu_ps(high, lanes(i, count), scores + i));
    float best = _mm512_reduce_max_ps(_mm512_max_ps(high, other));

    // e^(factor · (score − best)) = 2^(scale · score − scale · best)
    __m512 scale = _mm512_set1_ps(factor * 1.44269504f);
    __m512 shift = _mm512_mul_ps(scale, _mm512_set1_ps(best));
    __m512 sum = _mm512_setzero_ps(), sum2 = sum;
    for (i = 0; i + 2 * LANES <= count; i += 2 * LANES) {
        __m512 a = _mm512_loadu_ps(scores + i), b = _mm512_loadu_ps(scores + i + LANES);
        a = power_of_two(_mm512_fmsub_ps(scale, a, shift));
        b = power_of_two(_mm512_fmsub_ps(scale, b, shift));
        sum = _mm512_add_ps(sum, a);
        sum2 = _mm512_add_ps(sum2, b);
        _mm512_storeu_si512(weights + i, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
    for (; i < count; i += LANES) {
        __mmask16 m = lanes(i, count), kept = lanes(i, count + count % 2);
        __m512 a = _mm512_maskz_loadu_ps(m, scores + i);
        a = _mm512_maskz_mov_ps(m, power_of_two(_mm512_fmsub_ps(scale, a, shift)));
        sum = _mm512_add_ps(sum, a);
        _mm256_mask_storeu_epi16(weights + i, kept, (__m256i)_mm512_cvtneps_pbh(a));
    }
    float weight = _mm512_reduce_add_ps(_mm512_add_ps(sum, sum2));
    if (best == *top) {
        *total += weight;
        return;
    }
    __m512 before = _mm512_fmsub_ps(scale, _mm512_set1_ps(*top), shift);
    __m512 shrink = power_of_two(before);
    *total = *total * _mm512_cvtss_f32(shrink) + weight;
    *top = best;
    for (i = 0; i < width; i += LANES) {
        __mmask16 m = lanes(i, width);
        __m512 shrunk = _mm512_mul_ps(shrink, _mm512_maskz_loadu_ps(m, sums + i));
        _mm512_mask_storeu_ps(sums + i, m, shrunk);
    }
}
