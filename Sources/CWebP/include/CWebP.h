/// libwebp: reads a whole picture from memory, and encodes one from rows.
#ifndef TESSERA_CWEBP_H
#define TESSERA_CWEBP_H

#include <stddef.h>
#include <stdint.h>

/// Largest side of a WebP, in pixels.
enum { TESSERA_WEBP_LONGEST_SIDE = 16383 };

/// What precedes the pixels.
typedef struct {
    uint32_t width;
    uint32_t height;
    int has_alpha;
    int is_animated;
} tessera_webp_header;

/// What a function returns: 0, or why it failed.
enum {
    TESSERA_WEBP_OK = 0,
    TESSERA_WEBP_NO_MEMORY,
    TESSERA_WEBP_DAMAGED,
    TESSERA_WEBP_TOO_SHORT,
    TESSERA_WEBP_UNSUPPORTED,
};

/// Reads what precedes the pixels. `bytes` may be the beginning of a file.
int tessera_webp_read_header(const uint8_t *bytes, size_t count, tessera_webp_header *header);

/// Decodes a whole file into rows of red, green, blue and straight alpha, 4 · width bytes each.
int tessera_webp_read(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t width, size_t height);

/// Encodes one picture of RGB, lossy. Keeps its planes, one and a half bytes for each pixel.
typedef struct tessera_webp_writer tessera_webp_writer;

/// Null if out of memory.
tessera_webp_writer *tessera_webp_writer_open(uint32_t width, uint32_t height, int quality);

/// Appends `count` rows of 3 · width bytes, `stride` bytes apart. Returns 0, or −1 if out of memory.
int tessera_webp_writer_rows(
    tessera_webp_writer *writer, const uint8_t *rows, size_t count, size_t stride);

/// Encodes all rows into a simple WebP file, valid until `close`. Returns 0, or libwebp's error.
int tessera_webp_writer_encode(tessera_webp_writer *writer, const uint8_t **bytes, size_t *count);

void tessera_webp_writer_close(tessera_webp_writer *writer);

#endif
