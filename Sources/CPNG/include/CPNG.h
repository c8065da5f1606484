/// Wraps libpng's ordinary interface, whose errors longjmp, which must not cross Swift frames; these functions return
/// instead.
///
/// Functions that return int return 0, or −1 after an error, whose text `…_error` gives. After an error only that text
/// and `close` may be used.
#ifndef TESSERA_CPNG_H
#define TESSERA_CPNG_H

#include <stddef.h>
#include <stdint.h>

/// Writes one RGB picture, 8 or 16 bits per sample, into an open file.
typedef struct tessera_png_writer tessera_png_writer;

/// Returns null if out of memory. The caller keeps `descriptor` and closes it after the writer.
tessera_png_writer *tessera_png_writer_open(
    int descriptor, uint32_t width, uint32_t height, int depth);

/// Adds a text chunk, before `begin`: tEXt if every character is in Latin-1, otherwise iTXt (UTF-8).
///
/// - Parameters:
///   - key: 1 to 79 printable ASCII characters
///   - value: UTF-8
int tessera_png_writer_text(tessera_png_writer *writer, const char *key, const char *value);

/// Writes everything before the rows.
int tessera_png_writer_begin(tessera_png_writer *writer);

/// Appends `count` rows of 3 · width samples in host byte order, `stride` bytes apart.
int tessera_png_writer_rows(
    tessera_png_writer *writer, const uint8_t *rows, size_t count, size_t stride);

/// Writes the end of the file, after the last row.
int tessera_png_writer_end(tessera_png_writer *writer);

/// The last error, valid until `close`.
const char *tessera_png_writer_error(const tessera_png_writer *writer);

void tessera_png_writer_close(tessera_png_writer *writer);

/// Reads one picture from memory, converted to 8-bit RGB.
typedef struct tessera_png_reader tessera_png_reader;

/// Dimensions of a picture.
typedef struct {
    uint32_t width;
    uint32_t height;
    /// Uncompressed size of the stored rows.
    uint64_t stored_bytes;
} tessera_png_header;

/// One text chunk.
typedef struct {
    const char *key;
    const char *value;
    size_t key_length;
    size_t value_length;
    /// Whether the value is UTF-8; otherwise it is Latin-1, as keys always are.
    int utf8;
} tessera_png_text;

/// A file's colour information.
typedef struct {
    /// An ICC profile, valid until `close`; null if there is none.
    const uint8_t *profile;
    size_t profile_size;
    /// Whether there is an sRGB chunk.
    int is_srgb;
    /// The encoding gamma, for example 1/2.2; 0 if unknown.
    double gamma;
    /// x and y of white, red, green and blue; all 0 if unknown.
    double chromaticities[8];
} tessera_png_colours;

/// Layout of rows that are read one at a time.
typedef struct {
    /// Number of channels: grey, grey and alpha, RGB, or RGB and alpha.
    int channels;
    /// Number of passes over the rows: more than one if the file is interlaced.
    int passes;
} tessera_png_rows_layout;

/// Returns null if out of memory. `bytes` must stay valid until the reader is closed.
tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count);

/// Reads from an open file, from its current offset. Returns null if out of memory. The caller closes the file after
/// the reader.
tessera_png_reader *tessera_png_reader_open_file(int descriptor);

/// Reads everything before the rows.
int tessera_png_reader_header(tessera_png_reader *reader, tessera_png_header *header);

/// Reads all rows, 3 · width bytes each and `stride` bytes apart, and what follows them.
int tessera_png_reader_rows(tessera_png_reader *reader, uint8_t *pixels, size_t stride);

/// Instead of `header`, to read rows one at a time with the file's own colours: 16 bits per sample in host byte order,
/// without any colour conversion. Palettes become RGB, and transparency becomes an alpha channel.
int tessera_png_reader_plain_header(
    tessera_png_reader *reader, tessera_png_header *header, tessera_png_rows_layout *layout,
    tessera_png_colours *colours);

/// Reads the next row. In later passes of an interlaced file, `row` must hold what the earlier passes left in it.
int tessera_png_reader_row(tessera_png_reader *reader, uint16_t *row);

/// Reads what follows the last row of the last pass.
int tessera_png_reader_finish(tessera_png_reader *reader);

/// Number of text chunks, known after `rows`.
int tessera_png_reader_text_count(const tessera_png_reader *reader);

/// Text chunk `index`, valid until `close`.
tessera_png_text tessera_png_reader_text(const tessera_png_reader *reader, int index);

/// The last error, valid until `close`.
const char *tessera_png_reader_error(const tessera_png_reader *reader);

void tessera_png_reader_close(tessera_png_reader *reader);

#endif
