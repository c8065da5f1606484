/// For processors that `tessera_has_bfloat16`.
#ifndef TESSERA_PAIRS_H
#define TESSERA_PAIRS_H

#include <immintrin.h>

#define PAIRS_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define PAIRS_INLINE PAIRS_KERNEL static inline __attribute__((always_inline))

/// 2^x for x ≤ 0 to 1e-4 relative, a twentieth of what bfloat16 keeps; NaN stays NaN.
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

/// `tessera_gate` of bfloat16 numbers.
void tessera_gate_pairs(const unsigned short *value, const unsigned short *gate, long rows,
                        long columns, unsigned short *out, long ldo);

/// Turns the scores of some queries over a block of `count` keys, times `factor`, into weights, rounded to bfloat16 in
/// `weights` (padded with one 0 if `count` is odd), and rescales each query's running sums to the new maximum.
void tessera_weigh_pairs(const float *scores, long rows, long count, float factor, float *top,
                         float *total, float *sums, long width, unsigned short *weights);

/// Keys and head width that `tessera_attend_block` supports. The number of queries must be a multiple of the last, and at
/// least eight times it.
enum { TESSERA_BLOCK_KEYS = 256, TESSERA_BLOCK_WIDTH = 64, TESSERA_BLOCK_QUERIES = 4 };

/// Attention of `rows` queries to one block of keys, packed as `tessera_pack_pairs` does: scores, weights and the
/// weighted sum of the values. The weights of some queries are computed during the products of others.
///
/// `scores` and `weights` are working memory, of a float and of half a word for each query and key.
void tessera_attend_block(const unsigned *query, const unsigned *keys, const unsigned *values,
                          long rows, float factor, float *top, float *total, float *sums,
                          float *scores, unsigned *weights);

#endif
