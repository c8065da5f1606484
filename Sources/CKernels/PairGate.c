#include "Pairs.h"

enum { LANES = 16 };

/// Loads the bfloat16 values selected by `mask` and widens them to float.
PAIRS_INLINE __m512 widened(const unsigned short *from, __mmask16 mask) {
    __m512i words = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

/// value · GELU(gate), matching `tessera_rough_gelu`.
PAIRS_INLINE __m512 gated(__m512 value, __m512 gate) {
    // If either operand is NaN, the result is the second one.
    __m512 a = _mm512_min_ps(_mm512_set1_ps(6), _mm512_abs_ps(gate));
    __m512 q = _mm512_set1_ps(-0.000201684656f);
    q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(0.0044676126f));
    q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-0.0428327844f));
    q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-0.472785503f));
    q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-1.14439988f));
    q = _mm512_fmadd_ps(q, a, _mm512_set1_ps(-1.00053179f));
    __m512 share = tessera_power_of_two(q), one = _mm512_set1_ps(1);
    __mmask16 positive = _mm512_cmp_ps_mask(gate, _mm512_setzero_ps(), _CMP_GE_OQ);
    share = _mm512_mask_sub_ps(share, positive, one, share);
    return _mm512_mul_ps(_mm512_mul_ps(value, gate), share);
}

PAIRS_KERNEL void tessera_gate_pairs(const unsigned short *value, const unsigned short *gate,
                                     long rows, long columns, unsigned short *out, long ldo) {
    for (long r = 0; r < rows; r++, value += columns, gate += columns, out += ldo)
        for (long c = 0; c < columns; c += LANES) {
            long rest = columns - c;
            __mmask16 m = rest >= LANES ? 0xFFFF : (__mmask16)((1u << rest) - 1);
            __m512 result = gated(widened(value + c, m), widened(gate + c, m));
            _mm256_mask_storeu_epi16(out + c, m, (__m256i)_mm512_cvtneps_pbh(result));
        }
}
