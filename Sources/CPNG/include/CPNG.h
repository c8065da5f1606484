/// libpng's ordinary interface behind functions that return: its errors leave by longjmp, which
/// Swift must never see.
///
/// Functions that return int return 0, or −1 after an error whose text `…_error` gives. After an
/// error a writer or reader may only be asked for that text and closed.
#ifndef TESSERA_CPNG_H
#define TESSERA_CPNG_H

#include <stddef.h>
#include <stdint.h>

/// Writes one picture of RGB, 8 or 16 bits of each, into an open file.
typedef struct tessera_png_writer tessera_png_writer;

/// Null where memory is short. The caller keeps `descriptor` and closes it after the writer.
tessera_png_writer *tessera_png_writer_open(
    int descriptor, uint32_t width, uint32_t height, int depth);

/// Adds a text chunk, before `begin`: as Latin-1 (tEXt) where every letter has one, else as UTF-8
/// (iTXt).
///
/// - Parameters:
///   - key: 1 to 79 printable ASCII letters
///   - value: UTF-8
int tessera_png_writer_text(tessera_png_writer *writer, const char *key, const char *value);

/// Writes all that precedes the rows.
int tessera_png_writer_begin(tessera_png_writer *writer);

/// Appends `count` rows of 3 · width numbers in the byte order of this machine, `stride` bytes apart.
int tessera_png_writer_rows(
    tessera_png_writer *writer, const uint8_t *rows, size_t count, size_t stride);

/// Writes the end of the file, after the last row.
int tessera_png_writer_end(tessera_png_writer *writer);

/// The last error, valid until `close`.
const char *tessera_png_writer_error(const tessera_png_writer *writer);

void tessera_png_writer_close(tessera_png_writer *writer);

/// Reads one picture from memory, as 8-bit RGB whatever it is.
typedef struct tessera_png_reader tessera_png_reader;

/// Extent of a picture.
typedef struct {
    uint32_t width;
    uint32_t height;
    /// Bytes of the rows as they are stored, before compression.
    uint64_t stored_bytes;
} tessera_png_header;

/// One text chunk.
typedef struct {
    const char *key;
    const char *value;
    size_t key_length;
    size_t value_length;
    /// Whether the value is UTF-8; else it is Latin-1, as keys always are.
    int utf8;
} tessera_png_text;

/// Null where memory is short. `bytes` must stay until the reader is closed.
tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count);

/// Reads all that precedes the rows.
int tessera_png_reader_header(tessera_png_reader *reader, tessera_png_header *header);

/// Reads every row, 3 · width bytes each and `stride` apart, and what follows them.
int tessera_png_reader_rows(tessera_png_reader *reader, uint8_t *pixels, size_t stride);

/// Number of text chunks, after `rows`.
int tessera_png_reader_text_count(const tessera_png_reader *reader);

/// Text chunk `index`, valid until `close`.
tessera_png_text tessera_png_reader_text(const tessera_png_reader *reader, int index);

/// The last error, valid until `close`.
const char *tessera_png_reader_error(const tessera_png_reader *reader);

void tessera_png_reader_close(tessera_png_reader *reader);

#endif
