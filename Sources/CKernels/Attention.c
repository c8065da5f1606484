#include <string.h>

#include "Pairs.h"
#include "Vector.h"

/// Keys per block: the attention weights of one block of queries over them stay in the L2 cache.
enum { KEYS = 256 };

/// Queries whose scores over one block of keys fit in the L1 cache.
enum { FEW = 24 };

/// Heads are packed in 4-byte words: one float32, or a pair of bfloat16 values.
typedef unsigned word;

static long at_most(long a, long b) { return a < b ? a : b; }

/// Size of a packed matrix, in words.
static long packed_size(long depth, long outputs, int element) {
    return element == TESSERA_BF16 ? tessera_packed_pairs_size(depth, outputs)
                                   : tessera_packed_size(depth, outputs);
}

/// Length of one row of a block's inputs, in words.
static long row_size(long depth, int element) {
    return element == TESSERA_BF16 ? (depth + 1) / 2 : depth;
}

/// Lays out the matrix whose weight of output j for input k is weight[j · output_step + k · depth_step].
static void pack(const void *weight, long output_step, long depth_step, long depth, long outputs,
                 word *packed, int element) {
    if (element == TESSERA_BF16)
        tessera_pack_pairs(weight, output_step, depth_step, depth, outputs, packed);
    else if (element == TESSERA_BF16_WIDENED)
        tessera_pack_widened(weight, output_step, depth_step, depth, outputs, (float *)packed);
    else
        tessera_pack(weight, output_step, depth_step, depth, outputs, (float *)packed);
}

static void product(const word *a, long lda, const word *packed, float *c, long ldc, long rows,
                    long depth, long outputs, int add, int element) {
    if (element == TESSERA_BF16)
        tessera_pair_product(a, lda, packed, c, ldc, rows, depth, outputs, add);
    else
        tessera_product((const float *)a, lda, (const float *)packed, c, ldc, rows, depth, outputs,
                        add);
}

long tessera_packed_head_size(long keys, long width, int element) {
    long size = 0;
    for (long first = 0; first < keys; first += KEYS) {
        long count = at_most(KEYS, keys - first);
        size += packed_size(width, count, element) + packed_size(count, width, element);
    }
    return size;
}

long tessera_attend_scratch_size(long rows, long width, int element) {
    return rows * (row_size(width, element) + row_size(KEYS, element) + width + KEYS + 3);
}

void tessera_pack_head(const void *keys, long ldk, const void *values, long ldv, long count,
                       long width, void *packed, int element) {
    long bytes = element == TESSERA_F32 ? 4 : 2;
    word *to = packed;
    for (long first = 0; first < count; first += KEYS) {
        long some = at_most(KEYS, count - first);
        pack((const char *)keys + first * ldk * bytes, ldk, 1, width, some, to, element);
        to += packed_size(width, some, element);
        pack((const char *)values + first * ldv * bytes, 1, ldv, some, width, to, element);
        to += packed_size(some, width, element);
    }
}

/// Turns one query's scores over a block of keys, scaled by `factor`, into weights, and rescales its running sums to
/// the new maximum.
TESSERA_KERNEL static void weigh(float *scores, long seen, long count, float factor, float *top,
                                 float *total, float *sums, long width) {
    if (seen <= 0) {
        for (long k = 0; k < count; k++) scores[k] = 0;
        return;
    }
    for (long k = 0; k < seen; k++) scores[k] *= factor;
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

/// Rows of floats as the inputs of a matrix product: unchanged, or rounded to bfloat16 in `room`.
static const word *narrowed(const float *from, long rows, long depth, word *room, int element) {
    if (element != TESSERA_BF16) return (const word *)from;
    long row = row_size(depth, element);
    for (long r = 0; r < rows; r++) {
        if (depth % 2) room[r * row + row - 1] = 0;
        tessera_from_float(from + r * depth, room + r * row, depth, element);
    }
    return room;
}

/// The weights of a few queries over a block of keys, packed in pairs, while their scores are still in the L1 cache.
static void weigh_few(const word *query, const word *keys, float *scores, long rows, long count,
                      long width, float factor, float *top, float *total, float *sums,
                      word *weights) {
    tessera_pair_product(query, row_size(width, TESSERA_BF16), keys, scores, count, rows, width,
                         count, 0);
    tessera_weigh_pairs(scores, rows, count, factor, top, total, sums, width,
                        (unsigned short *)weights);
}

/// The weights of all queries over a block of keys. Unless `all` is set, the mask is causal: the first query sees `own`
/// + 1 keys, the next one sees one more, and so on.
static const word *weigh_all(const word *query, const word *keys, float *scores, long rows,
                             long count, long width, long own, int all, float factor, float *top,
                             float *total, float *sums, word *weights, int element) {
    product(query, row_size(width, element), keys, scores, count, rows, width, count, 0, element);
    for (long r = 0; r < rows; r++)
        weigh(scores + r * count, all ? count : at_most(count, own + r + 1), count, factor, top + r,
              total + r, sums + r * width, width);
    return narrowed(scores, rows, count, weights, element);
}

void tessera_attend(const void *queries, long ldq, const void *packed, void *out, long ldo,
                    long rows, long keys, long width, long causal_from, float *scratch,
                    int element) {
    long bytes = element == TESSERA_F32 ? 4 : 2, row = row_size(width, element);
    word *query = (word *)scratch, *weights = query + rows * row;
    float *sums = (float *)(weights + rows * row_size(KEYS, element));
    float *scores = sums + rows * width, *top = scores + rows * KEYS, *total = top + rows;
    const word *head = packed;
    float factor = 1.0f / __builtin_sqrtf((float)width);
    // Non-causal attention goes from scores to bfloat16 pairs in one step where the processor has the instructions.
    int pairs = element == TESSERA_BF16 && causal_from < 0 && tessera_has_bfloat16();
    int in_blocks = width == TESSERA_BLOCK_WIDTH && rows % TESSERA_BLOCK_QUERIES == 0 &&
                    rows >= 8 * TESSERA_BLOCK_QUERIES;
    for (long r = 0; r < rows; r++) {
        top[r] = -__FLT_MAX__, total[r] = 0;
        query[r * row + row - 1] = 0;
        const char *from = (const char *)queries + r * ldq * bytes;
        if (element == TESSERA_BF16_WIDENED)
            tessera_to_float(from, (float *)(query + r * row), width, TESSERA_BF16);
        else
            memcpy(query + r * row, from, (size_t)(width * bytes));
    }
    for (long i = 0; i < rows * width; i++) sums[i] = 0;
    for (long first = 0; first < keys; first += KEYS) {
        long count = at_most(KEYS, keys - first);
        const word *values = head + packed_size(width, count, element), *inputs = weights;
        if (pairs && in_blocks && count == TESSERA_BLOCK_KEYS) {
            tessera_attend_block(query, head, values, rows, factor, top, total, sums, scores,
                                 weights);
        } else {
            if (pairs)
                for (long from = 0; from < rows; from += FEW)
                    weigh_few(query + from * row, head, scores, at_most(FEW, rows - from), count,
                              width, factor, top + from, total + from, sums + from * width,
                              weights + from * row_size(count, element));
            else
                inputs = weigh_all(query, head, scores, rows, count, width, causal_from - first,
                                   causal_from < 0, factor, top, total, sums, weights, element);
            product(inputs, row_size(count, element), values, sums, width, rows, count, width, 1,
                    element);
        }
        head = values + packed_size(count, width, element);
    }
    for (long r = 0; r < rows; r++) {
        float inverse = 1.0f / total[r];
        for (long j = 0; j < width; j++) sums[r * width + j] *= inverse;
        tessera_from_float(sums + r * width, (char *)out + r * ldo * bytes, width,
                           element == TESSERA_F32 ? TESSERA_F32 : TESSERA_BF16);
    }
}
