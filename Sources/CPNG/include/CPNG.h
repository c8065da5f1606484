// PNG through libpng. libpng reports errors by longjmp, which must not cross Swift: every call here
// catches it and returns 0, or −1 with a text to ask for.
#ifndef TESSERA_CPNG_H
#define TESSERA_CPNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct tessera_png_writer tessera_png_writer;
typedef struct tessera_png_reader tessera_png_reader;

// Writes to an open file descriptor, which stays the caller's. NULL when memory is short.
tessera_png_writer *tessera_png_writer_open(int descriptor, uint32_t width, uint32_t height);
// Adds a text chunk: tEXt where the value is ASCII, else iTXt. Before `begin`.
int tessera_png_writer_text(tessera_png_writer *w, const char *key, const char *value);
int tessera_png_writer_begin(tessera_png_writer *w);
// Appends rows of 8-bit RGB that lie `stride` bytes apart.
int tessera_png_writer_rows(tessera_png_writer *w, const uint8_t *rows, size_t count, size_t stride);
int tessera_png_writer_end(tessera_png_writer *w);
const char *tessera_png_writer_error(const tessera_png_writer *w);
void tessera_png_writer_close(tessera_png_writer *w);

// Reads from memory, which the reader copies. NULL when memory is short.
tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count);
// Reads up to the first row; asks libpng for 8-bit RGB.
int tessera_png_reader_header(tessera_png_reader *r, uint32_t *width, uint32_t *height);
// Reads all rows, which lie `stride` bytes apart, and what follows them.
int tessera_png_reader_rows(tessera_png_reader *r, uint8_t *rows, size_t stride);
int tessera_png_reader_text_count(const tessera_png_reader *r);
const char *tessera_png_reader_text_key(const tessera_png_reader *r, int i);
const char *tessera_png_reader_text_value(const tessera_png_reader *r, int i);
const char *tessera_png_reader_error(const tessera_png_reader *r);
void tessera_png_reader_close(tessera_png_reader *r);

#endif
