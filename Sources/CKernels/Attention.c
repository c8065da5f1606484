#include "Vector.h"

/// Keys of one block: the weights of a block of queries over them stay in the second-level cache.
enum { KEYS = 256 };

static long at_most(long a, long b) { return a < b ? a : b; }

static long keys_size(long count, long width) { return tessera_packed_size(width, count); }
static long values_size(long count, long width) { return tessera_packed_size(count, width); }

long tessera_packed_head_size(long keys, long width) {
    long size = 0;
    for (long first = 0; first < keys; first += KEYS) {
        long count = at_most(KEYS, keys - first);
        size += keys_size(count, width) + values_size(count, width);
    }
    return size;
}

long tessera_attend_scratch_size(long rows, long width) {
    long attend = rows * (2 * width + KEYS + 3);
    return attend > KEYS * width ? attend : KEYS * width;
}

/// Rows of elements as dense float rows, each times `factor`.
static void gather(const void *from, long ld, long rows, long width, float factor, float *to,
                   int element) {
    long bytes = element == TESSERA_BF16 ? 2 : 4;
    for (long r = 0; r < rows; r++) {
        tessera_to_float((const char *)from + r * ld * bytes, to + r * width, width, element);
        for (long j = 0; j < width; j++) to[r * width + j] *= factor;
    }
}

void tessera_pack_head(const void *keys, long ldk, const void *values, long ldv, long count,
                       long width, float *packed, float *scratch, int element) {
    long bytes = element == TESSERA_BF16 ? 2 : 4;
    for (long first = 0; first < count; first += KEYS) {
        long some = at_most(KEYS, count - first);
        gather((const char *)keys + first * ldk * bytes, ldk, some, width, 1, scratch, element);
        tessera_pack(scratch, width, 1, width, some, packed);
        packed += keys_size(some, width);
        gather((const char *)values + first * ldv * bytes, ldv, some, width, 1, scratch, element);
        tessera_pack(scratch, 1, width, some, width, packed);
        packed += values_size(some, width);
    }
}

/// The scores of one query over a block of keys become weights; what it has summed so far shrinks to
/// the new scale.
TESSERA_KERNEL static void weigh(float *scores, long seen, long count, float *top, float *total,
                                 float *sums, long width) {
    if (seen <= 0) {
        for (long k = 0; k < count; k++) scores[k] = 0;
        return;
    }
    float lanes[PANEL];
    for (int j = 0; j < PANEL; j++) lanes[j] = *top;
    long i = 0;
    for (; i + PANEL <= seen; i += PANEL)
        for (int j = 0; j < PANEL; j++)
            lanes[j] = scores[i + j] > lanes[j] ? scores[i + j] : lanes[j];
    for (; i < seen; i++) lanes[0] = scores[i] > lanes[0] ? scores[i] : lanes[0];
    float best = lanes[0];
    for (int j = 1; j < PANEL; j++) best = lanes[j] > best ? lanes[j] : best;
    float shrink = tessera_exp(*top - best);
    for (long k = 0; k < seen; k++) scores[k] = tessera_exp(scores[k] - best);
    for (long k = seen; k < count; k++) scores[k] = 0;
    float weight;
#define WEIGHT(i) scores[i]
    TESSERA_PANEL_SUM(weight, seen, WEIGHT)
#undef WEIGHT
    *total = *total * shrink + weight;
    *top = best;
    for (long j = 0; j < width; j++) sums[j] *= shrink;
}

void tessera_attend(const void *queries, long ldq, const float *packed, void *out, long ldo,
                    long rows, long keys, long width, long causal_from, float *scratch,
                    int element) {
    float *query = scratch, *sums = query + rows * width, *scores = sums + rows * width;
    float *top = scores + rows * KEYS, *total = top + rows, *inverse = total + rows;
    gather(queries, ldq, rows, width, 1.0f / __builtin_sqrtf((float)width), query, element);
    for (long r = 0; r < rows; r++) top[r] = -__FLT_MAX__, total[r] = 0;
    for (long i = 0; i < rows * width; i++) sums[i] = 0;
    for (long first = 0; first < keys; first += KEYS) {
        long count = at_most(KEYS, keys - first);
        tessera_product(query, width, packed, scores, count, rows, width, count, 0);
        packed += keys_size(count, width);
        for (long r = 0; r < rows; r++) {
            long seen = causal_from < 0 ? count : at_most(count, causal_from + r + 1 - first);
            weigh(scores + r * count, seen, count, top + r, total + r, sums + r * width, width);
        }
        tessera_product(scores, count, packed, sums, width, rows, count, width, 1);
        packed += values_size(count, width);
    }
    long bytes = element == TESSERA_BF16 ? 2 : 4;
    for (long r = 0; r < rows; r++) {
        inverse[r] = 1.0f / total[r];
        for (long j = 0; j < width; j++) sums[r * width + j] *= inverse[r];
        tessera_from_float(sums + r * width, (char *)out + r * ldo * bytes, width, element);
    }
}
