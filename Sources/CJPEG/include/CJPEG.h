/// Wraps libjpeg's ordinary interface, whose errors longjmp, which must not cross Swift frames; these functions return
/// instead.
///
/// Functions that return int return 0, or −1 after an error, whose text `…_error` gives. After an error only that text
/// and `close` may be used.
#ifndef TESSERA_CJPEG_H
#define TESSERA_CJPEG_H

#include <stddef.h>
#include <stdint.h>

/// Largest side that libjpeg handles, in pixels.
enum { TESSERA_JPEG_LONGEST_SIDE = 65500 };

/// Reads one picture, row by row.
typedef struct tessera_jpeg_reader tessera_jpeg_reader;

/// The properties of a picture that are known before its rows are read.
typedef struct {
    uint32_t width;
    uint32_t height;
    /// 1 for grey, 3 for RGB, 4 for CMYK.
    int channels;
} tessera_jpeg_header;

/// Reads from an open file, from its current offset. Returns null if out of memory. The caller closes the file after
/// the reader.
tessera_jpeg_reader *tessera_jpeg_reader_open(int descriptor);

/// Reads everything before the rows.
int tessera_jpeg_reader_header(tessera_jpeg_reader *reader, tessera_jpeg_header *header);

/// Reads the next row: `channels` · width samples of 16 bits; CMYK values are amounts of ink.
///
/// The first call reads a progressive picture to its end and keeps its coefficients: at most 768 MiB and 100 scans.
int tessera_jpeg_reader_row(tessera_jpeg_reader *reader, uint16_t *row);

/// Reads what follows the last row.
int tessera_jpeg_reader_finish(tessera_jpeg_reader *reader);

/// The last error, valid until `close`.
const char *tessera_jpeg_reader_error(const tessera_jpeg_reader *reader);

void tessera_jpeg_reader_close(tessera_jpeg_reader *reader);

/// Writes one RGB picture, 8 bits per sample, into an open file.
typedef struct tessera_jpeg_writer tessera_jpeg_writer;

/// Returns null if out of memory. The caller keeps `descriptor` and closes it after the writer.
tessera_jpeg_writer *tessera_jpeg_writer_open(int descriptor);

/// Writes everything before the rows. Chroma has full resolution from quality 90 on, and half resolution below.
///
/// - Parameters:
///   - quality: 1 to 100
///   - exif: content of an APP1 segment
///   - count: size of `exif` in bytes, at most 65,533
int tessera_jpeg_writer_begin(
    tessera_jpeg_writer *writer, uint32_t width, uint32_t height, int quality, const uint8_t *exif, size_t count);

/// Appends `count` rows of 3 · width bytes, `stride` bytes apart.
int tessera_jpeg_writer_rows(
    tessera_jpeg_writer *writer, const uint8_t *rows, size_t count, size_t stride);

/// Writes the end of the file, after the last row.
int tessera_jpeg_writer_end(tessera_jpeg_writer *writer);

/// The last error, valid until `close`.
const char *tessera_jpeg_writer_error(const tessera_jpeg_writer *writer);

void tessera_jpeg_writer_close(tessera_jpeg_writer *writer);

#endif
