#include "CTIFF.h"

#include "TIFFSamples.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <unistd.h>

// Limits on what a malicious file can make libtiff or us allocate: side in pixels, samples per pixel, bytes per
// allocation.
enum { LONGEST_SIDE = 1 << 20, MOST_SAMPLES = 16, LARGEST_PART = 512 << 20 };

struct tessera_tiff_reader {
    TIFF *tiff;
    int descriptor;
    uint64_t at;
    uint32_t width, height, next;
    tessera_tiff_samples samples;
    uint16_t colours, photometric, compression;
    // Index of the alpha sample; negative if there is none.
    int alpha;
    int premultiplied;
    // One plane with all samples, or one plane per sample.
    uint16_t planes, planar;
    int is_tiled;
    // Rows per strip or tile, and bytes per row of one plane.
    uint32_t part_rows;
    size_t line;
    // Decoded rows of every plane: one row of tiles or strips, or a single row.
    uint8_t *rows;
    size_t tile_bytes;
    uint8_t *tile;
    // One row of all samples, expanded to 16 bits.
    uint16_t *expanded;
    // The palette: red, green and blue, `1 << bits` entries each.
    uint16_t *palette[3];
    int palette_shift;
    char error[300];
};

static int fail(tessera_tiff_reader *reader, const char *text) {
    if (!reader->error[0]) snprintf(reader->error, sizeof reader->error, "%s", text);
    return -1;
}

static int note(TIFF *handle, void *user, const char *module, const char *format, va_list arguments) {
    (void)handle;
    (void)module;
    char text[300];
    vsnprintf(text, sizeof text, format, arguments);
    fail(user, text);
    return 1;
}

// Warnings are about tags that do not affect pixels, or about sizes for which an error follows.
static int ignore(TIFF *handle, void *user, const char *module, const char *format, va_list arguments) {
    (void)handle;
    (void)user;
    (void)module;
    (void)format;
    (void)arguments;
    return 1;
}

static int read_at(tessera_tiff_reader *reader, void *bytes, size_t count, uint64_t at) {
    size_t done = 0;
    while (done < count) {
        ssize_t part = pread(reader->descriptor, (char *)bytes + done, count - done, (off_t)(at + done));
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return fail(reader, strerror(errno));
        if (part == 0) return fail(reader, "it ends too early");
        done += (size_t)part;
    }
    return 0;
}

static tmsize_t take(thandle_t handle, void *bytes, tmsize_t count) {
    tessera_tiff_reader *reader = handle;
    tmsize_t done = 0;
    while (done < count) {
        ssize_t part =
            pread(reader->descriptor, (char *)bytes + done, (size_t)(count - done), (off_t)reader->at);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) break;
        done += part;
        reader->at += (uint64_t)part;
    }
    return done;
}

static tmsize_t refuse(thandle_t handle, void *bytes, tmsize_t count) {
    (void)handle;
    (void)bytes;
    (void)count;
    return -1;
}

static toff_t size_of(thandle_t handle) {
    struct stat status;
    return fstat(((tessera_tiff_reader *)handle)->descriptor, &status) == 0 ? (toff_t)status.st_size : 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    tessera_tiff_reader *reader = handle;
    switch (whence) {
    case SEEK_CUR: reader->at += offset; break;
    case SEEK_END: reader->at = size_of(handle) + offset; break;
    default: reader->at = offset;
    }
    return reader->at;
}

static int leave(thandle_t handle) {
    (void)handle;
    return 0;
}

tessera_tiff_reader *tessera_tiff_reader_open(int descriptor) {
    tessera_tiff_reader *reader = calloc(1, sizeof *reader);
    if (reader) reader->descriptor = descriptor;
    return reader;
}

// The compressions that picture files commonly use. libtiff's others are rare and less trustworthy.
static int is_known(uint16_t compression) {
    switch (compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW:
    case COMPRESSION_JPEG:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_LZMA:
    case COMPRESSION_ZSTD:
    case COMPRESSION_WEBP: return TIFFIsCODECConfigured(compression);
    default: return 0;
    }
}

static int read_photometric(tessera_tiff_reader *reader) {
    TIFF *t = reader->tiff;
    if (!TIFFGetField(t, TIFFTAG_PHOTOMETRIC, &reader->photometric)) {
        return fail(reader, "it does not say what kind of colours it has");
    }
    uint16_t ink = INKSET_CMYK;
    switch (reader->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK: reader->colours = 1; return 0;
    case PHOTOMETRIC_RGB: reader->colours = 3; return 0;
    case PHOTOMETRIC_PALETTE: reader->colours = 1; return 0;
    case PHOTOMETRIC_SEPARATED:
        TIFFGetFieldDefaulted(t, TIFFTAG_INKSET, &ink);
        if (ink != INKSET_CMYK) return fail(reader, "its inks are not cyan, magenta, yellow and black");
        reader->colours = 4;
        return 0;
    case PHOTOMETRIC_YCBCR:
        if (reader->compression != COMPRESSION_JPEG || reader->planar != PLANARCONFIG_CONTIG) {
            return fail(reader, "its colours are YCbCr without JPEG compression, which is not supported");
        }
        TIFFSetField(t, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        reader->colours = 3;
        return 0;
    default: return fail(reader, "its colours are neither grey, RGB, CMYK nor a palette");
    }
}

static int read_palette(tessera_tiff_reader *reader) {
    uint16_t **p = reader->palette;
    if (reader->samples.bits > 8 || reader->samples.format != SAMPLEFORMAT_UINT
        || !TIFFGetField(reader->tiff, TIFFTAG_COLORMAP, p, p + 1, p + 2)) {
        return fail(reader, "it has no palette of at most 256 colours");
    }
    // Some programs write 8 bits per colour instead of 16.
    int is_short = 1;
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < 1 << reader->samples.bits; i++) is_short &= p[c][i] < 256;
    }
    reader->palette_shift = is_short ? 257 : 1;
    return 0;
}

static int read_alpha(tessera_tiff_reader *reader) {
    uint16_t count = 0, *kinds = NULL;
    reader->alpha = -1;
    TIFFGetFieldDefaulted(reader->tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds);
    for (int i = 0; i < count && reader->colours + i < reader->samples.count; i++) {
        if (kinds[i] != EXTRASAMPLE_ASSOCALPHA && kinds[i] != EXTRASAMPLE_UNASSALPHA) continue;
        reader->alpha = reader->colours + i;
        reader->premultiplied = kinds[i] == EXTRASAMPLE_ASSOCALPHA;
        return 0;
    }
    return 0;
}

// Determines how rows are split into strips or tiles, and allocates memory for them.
static int read_layout(tessera_tiff_reader *reader) {
    TIFF *t = reader->tiff;
    size_t bits = (size_t)reader->samples.bits
        * (reader->planar == PLANARCONFIG_CONTIG ? reader->samples.count : 1);
    reader->planes = reader->planar == PLANARCONFIG_CONTIG ? 1 : reader->samples.count;
    reader->line = (bits * reader->width + 7) / 8;
    reader->is_tiled = TIFFIsTiled(t);
    uint32_t kept = 1;
    if (reader->is_tiled) {
        uint32_t across = 0;
        if (!TIFFGetField(t, TIFFTAG_TILEWIDTH, &across) || !TIFFGetField(t, TIFFTAG_TILELENGTH, &reader->part_rows)
            || across == 0 || across > LONGEST_SIDE || across % 8 != 0 || reader->part_rows == 0) {
            return fail(reader, "its tiles have an unusable size");
        }
        if ((uint64_t)TIFFTileRowSize64(t) != (uint64_t)bits * across / 8) {
            return fail(reader, "its tiles are of an unknown kind");
        }
        reader->tile_bytes = (size_t)TIFFTileSize64(t);
        kept = reader->part_rows;
        if (reader->tile_bytes == 0 || reader->tile_bytes > LARGEST_PART) return fail(reader, "its tiles are too large");
        reader->tile = malloc(reader->tile_bytes);
        if (!reader->tile) return fail(reader, "out of memory");
    } else {
        TIFFGetFieldDefaulted(t, TIFFTAG_ROWSPERSTRIP, &reader->part_rows);
        if (reader->part_rows == 0) return fail(reader, "its strips are empty");
        if (reader->part_rows > reader->height) reader->part_rows = reader->height;
        if ((uint64_t)TIFFScanlineSize64(t) != reader->line) return fail(reader, "its rows are of an unknown kind");
        if (reader->planes > 1 && reader->compression != COMPRESSION_NONE) kept = reader->part_rows;
    }
    uint64_t bytes = (uint64_t)reader->line * reader->planes * kept;
    if (bytes > LARGEST_PART) return fail(reader, "its strips or tiles are too large");
    reader->rows = calloc(1, (size_t)bytes);
    reader->expanded = malloc(sizeof(uint16_t) * reader->width * reader->samples.count);
    return reader->rows && reader->expanded ? 0 : fail(reader, "out of memory");
}

int tessera_tiff_reader_header(tessera_tiff_reader *reader, tessera_tiff_header *header) {
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options) return fail(reader, "out of memory");
    TIFFOpenOptionsSetErrorHandlerExtR(options, note, reader);
    TIFFOpenOptionsSetWarningHandlerExtR(options, ignore, reader);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, LARGEST_PART);
    // m: no memory mapping of a file that others may truncate.
    TIFF *t = reader->tiff = TIFFClientOpenExt(
        "picture", "rm", reader, take, refuse, seek, leave, size_of, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    if (!t) return fail(reader, "it cannot be read");
    if (reader->error[0]) return -1;
    TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &reader->width);
    TIFFGetField(t, TIFFTAG_IMAGELENGTH, &reader->height);
    if (reader->width < 1 || reader->height < 1 || reader->width > LONGEST_SIDE || reader->height > LONGEST_SIDE) {
        return fail(reader, "its sides are out of range");
    }
    TIFFGetFieldDefaulted(t, TIFFTAG_COMPRESSION, &reader->compression);
    if (!is_known(reader->compression)) return fail(reader, "its compression is not supported");
    TIFFGetFieldDefaulted(t, TIFFTAG_PLANARCONFIG, &reader->planar);
    TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLESPERPIXEL, &reader->samples.count);
    TIFFGetFieldDefaulted(t, TIFFTAG_BITSPERSAMPLE, &reader->samples.bits);
    TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLEFORMAT, &reader->samples.format);
    if (reader->planar != PLANARCONFIG_CONTIG && reader->planar != PLANARCONFIG_SEPARATE) {
        return fail(reader, "its samples are in an unknown order");
    }
    if (read_photometric(reader) != 0) return -1;
    if (reader->samples.count < reader->colours || reader->samples.count > MOST_SAMPLES) {
        return fail(reader, "it has an unusable number of samples for each pixel");
    }
    if (!tessera_tiff_samples_known(reader->samples)) {
        return fail(reader, "its numbers are of an unsupported kind: use whole numbers of 1 to 16 or 32 bits, or floats");
    }
    if (reader->photometric == PHOTOMETRIC_PALETTE && read_palette(reader) != 0) return -1;
    if (read_alpha(reader) != 0 || read_layout(reader) != 0) return -1;
    uint32_t size = 0;
    void *profile = NULL;
    if (TIFFGetField(t, TIFFTAG_ICCPROFILE, &size, &profile)) {
        header->profile = profile;
        header->profile_size = size;
    } else {
        header->profile = NULL;
        header->profile_size = 0;
    }
    char *text = NULL;
    header->description = TIFFGetField(t, TIFFTAG_IMAGEDESCRIPTION, &text) ? text : NULL;
    header->software = TIFFGetField(t, TIFFTAG_SOFTWARE, &text) ? text : NULL;
    header->settings = NULL;
    header->settings_size = 0;
    // For a tag that it does not know, libtiff makes an anonymous field: with a count if it is text.
    const TIFFField *field = TIFFFindField(t, TESSERA_TIFF_SETTINGS, TIFF_ASCII);
    if (field && TIFFFieldDataType(field) == TIFF_ASCII && TIFFFieldPassCount(field)
        && TIFFGetField(t, TESSERA_TIFF_SETTINGS, &size, &text)) {
        header->settings = text;
        header->settings_size = size;
    }
    uint16_t orientation = ORIENTATION_TOPLEFT;
    TIFFGetFieldDefaulted(t, TIFFTAG_ORIENTATION, &orientation);
    header->width = reader->width;
    header->height = reader->height;
    header->colours = reader->palette[0] ? 3 : reader->colours;
    header->has_alpha = reader->alpha >= 0;
    header->orientation = orientation;
    header->depth = reader->samples.bits;
    return reader->error[0] ? -1 : 0;
}

// Decodes one row of tiles into `rows`, side by side.
static int read_tiles(tessera_tiff_reader *reader) {
    TIFF *t = reader->tiff;
    uint32_t across = 0;
    TIFFGetField(t, TIFFTAG_TILEWIDTH, &across);
    size_t tile_line = reader->tile_bytes / reader->part_rows;
    for (uint16_t plane = 0; plane < reader->planes; plane++) {
        uint8_t *to = reader->rows + (size_t)plane * reader->part_rows * reader->line;
        size_t left = 0;
        for (uint32_t x = 0; x < reader->width; x += across, left += tile_line) {
            ttile_t number = TIFFComputeTile(t, x, reader->next, 0, plane);
            if (TIFFReadEncodedTile(t, number, reader->tile, (tmsize_t)reader->tile_bytes)
                != (tmsize_t)reader->tile_bytes) {
                return fail(reader, "a tile is damaged");
            }
            size_t part = tile_line < reader->line - left ? tile_line : reader->line - left;
            for (uint32_t y = 0; y < reader->part_rows; y++) {
                memcpy(to + y * reader->line + left, reader->tile + y * tile_line, part);
            }
        }
    }
    return 0;
}

// Decodes one strip of every plane.
static int read_planes(tessera_tiff_reader *reader) {
    TIFF *t = reader->tiff;
    uint32_t left = reader->height - reader->next;
    uint32_t rows = left < reader->part_rows ? left : reader->part_rows;
    tmsize_t bytes = (tmsize_t)(rows * reader->line);
    for (uint16_t plane = 0; plane < reader->planes; plane++) {
        uint8_t *to = reader->rows + (size_t)plane * reader->part_rows * reader->line;
        if (TIFFReadEncodedStrip(t, TIFFComputeStrip(t, reader->next, plane), to, bytes) != bytes) {
            return fail(reader, "a strip is damaged");
        }
    }
    return 0;
}

// Reads one row of an uncompressed strip, however long the strip is.
static int read_stored(tessera_tiff_reader *reader) {
    TIFF *t = reader->tiff;
    for (uint16_t plane = 0; plane < reader->planes; plane++) {
        uint32_t strip = TIFFComputeStrip(t, reader->next, plane);
        uint64_t from = (uint64_t)(reader->next % reader->part_rows) * reader->line;
        uint64_t start = TIFFGetStrileOffset(t, strip), count = TIFFGetStrileByteCount(t, strip);
        if (start == 0 || count < from + reader->line) return fail(reader, "a strip is missing or too short");
        uint8_t *row = reader->rows + plane * reader->line;
        if (read_at(reader, row, reader->line, start + from) != 0) return -1;
        uint16_t order = FILLORDER_MSB2LSB;
        TIFFGetFieldDefaulted(t, TIFFTAG_FILLORDER, &order);
        if (order == FILLORDER_LSB2MSB) TIFFReverseBits(row, (tmsize_t)reader->line);
        if (TIFFIsByteSwapped(t)) tessera_tiff_samples_swap(reader->samples, row, reader->line);
    }
    return 0;
}

// Returns the next row of a plane in `rows`, and decodes when a new strip or row of tiles begins.
static int read_next(tessera_tiff_reader *reader, size_t *offset, size_t *pitch) {
    int is_first = reader->next % reader->part_rows == 0;
    *offset = 0;
    *pitch = reader->line;
    if (!reader->is_tiled && reader->compression == COMPRESSION_NONE) return read_stored(reader);
    if (!reader->is_tiled && reader->planes == 1) {
        return TIFFReadScanline(reader->tiff, reader->rows, reader->next, 0) == 1
            ? 0 : fail(reader, "a row is damaged");
    }
    *offset = (reader->next % reader->part_rows) * reader->line;
    *pitch = (size_t)reader->part_rows * reader->line;
    if (!is_first) return 0;
    return reader->is_tiled ? read_tiles(reader) : read_planes(reader);
}

int tessera_tiff_reader_row(tessera_tiff_reader *reader, uint16_t *row) {
    if (reader->error[0]) return -1;
    if (reader->next >= reader->height) return fail(reader, "it has no further row");
    size_t offset = 0, pitch = 0;
    if (read_next(reader, &offset, &pitch) != 0) return -1;
    if (reader->error[0]) return -1;
    uint16_t *x = reader->expanded;
    size_t width = reader->width, count = reader->samples.count;
    // Palette indices are not scaled.
    int raw = reader->palette[0] != NULL;
    if (reader->planes == 1) {
        tessera_tiff_samples_expand(reader->samples, reader->rows + offset, width * count, 1, x, raw);
    } else {
        for (size_t plane = 0; plane < count; plane++) {
            tessera_tiff_samples_expand(
                reader->samples, reader->rows + plane * pitch + offset, width, count, x + plane, raw);
        }
    }
    int colours = raw ? 3 : reader->colours, alpha = reader->alpha;
    uint16_t flip = reader->photometric == PHOTOMETRIC_MINISWHITE ? 65535 : 0;
    size_t channels = (size_t)colours + (alpha >= 0);
    uint32_t highest = raw ? (1u << reader->samples.bits) - 1 : 65535;
    for (size_t i = 0; i < width; i++) {
        const uint16_t *from = x + i * count;
        uint16_t *to = row + i * channels;
        for (int c = 0; c < colours; c++) {
            to[c] = raw ? (uint16_t)(reader->palette[c][from[0]] * reader->palette_shift)
                        : (uint16_t)(from[c] ^ flip);
        }
        if (alpha < 0) continue;
        uint32_t opacity = (uint32_t)from[alpha] * 65535 / highest;
        to[colours] = (uint16_t)opacity;
        if (!reader->premultiplied || opacity == 0) continue;
        for (int c = 0; c < colours; c++) {
            uint32_t straight = (to[c] * 65535u + opacity / 2) / opacity;
            to[c] = (uint16_t)(straight > 65535 ? 65535 : straight);
        }
    }
    reader->next++;
    return 0;
}

const char *tessera_tiff_reader_error(const tessera_tiff_reader *reader) { return reader->error; }

void tessera_tiff_reader_close(tessera_tiff_reader *reader) {
    if (reader->tiff) TIFFClose(reader->tiff);
    free(reader->rows);
    free(reader->tile);
    free(reader->expanded);
    free(reader);
}
