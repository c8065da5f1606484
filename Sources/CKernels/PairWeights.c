#include "Pairs.h"

enum { LANES = 16 };

/// Queries whose weights are computed together.
enum { MOST = 3 };
#define EACH(r) _Pragma("unroll") for (int r = 0; r < rows; r++)

/// Mask of the lanes of the vector at `index` that hold scores.
PAIRS_INLINE __mmask16 lanes(long index, long count) {
    long rest = count - index;
    return rest >= LANES ? 0xFFFF : rest <= 0 ? 0 : (__mmask16)((1u << rest) - 1);
}

/// Handles `rows` queries at once, so that their dependency chains overlap.
PAIRS_INLINE void weigh(int rows, const float *scores, long count, float factor, float *top,
                        float *total, float *sums, long width, unsigned short *weights) {
    long even = count + count % 2;
    __m512 high[MOST], shift[MOST], sum[MOST];
    EACH(r) high[r] = _mm512_set1_ps(top[r]);
    long i = 0;
    for (; i + LANES <= count; i += LANES)
        EACH(r) high[r] = _mm512_max_ps(high[r], _mm512_loadu_ps(scores + r * count + i));
    __mmask16 rest = (__mmask16)((1u << (count - i)) - 1);
    EACH(r) high[r] = _mm512_mask_max_ps(high[r], rest, high[r],
                                         _mm512_maskz_loadu_ps(rest, scores + r * count + i));

    // e^(factor · (score − best)) = 2^(scale · score − scale · best)
    __m512 scale = _mm512_set1_ps(factor * 1.44269504f);
    float best[MOST];
    EACH(r) {
        best[r] = _mm512_reduce_max_ps(high[r]);
        shift[r] = _mm512_mul_ps(scale, _mm512_set1_ps(best[r]));
        sum[r] = _mm512_setzero_ps();
    }
    for (i = 0; i + 2 * LANES <= count; i += 2 * LANES) EACH(r) {
        const float *from = scores + r * count + i;
        __m512 a = tessera_power_of_two(_mm512_fmsub_ps(scale, _mm512_loadu_ps(from), shift[r]));
        __m512 b = tessera_power_of_two(_mm512_fmsub_ps(scale, _mm512_loadu_ps(from + LANES), shift[r]));
        sum[r] = _mm512_add_ps(sum[r], _mm512_add_ps(a, b));
        _mm512_storeu_si512(weights + r * even + i, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    }
    for (; i < count; i += LANES) EACH(r) {
        __mmask16 m = lanes(i, count);
        __m512 a = _mm512_maskz_loadu_ps(m, scores + r * count + i);
        a = _mm512_maskz_mov_ps(m, tessera_power_of_two(_mm512_fmsub_ps(scale, a, shift[r])));
        sum[r] = _mm512_add_ps(sum[r], a);
        _mm256_mask_storeu_epi16(weights + r * even + i, lanes(i, even),
                                 (__m256i)_mm512_cvtneps_pbh(a));
    }
    EACH(r) {
        float weight = _mm512_reduce_add_ps(sum[r]);
        if (best[r] == top[r]) {
            total[r] += weight;
            continue;
        }
        __m512 shrink = tessera_power_of_two(_mm512_fmsub_ps(scale, _mm512_set1_ps(top[r]), shift[r]));
        // Rounded once, as in PairBlock.c, so that both give the same bits.
        total[r] = __builtin_fmaf(total[r], _mm512_cvtss_f32(shrink), weight);
        top[r] = best[r];
        for (i = 0; i < width; i += LANES) {
            __mmask16 m = lanes(i, width);
            float *at = sums + r * width + i;
            _mm512_mask_storeu_ps(at, m, _mm512_mul_ps(shrink, _mm512_maskz_loadu_ps(m, at)));
        }
    }
}

PAIRS_KERNEL void tessera_weigh_pairs(const float *scores, long rows, long count, float factor,
                                      float *top, float *total, float *sums, long width,
                                      unsigned short *weights) {
    long even = count + count % 2, r = 0;
    for (; r + MOST <= rows; r += MOST)
        weigh(MOST, scores + r * count, count, factor, top + r, total + r, sums + r * width, width,
              weights + r * even);
    for (; r < rows; r++)
        weigh(1, scores + r * count, count, factor, top + r, total + r, sums + r * width, width,
              weights + r * even);
}
