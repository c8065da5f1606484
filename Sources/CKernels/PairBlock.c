#include "Pairs.h"

/// A block of attention: `TESSERA_BLOCK_KEYS` keys, heads of `TESSERA_BLOCK_WIDTH`.
enum { KEYS = TESSERA_BLOCK_KEYS, WIDTH = TESSERA_BLOCK_WIDTH };

/// Queries (ROWS) and output vectors (VECTORS) per tile: the sums stay in registers, with enough registers left for the
/// weights.
enum { ROWS = 4, VECTORS = 4, LANES = 16, COLUMNS = VECTORS * LANES };

/// Queries per group: the scores of two groups fit in the L1 cache.
enum { GROUP = 16 };

/// Pairs of keys per pass, so that their values stay in the L1 cache.
enum { PAIRS = 64 };

/// Rows of scores that are still to be turned into weights.
struct waiting {
    const float *scores;
    unsigned *weights;
    const float *shift;
    const float *shrink;
    float *total;
    long rows;
};

/// Finishes a row whose weights sum to `sum`; bit-identical to `tessera_weigh_pairs`.
PAIRS_INLINE void finish_row(struct waiting *w, __m512 sum) {
    *w->total = __builtin_fmaf(*w->total, *w->shrink, _mm512_reduce_add_ps(sum));
    w->scores += KEYS, w->weights += KEYS / 2, w->rows--;
    w->shift++, w->shrink++, w->total++;
}

/// Turns two vectors of scores into weights and adds them to `sum`.
PAIRS_INLINE __m512 weigh(const float *scores, unsigned *weights, __m512 scale, __m512 shift,
                          __m512 sum) {
    __m512 a = tessera_power_of_two(_mm512_fmsub_ps(scale, _mm512_loadu_ps(scores), shift));
    __m512 b = tessera_power_of_two(_mm512_fmsub_ps(scale, _mm512_loadu_ps(scores + LANES), shift));
    _mm512_storeu_si512(weights, (__m512i)_mm512_cvtne2ps_pbh(b, a));
    return _mm512_add_ps(sum, _mm512_add_ps(a, b));
}

/// c[r][j] (+)= Σ a[r][k] · b[k][j] over `pairs`, a multiple of eight, for ROWS rows and COLUMNS columns. Interleaved
/// with each eighth of it, computes weights of one pending row, on execution units that the product leaves idle.
PAIRS_INLINE void tile(const unsigned *a, long lda, const unsigned *b, float *c, long ldc, long pairs,
                       int add, struct waiting *w, __m512 scale) {
    enum { PARTS = KEYS / (2 * LANES) };
    __m512 result[ROWS][VECTORS], sum = _mm512_setzero_ps();
    __m512 shift = _mm512_set1_ps(w->rows > 0 ? *w->shift : 0);
    _Pragma("unroll") for (int r = 0; r < ROWS; r++)
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++)
            result[r][v] = add ? _mm512_loadu_ps(c + r * ldc + v * LANES) : _mm512_setzero_ps();
    for (long part = 0; part < PARTS; part++) {
        if (w->rows > 0)
            sum = weigh(w->scores + part * 2 * LANES, w->weights + part * LANES, scale, shift, sum);
        for (long k = part * pairs / PARTS; k < (part + 1) * pairs / PARTS; k++) {
            __m512bh weight[VECTORS];
            _Pragma("unroll") for (int v = 0; v < VECTORS; v++)
                weight[v] = (__m512bh)_mm512_loadu_si512(b + k * COLUMNS + v * LANES);
            _Pragma("unroll") for (int r = 0; r < ROWS; r++) {
                __m512bh input = (__m512bh)_mm512_set1_epi32((int)a[r * lda + k]);
                _Pragma("unroll") for (int v = 0; v < VECTORS; v++)
                    result[r][v] = _mm512_dpbf16_ps(result[r][v], input, weight[v]);
            }
        }
    }
    _Pragma("unroll") for (int r = 0; r < ROWS; r++)
        _Pragma("unroll") for (int v = 0; v < VECTORS; v++)
            _mm512_storeu_ps(c + r * ldc + v * LANES, result[r][v]);
    if (w->rows > 0) finish_row(w, sum);
}

/// Computes the scores of one group of queries.
PAIRS_KERNEL static void score(const unsigned *query, const unsigned *keys, float *scores, long rows,
                               struct waiting *w, __m512 scale) {
    for (long first = 0; first < KEYS; first += COLUMNS)
        for (long r = 0; r < rows; r += ROWS)
            tile(query + r * (WIDTH / 2), WIDTH / 2, keys + first * (WIDTH / 2),
                 scores + r * KEYS + first, KEYS, WIDTH / 2, 0, w, scale);
}

/// Adds the product of some queries' weights and the values to their running sums.
PAIRS_KERNEL static void add_values(const unsigned *weights, const unsigned *values, float *sums,
                                    long rows, struct waiting *w, __m512 scale) {
    for (long k = 0; k < KEYS / 2; k += PAIRS)
        for (long r = 0; r < rows; r += ROWS)
            tile(weights + r * (KEYS / 2) + k, KEYS / 2, values + k * COLUMNS, sums + r * WIDTH,
                 WIDTH, PAIRS, 1, w, scale);
}

/// Computes the weights of the rows that were not interleaved with a product.
PAIRS_KERNEL static void finish(struct waiting *w, __m512 scale) {
    while (w->rows > 0) {
        __m512 sum = _mm512_setzero_ps(), shift = _mm512_set1_ps(*w->shift);
        for (long i = 0; i < KEYS; i += 2 * LANES)
            sum = weigh(w->scores + i, w->weights + i / 2, scale, shift, sum);
        finish_row(w, sum);
    }
}

/// Finds the maximum score of every query and rescales its running sums to it. The totals of the weights are updated
/// later, when the weights are known.
PAIRS_KERNEL static void rescale(const float *scores, long rows, __m512 scale, float *top,
                                 float *shift, float *shrinks, float *sums) {
    for (long r = 0; r < rows; r++, scores += KEYS, sums += WIDTH) {
        __m512 high[4];
        for (int v = 0; v < 4; v++) high[v] = _mm512_set1_ps(top[r]);
        for (long i = 0; i < KEYS; i += 4 * LANES)
            _Pragma("unroll") for (int v = 0; v < 4; v++)
                high[v] = _mm512_max_ps(high[v], _mm512_loadu_ps(scores + i + v * LANES));
        float best = _mm512_reduce_max_ps(
            _mm512_max_ps(_mm512_max_ps(high[0], high[1]), _mm512_max_ps(high[2], high[3])));
        __m512 moved = _mm512_mul_ps(scale, _mm512_set1_ps(best));
        shift[r] = _mm512_cvtss_f32(moved), shrinks[r] = 1;
        if (best == top[r]) continue;
        __m512 shrink =
            tessera_power_of_two(_mm512_fmsub_ps(scale, _mm512_set1_ps(top[r]), moved));
        shrinks[r] = _mm512_cvtss_f32(shrink);
        top[r] = best;
        for (long j = 0; j < WIDTH; j += LANES)
            _mm512_storeu_ps(sums + j, _mm512_mul_ps(shrink, _mm512_loadu_ps(sums + j)));
    }
}

PAIRS_KERNEL void tessera_attend_block(const unsigned *query, const unsigned *keys,
                                       const unsigned *values, long rows, float factor, float *top,
                                       float *total, float *sums, float *scores, unsigned *weights) {
    // e^(factor · (score − best)) = 2^(scale · score − scale · best)
    __m512 scale = _mm512_set1_ps(factor * 1.44269504f);
    float shift[2 * GROUP], shrink[2 * GROUP];
    struct waiting w = {.rows = 0};
    for (long first = 0, turn = 0; first < rows; first += GROUP, turn ^= 1) {
        long some = rows - first < GROUP ? rows - first : GROUP;
        float *to = scores + turn * GROUP * KEYS;
        score(query + first * (WIDTH / 2), keys, to, some, &w, scale);
        finish(&w, scale);
        rescale(to, some, scale, top + first, shift + turn * GROUP, shrink + turn * GROUP,
                sums + first * WIDTH);
        w = (struct waiting){
            .scores = to,
            .weights = weights + first * (KEYS / 2),
            .shift = shift + turn * GROUP,
            .shrink = shrink + turn * GROUP,
            .total = total + first,
            .rows = some,
        };
    }
    long ready = rows - w.rows;
    add_values(weights, values, sums, ready, &w, scale);
    finish(&w, scale);
    add_values(weights + ready * (KEYS / 2), values, sums + ready * WIDTH, rows - ready, &w, scale);
}
