/// libwebp: reads a whole picture from memory, and encodes one row by row.
#ifndef TESSERA_CWEBP_H
#define TESSERA_CWEBP_H

#include <stddef.h>
#include <stdint.h>

/// Largest side of a WebP, in pixels.
enum { TESSERA_WEBP_LONGEST_SIDE = 16383 };

/// The properties of a picture that are known before its pixels are read.
typedef struct {
    uint32_t width;
    uint32_t height;
    int has_alpha;
    int is_animated;
} tessera_webp_header;

/// Result of a function: 0, or the reason for the failure.
enum {
    TESSERA_WEBP_OK = 0,
    TESSERA_WEBP_NO_MEMORY,
    TESSERA_WEBP_DAMAGED,
    TESSERA_WEBP_TOO_SHORT,
    TESSERA_WEBP_UNSUPPORTED,
};

/// Reads the header. `bytes` may be just the beginning of a file.
int tessera_webp_read_header(const uint8_t *bytes, size_t count, tessera_webp_header *header);

/// Decodes a whole file into rows of red, green, blue and straight (not premultiplied) alpha, 4 · width bytes each.
int tessera_webp_read(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t width, size_t height);

/// Encodes one RGB picture, lossy. Keeps its planes in memory, one and a half bytes per pixel.
typedef struct tessera_webp_writer tessera_webp_writer;

/// Returns null if out of memory.
tessera_webp_writer *tessera_webp_writer_open(uint32_t width, uint32_t height, int quality);

/// Appends `count` rows of 3 · width bytes, `stride` bytes apart. Returns 0, or −1 if out of memory.
int tessera_webp_writer_rows(
    tessera_webp_writer *writer, const uint8_t *rows, size_t count, size_t stride);

/// Encodes all rows into a simple WebP file, valid until `close`. Returns 0, or libwebp's error.
int tessera_webp_writer_encode(tessera_webp_writer *writer, const uint8_t **bytes, size_t *count);

void tessera_webp_writer_close(tessera_webp_writer *writer);

#endif
