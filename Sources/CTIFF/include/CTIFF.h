/// Wraps libtiff and keeps its errors: a writer of one tiled BigTIFF, picture after picture, where finished pictures
/// can be read while the next one is written; and a row-by-row reader of other programs' TIFFs.
///
/// Functions that return int return 0, or −1 after an error, whose text `tessera_tiff_error` gives. After an error only
/// that text and `close` may be used.
#ifndef TESSERA_CTIFF_H
#define TESSERA_CTIFF_H

#include <stddef.h>
#include <stdint.h>

typedef struct tessera_tiff tessera_tiff;

/// Side of a tile, in pixels.
enum { TESSERA_TIFF_TILE = 512 };

/// The tag for a picture's settings, from the range that TIFF leaves for private use (65000 to 65535).
enum { TESSERA_TIFF_SETTINGS = 65000 };

/// Returns null if out of memory. `descriptor` is an empty file that is open for reading and writing; the caller keeps
/// it and closes it after the TIFF.
tessera_tiff *tessera_tiff_open(int descriptor);

/// Begins an RGB picture (red first) with 8 or 16 bits per sample in host byte order.
///
/// - Parameters:
///   - reduced: whether it is a smaller copy of the first one
///   - description: UTF-8; null for none
///   - software: ASCII; null for none
///   - settings: JSON, in the tag `TESSERA_TIFF_SETTINGS`; null for none
int tessera_tiff_begin(
    tessera_tiff *tiff, uint32_t width, uint32_t height, int depth, int reduced, const char *description,
    const char *software, const char *settings);

/// Writes the whole tile whose first pixel is (x, y), even if the picture covers only part of it.
int tessera_tiff_put(tessera_tiff *tiff, uint32_t x, uint32_t y, const void *tile, size_t bytes);

/// Completes the picture.
int tessera_tiff_end(tessera_tiff *tiff);

/// Opens picture `number` (from 0), which must be complete, for reading.
int tessera_tiff_look(tessera_tiff *tiff, int number);

/// Reads the tile whose first pixel is (x, y).
int tessera_tiff_get(tessera_tiff *tiff, uint32_t x, uint32_t y, void *tile, size_t bytes);

/// Writes the remaining data, after the last picture.
int tessera_tiff_finish(tessera_tiff *tiff);

/// The first error, valid until `close`.
const char *tessera_tiff_error(const tessera_tiff *tiff);

void tessera_tiff_close(tessera_tiff *tiff);

/// Reads the first picture of a file, row by row.
typedef struct tessera_tiff_reader tessera_tiff_reader;

/// The properties of a picture that are known before its rows are read.
typedef struct {
    uint32_t width;
    uint32_t height;
    /// 1 for grey, 3 for RGB, 4 for CMYK, not counting alpha.
    int colours;
    int has_alpha;
    /// Orientation, as in Exif.
    int orientation;
    /// Bits per stored sample.
    int depth;
    /// An ICC profile, valid until `close`; null if there is none.
    const uint8_t *profile;
    size_t profile_size;
    /// Description of the picture and the software that made it, valid until `close`; null if missing.
    const char *description;
    const char *software;
    /// The value of `TESSERA_TIFF_SETTINGS`, valid until `close`, and its length, including a terminating zero if there
    /// is one; null if there is none.
    const char *settings;
    size_t settings_size;
} tessera_tiff_header;

/// Returns null if out of memory. The caller closes `descriptor` after the reader.
tessera_tiff_reader *tessera_tiff_reader_open(int descriptor);

/// Reads everything before the rows.
int tessera_tiff_reader_header(tessera_tiff_reader *reader, tessera_tiff_header *header);

/// Reads the next row: for each pixel its colours and, if there is one, its alpha (not premultiplied), 16 bits each.
/// Palettes become RGB; floats are clamped to 0…1; CMYK values are amounts of ink.
int tessera_tiff_reader_row(tessera_tiff_reader *reader, uint16_t *row);

/// The first error, valid until `close`.
const char *tessera_tiff_reader_error(const tessera_tiff_reader *reader);

void tessera_tiff_reader_close(tessera_tiff_reader *reader);

#endif
