/// Sample values of a TIFF's pixels, in any supported format.
#ifndef TESSERA_TIFF_SAMPLES_H
#define TESSERA_TIFF_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/// How the samples of a pixel are stored.
typedef struct {
    uint16_t count;
    uint16_t bits;
    /// libtiff's SAMPLEFORMAT.
    uint16_t format;
} tessera_tiff_samples;

/// Whether samples in this format can be read.
int tessera_tiff_samples_known(tessera_tiff_samples samples);

/// Swaps the byte order of each sample of a row.
void tessera_tiff_samples_swap(tessera_tiff_samples samples, uint8_t *row, size_t bytes);

/// Expands samples to 16 bits: integers from their full range, floats from 0…1.
///
/// - Parameters:
///   - count: number of samples
///   - step: distance between results
///   - raw: whether to leave integers of at most 8 bits unscaled
void tessera_tiff_samples_expand(
    tessera_tiff_samples samples, const uint8_t *row, size_t count, size_t step, uint16_t *out, int raw);

#endif
