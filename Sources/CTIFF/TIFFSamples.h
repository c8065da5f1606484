/// Numbers of a TIFF's pixels, of any kind.
#ifndef TESSERA_TIFF_SAMPLES_H
#define TESSERA_TIFF_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/// How the numbers of a pixel are stored.
typedef struct {
    uint16_t count;
    uint16_t bits;
    /// libtiff's SAMPLEFORMAT.
    uint16_t format;
} tessera_tiff_samples;

/// Whether such numbers can be read.
int tessera_tiff_samples_known(tessera_tiff_samples samples);

/// Exchanges the order of bytes within each number of a row.
void tessera_tiff_samples_swap(tessera_tiff_samples samples, uint8_t *row, size_t bytes);

/// Expands numbers to 16 bits: whole numbers by their range, floats from 0…1.
///
/// - Parameters:
///   - count: of them
///   - step: distance between results
///   - raw: whether to leave whole numbers of at most 8 bits as they are
void tessera_tiff_samples_expand(
    tessera_tiff_samples samples, const uint8_t *row, size_t count, size_t step, uint16_t *out, int raw);

#endif
