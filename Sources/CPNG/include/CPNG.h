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

/// What a file says of its colours.
typedef struct {
    /// An ICC profile, valid until `close`; null where there is none.
    const uint8_t *profile;
    size_t profile_size;
    /// Whether they are said to be sRGB.
    int is_srgb;
    /// The power that encoded them, about 1/2.2; 0 where it is not told.
    double gamma;
    /// x and y of white, red, green and blue; all 0 where they are not told.
    double chromaticities[8];
} tessera_png_colours;

/// How rows come that are read one by one.
typedef struct {
    /// Numbers of a pixel: grey, grey and opacity, RGB, or RGB and opacity.
    int channels;
    /// How often all rows are read: more than once in an interlaced file.
    int passes;
} tessera_png_rows_layout;

/// Null where memory is short. `bytes` must stay until the reader is closed.
tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count);

/// Reads from an open file, where it stands. Null where memory is short. The caller closes the file after
/// the reader.
tessera_png_reader *tessera_png_reader_open_file(int descriptor);

/// Reads all that precedes the rows.
int tessera_png_reader_header(tessera_png_reader *reader, tessera_png_header *header);

/// Reads every row, 3 · width bytes each and `stride` apart, and what follows them.
int tessera_png_reader_rows(tessera_png_reader *reader, uint8_t *pixels, size_t stride);

/// Instead of `header`, to read rows one by one, as they are in the file: 16 bits for each number in the
/// byte order of this machine, without any conversion of colours. Palettes become RGB, and what makes
/// pixels transparent a number of its own.
int tessera_png_reader_plain_header(
    tessera_png_reader *reader, tessera_png_header *header, tessera_png_rows_layout *layout,
    tessera_png_colours *colours);

/// Reads the next row. In later passes of an interlaced file `row` must hold what earlier ones left in it.
int tessera_png_reader_row(tessera_png_reader *reader, uint16_t *row);

/// Reads what follows the last row of the last pass.
int tessera_png_reader_finish(tessera_png_reader *reader);

/// Number of text chunks, after `rows`.
int tessera_png_reader_text_count(const tessera_png_reader *reader);

/// Text chunk `index`, valid until `close`.
tessera_png_text tessera_png_reader_text(const tessera_png_reader *reader, int index);

/// The last error, valid until `close`.
const char *tessera_png_reader_error(const tessera_png_reader *reader);

void tessera_png_reader_close(tessera_png_reader *reader);

#endif
