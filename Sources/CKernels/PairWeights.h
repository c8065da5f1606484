/// What Attention.c shares with PairWeights.c.
#ifndef TESSERA_PAIR_WEIGHTS_H
#define TESSERA_PAIR_WEIGHTS_H

/// The scores of some queries over a block of `count` keys, times `factor`, become weights, rounded to bfloat16 in
/// `weights` (one more, 0, where `count` is odd); what each query has summed so far shrinks to the new scale.
/// For processors that `tessera_has_bfloat16`.
void tessera_weigh_pairs(const float *scores, long rows, long count, float factor, float *top,
                         float *total, float *sums, long width, unsigned short *weights);

#endif
