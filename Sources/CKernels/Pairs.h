/// Kernels for processors for which `tessera_has_bfloat16` is true.
#ifndef TESSERA_PAIRS_H
#define TESSERA_PAIRS_H

#include <immintrin.h>

#define PAIRS_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define PAIRS_INLINE PAIRS_KERNEL static inline __attribute__((always_inline))

/// 2^x for x ≤ 0 with a relative error of 1e-4, a twentieth of bfloat16's rounding error; NaN stays NaN.
///
/// x = n + f, 0 ≤ f < 1; 2^f by a polynomial (Lawson fit of the relative error), 2^n by the exponent.
PAIRS_INLINE __m512 tessera_power_of_two(__m512 x) {
    __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
    __m512 p = _mm512_set1_ps(0.0780244917f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.226067573f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.695833206f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.999925256f));
    return _mm512_scalef_ps(p, x);
}

/// `tessera_gate` for bfloat16 values.
void tessera_gate_pairs(const unsigned short *value, const unsigned short *gate, long rows,
                        long columns, unsigned short *out, long ldo);

/// Turns the scores of some queries over a block of `count` keys, scaled by `factor`, into weights, stored in `weights`
/// as bfloat16 (padded with one 0 if `count` is odd), and rescales each query's running sums to the new maximum.
void tessera_weigh_pairs(const float *scores, long rows, long count, float factor, float *top,
                         float *total, float *sums, long width, unsigned short *weights);

/// Keys per block, head width and query granularity of `tessera_attend_block`. The number of queries must be a multiple
/// of the last one, and at least eight times it.
enum { TESSERA_BLOCK_KEYS = 256, TESSERA_BLOCK_WIDTH = 64, TESSERA_BLOCK_QUERIES = 4 };

/// Attention of `rows` queries to one block of keys, packed by `tessera_pack_pairs`: scores, weights and the weighted
/// sum of the values. The weights of some queries are computed during the products of others.
///
/// `scores` and `weights` are scratch memory: one float and half a word per query and key.
void tessera_attend_block(const unsigned *query, const unsigned *keys, const unsigned *values,
                          long rows, float factor, float *top, float *total, float *sums,
                          float *scores, unsigned *weights);

#endif
