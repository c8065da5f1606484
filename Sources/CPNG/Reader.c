#include "CPNG.h"

#include "Fault.h"

#include <stdlib.h>
#include <string.h>

struct tessera_png_reader {
    tessera_png_fault fault;
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t count;
    size_t at;
    int passes;
};

// Bounds on what a hostile file can make libpng keep: side in pixels, bytes of one chunk, chunks.
enum { LONGEST_SIDE = 1 << 20, LARGEST_CHUNK = 1 << 23, MOST_CHUNKS = 200 };

static void take(png_structp png, png_bytep out, size_t count) {
    tessera_png_reader *reader = png_get_io_ptr(png);
    if (count > reader->count - reader->at) png_error(png, "it ends too early");
    memcpy(out, reader->bytes + reader->at, count);
    reader->at += count;
}

tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count) {
    tessera_png_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->bytes = bytes;
    reader->count = count;
    if (setjmp(reader->fault.landing) != 0) goto failed;
    reader->png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, &reader->fault, tessera_png_fail, tessera_png_ignore);
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

int tessera_png_reader_header(tessera_png_reader *reader, tessera_png_header *header) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    png_read_info(reader->png, reader->info);
    header->width = png_get_image_width(reader->png, reader->info);
    header->height = png_get_image_height(reader->png, reader->info);
    header->stored_bytes =
        (uint64_t)png_get_rowbytes(reader->png, reader->info) * header->height;
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
