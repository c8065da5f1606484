/// libtiff behind functions that keep its errors: one BigTIFF of tiles, picture after picture, the earlier of
/// which can be read while the next is written.
///
/// Functions that return int return 0, or −1 after an error whose text `tessera_tiff_error` gives. After an
/// error a file may only be asked for that text and closed.
#ifndef TESSERA_CTIFF_H
#define TESSERA_CTIFF_H

#include <stddef.h>
#include <stdint.h>

typedef struct tessera_tiff tessera_tiff;

/// Side of a tile in pixels.
enum { TESSERA_TIFF_TILE = 512 };

/// Null if out of memory. `descriptor` is open for reading and writing an empty file; the caller keeps it
/// and closes it after the TIFF.
tessera_tiff *tessera_tiff_open(int descriptor);

/// Begins a picture of RGB, red first, of 8 or 16 bits in the order of this machine.
///
/// - Parameters:
///   - reduced: whether it is a smaller copy of the first one
///   - description: UTF-8; null for none
///   - software: ASCII; null for none
int tessera_tiff_begin(
    tessera_tiff *tiff, uint32_t width, uint32_t height, int depth, int reduced, const char *description,
    const char *software);

/// Writes the whole tile whose first pixel is (x, y), even if the picture fills only part of it.
int tessera_tiff_put(tessera_tiff *tiff, uint32_t x, uint32_t y, const void *tile, size_t bytes);

/// Completes the picture.
int tessera_tiff_end(tessera_tiff *tiff);

/// Opens picture `number`, which is complete, for reading; counted from 0.
int tessera_tiff_look(tessera_tiff *tiff, int number);

/// Reads the tile whose first pixel is (x, y).
int tessera_tiff_get(tessera_tiff *tiff, uint32_t x, uint32_t y, void *tile, size_t bytes);

/// Writes the remaining data, after the last picture.
int tessera_tiff_finish(tessera_tiff *tiff);

/// The first error, valid until `close`.
const char *tessera_tiff_error(const tessera_tiff *tiff);

void tessera_tiff_close(tessera_tiff *tiff);

#endif
