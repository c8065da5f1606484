#include "CPNG.h"

#include "Fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tessera_png_reader {
    // Must be the first field: libpng passes its address.
    tessera_png_fault fault;
    png_structp png;
    png_infop info;
    // Bytes to parse: the whole picture, or the last block read from the file.
    const uint8_t *bytes;
    size_t count;
    size_t at;
    // Negative when reading from memory.
    int descriptor;
    // Whether chunks in `UNUSED` are skipped.
    int skips;
    int passes;
    uint8_t buffer[1 << 16];
};

// Limits on what a malicious file can make libpng allocate: side in pixels, bytes per chunk, number of text chunks.
enum { LONGEST_SIDE = 1 << 20, LARGEST_CHUNK = 1 << 23, MOST_CHUNKS = 32 };

// Chunks that `plain_header` does not need: five bytes each, the form libpng expects.
static const char UNUSED[] = "tEXt\0zTXt\0iTXt\0sPLT\0pCAL\0sCAL\0hIST\0tIME\0oFFs\0pHYs\0bKGD\0sBIT\0eXIf";
enum { UNUSED_COUNT = sizeof UNUSED / 5 };

static int is_unused(png_const_charp text) {
    for (int i = 0; i < UNUSED_COUNT; i++) {
        if (strncmp(text, UNUSED + 5 * i, 4) == 0) return 1;
    }
    return 0;
}

// For a chunk that is too long, libpng only warns, and then allocates the claimed length, up to 2 GiB.
static void warned(png_structp png, png_const_charp text) {
    const tessera_png_reader *reader = png_get_error_ptr(png);
    if (!strstr(text, "chunk data is too large")) return;
    if (!(reader->skips && is_unused(text))) png_error(png, text);
}

static void refill(png_structp png, tessera_png_reader *reader) {
    ssize_t count = 0;
    if (reader->descriptor >= 0) {
        do {
            count = read(reader->descriptor, reader->buffer, sizeof reader->buffer);
        } while (count < 0 && errno == EINTR);
        if (count < 0) png_error(png, strerror(errno));
    }
    if (count == 0) png_error(png, "it ends too early");
    reader->bytes = reader->buffer;
    reader->count = (size_t)count;
    reader->at = 0;
}

static void take(png_structp png, png_bytep out, size_t count) {
    tessera_png_reader *reader = png_get_io_ptr(png);
    while (count > 0) {
        if (reader->at == reader->count) refill(png, reader);
        size_t rest = reader->count - reader->at;
        size_t part = count < rest ? count : rest;
        memcpy(out, reader->bytes + reader->at, part);
        reader->at += part;
        out += part;
        count -= part;
    }
}

static tessera_png_reader *make(const uint8_t *bytes, size_t count, int descriptor) {
    tessera_png_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->bytes = bytes;
    reader->count = count;
    reader->descriptor = descriptor;
    if (setjmp(reader->fault.landing) != 0) goto failed;
    reader->png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, &reader->fault, tessera_png_fail, warned);
    if (!reader->png) goto failed;
    reader->info = png_create_info_struct(reader->png);
    if (!reader->info) goto failed;
    png_set_user_limits(reader->png, LONGEST_SIDE, LONGEST_SIDE);
    png_set_chunk_malloc_max(reader->png, LARGEST_CHUNK);
    png_set_chunk_cache_max(reader->png, MOST_CHUNKS);
    png_set_read_fn(reader->png, reader, take);
    return reader;
failed:
    tessera_png_reader_close(reader);
    return NULL;
}

tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count) {
    return make(bytes, count, -1);
}

tessera_png_reader *tessera_png_reader_open_file(int descriptor) {
    return make(NULL, 0, descriptor);
}

static void read_info(tessera_png_reader *reader, tessera_png_header *header) {
    png_read_info(reader->png, reader->info);
    header->width = png_get_image_width(reader->png, reader->info);
    header->height = png_get_image_height(reader->png, reader->info);
    header->stored_bytes =
        (uint64_t)png_get_rowbytes(reader->png, reader->info) * header->height;
}

int tessera_png_reader_header(tessera_png_reader *reader, tessera_png_header *header) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    read_info(reader, header);
    png_set_expand(reader->png);
    png_set_scale_16(reader->png);
    png_set_gray_to_rgb(reader->png);
    png_set_strip_alpha(reader->png);
    reader->passes = png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    if (png_get_rowbytes(reader->png, reader->info) != (size_t)3 * header->width) {
        png_error(reader->png, "its pixels are of an unknown kind");
    }
    return 0;
}

int tessera_png_reader_rows(tessera_png_reader *reader, uint8_t *pixels, size_t stride) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    size_t height = png_get_image_height(reader->png, reader->info);
    for (int pass = 0; pass < reader->passes; pass++) {
        for (size_t y = 0; y < height; y++) {
            png_read_row(reader->png, pixels + y * stride, NULL);
        }
    }
    png_read_end(reader->png, reader->info);
    return 0;
}

static void read_colours(tessera_png_reader *reader, tessera_png_colours *colours) {
    png_structp png = reader->png;
    png_infop info = reader->info;
    memset(colours, 0, sizeof *colours);
    png_charp name = NULL;
    png_bytep profile = NULL;
    png_uint_32 size = 0;
    int compression = 0, intent = 0;
    if (png_get_iCCP(png, info, &name, &compression, &profile, &size) == PNG_INFO_iCCP) {
        colours->profile = profile;
        colours->profile_size = size;
    }
    colours->is_srgb = png_get_sRGB(png, info, &intent) == PNG_INFO_sRGB;
    if (png_get_gAMA(png, info, &colours->gamma) != PNG_INFO_gAMA) colours->gamma = 0;
    double *c = colours->chromaticities;
    if (png_get_cHRM(png, info, c, c + 1, c + 2, c + 3, c + 4, c + 5, c + 6, c + 7)
        != PNG_INFO_cHRM) {
        memset(c, 0, sizeof colours->chromaticities);
    }
}

int tessera_png_reader_plain_header(
    tessera_png_reader *reader, tessera_png_header *header, tessera_png_rows_layout *layout,
    tessera_png_colours *colours) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    reader->skips = 1;
    png_set_keep_unknown_chunks(
        reader->png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep)UNUSED, UNUSED_COUNT);
    read_info(reader, header);
    read_colours(reader, colours);
    png_set_expand_16(reader->png);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    png_set_swap(reader->png);
#endif
    layout->passes = reader->passes = png_set_interlace_handling(reader->png);
    png_read_update_info(reader->png, reader->info);
    layout->channels = png_get_channels(reader->png, reader->info);
    if (png_get_rowbytes(reader->png, reader->info)
        != (size_t)2 * (size_t)layout->channels * header->width) {
        png_error(reader->png, "its pixels are of an unknown kind");
    }
    return 0;
}

int tessera_png_reader_row(tessera_png_reader *reader, uint16_t *row) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    png_read_row(reader->png, (png_bytep)row, NULL);
    return 0;
}

int tessera_png_reader_finish(tessera_png_reader *reader) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    png_read_end(reader->png, reader->info);
    return 0;
}

int tessera_png_reader_text_count(const tessera_png_reader *reader) {
    return png_get_text(reader->png, reader->info, NULL, NULL);
}

tessera_png_text tessera_png_reader_text(const tessera_png_reader *reader, int index) {
    png_textp texts = NULL;
    png_get_text(reader->png, reader->info, &texts, NULL);
    int utf8 = texts[index].compression >= PNG_ITXT_COMPRESSION_NONE;
    return (tessera_png_text){
        .key = texts[index].key,
        .value = texts[index].text,
        .key_length = strlen(texts[index].key),
        .value_length = utf8 ? texts[index].itxt_length : texts[index].text_length,
        .utf8 = utf8,
    };
}

const char *tessera_png_reader_error(const tessera_png_reader *reader) {
    return reader->fault.text;
}

void tessera_png_reader_close(tessera_png_reader *reader) {
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    free(reader);
}
