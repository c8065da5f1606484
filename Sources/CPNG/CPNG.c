#include "CPNG.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { message_size = 160 };

static void keep_message(char *to, const char *text) {
    snprintf(to, message_size, "%s", text);
}

static void warn(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

// ---------------------------------------------------------------------------------------- writing

struct tessera_png_writer {
    png_structp png;
    png_infop info;
    int descriptor;
    char message[message_size];
};

static void writer_fail(png_structp png, png_const_charp text) {
    tessera_png_writer *w = png_get_error_ptr(png);
    keep_message(w->message, text);
    png_longjmp(png, 1);
}

static void writer_write(png_structp png, png_bytep bytes, size_t count) {
    tessera_png_writer *w = png_get_io_ptr(png);
    while (count > 0) {
        ssize_t done = write(w->descriptor, bytes, count);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) png_error(png, strerror(done < 0 ? errno : ENOSPC));
        bytes += done;
        count -= (size_t)done;
    }
}

static void writer_flush(png_structp png) { (void)png; }

tessera_png_writer *tessera_png_writer_open(int descriptor, uint32_t width, uint32_t height) {
    tessera_png_writer *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->descriptor = descriptor;
    w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w, writer_fail, warn);
    w->info = w->png ? png_create_info_struct(w->png) : NULL;
    if (!w->info || setjmp(png_jmpbuf(w->png))) {
        tessera_png_writer_close(w);
        return NULL;
    }
    png_set_write_fn(w->png, w, writer_write, writer_flush);
    png_set_user_limits(w->png, 0x7fffffff, 0x7fffffff);
    png_set_IHDR(w->png, w->info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(w->png, w->info, PNG_sRGB_INTENT_PERCEPTUAL);
    return w;
}

int tessera_png_writer_text(tessera_png_writer *w, const char *key, const char *value) {
    if (setjmp(png_jmpbuf(w->png))) return -1;
    int ascii = 1;
    for (const char *c = value; *c; c++) ascii &= (unsigned char)*c < 0x80;
    png_text text = {0};
    text.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    // libpng copies both.
    text.key = (png_charp)key;
    text.text = (png_charp)value;
    if (ascii) text.text_length = strlen(value);
    else text.itxt_length = strlen(value);
    png_set_text(w->png, w->info, &text, 1);
    return 0;
}

int tessera_png_writer_begin(tessera_png_writer *w) {
    if (setjmp(png_jmpbuf(w->png))) return -1;
    png_write_info(w->png, w->info);
    return 0;
}

int tessera_png_writer_rows(tessera_png_writer *w, const uint8_t *rows, size_t count, size_t stride) {
    if (setjmp(png_jmpbuf(w->png))) return -1;
    for (size_t i = 0; i < count; i++) png_write_row(w->png, rows + i * stride);
    return 0;
}

int tessera_png_writer_end(tessera_png_writer *w) {
    if (setjmp(png_jmpbuf(w->png))) return -1;
    png_write_end(w->png, w->info);
    return 0;
}

const char *tessera_png_writer_error(const tessera_png_writer *w) { return w->message; }

void tessera_png_writer_close(tessera_png_writer *w) {
    if (w->png) png_destroy_write_struct(&w->png, w->info ? &w->info : NULL);
    free(w);
}

// ---------------------------------------------------------------------------------------- reading

struct tessera_png_reader {
    png_structp png;
    png_infop info;
    uint8_t *bytes;
    size_t count;
    size_t at;
    int text_count;
    png_textp texts;
    char message[message_size];
};

static void reader_fail(png_structp png, png_const_charp text) {
    tessera_png_reader *r = png_get_error_ptr(png);
    keep_message(r->message, text);
    png_longjmp(png, 1);
}

static void reader_read(png_structp png, png_bytep to, size_t count) {
    tessera_png_reader *r = png_get_io_ptr(png);
    if (count > r->count - r->at) png_error(png, "it ends too early");
    memcpy(to, r->bytes + r->at, count);
    r->at += count;
}

tessera_png_reader *tessera_png_reader_open(const uint8_t *bytes, size_t count) {
    tessera_png_reader *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->bytes = malloc(count ? count : 1);
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, reader_fail, warn);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->bytes || !r->info || setjmp(png_jmpbuf(r->png))) {
        tessera_png_reader_close(r);
        return NULL;
    }
    if (count) memcpy(r->bytes, bytes, count);
    r->count = count;
    png_set_read_fn(r->png, r, reader_read);
    // A hostile file must not make libpng allocate much: at most this per chunk, and so many chunks.
    png_set_chunk_malloc_max(r->png, 8 << 20);
    png_set_chunk_cache_max(r->png, 200);
    png_set_user_limits(r->png, 0x7fffff, 0x7fffff);
    return r;
}

int tessera_png_reader_header(tessera_png_reader *r, uint32_t *width, uint32_t *height) {
    if (setjmp(png_jmpbuf(r->png))) return -1;
    png_read_info(r->png, r->info);
    png_set_expand(r->png);
    png_set_scale_16(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    *width = png_get_image_width(r->png, r->info);
    *height = png_get_image_height(r->png, r->info);
    if (png_get_rowbytes(r->png, r->info) != 3 * (size_t)*width) png_error(r->png, "its rows are not RGB");
    return 0;
}

int tessera_png_reader_rows(tessera_png_reader *r, uint8_t *rows, size_t stride) {
    uint32_t height = png_get_image_height(r->png, r->info);
    png_bytep *volatile table = malloc(height * sizeof *table);
    if (!table) {
        keep_message(r->message, "memory is short");
        return -1;
    }
    for (uint32_t i = 0; i < height; i++) table[i] = rows + i * stride;
    if (setjmp(png_jmpbuf(r->png))) {
        free(table);
        return -1;
    }
    png_read_image(r->png, table);
    png_read_end(r->png, r->info);
    free(table);
    r->text_count = png_get_text(r->png, r->info, &r->texts, NULL);
    return 0;
}

int tessera_png_reader_text_count(const tessera_png_reader *r) { return r->text_count; }

const char *tessera_png_reader_text_key(const tessera_png_reader *r, int i) { return r->texts[i].key; }

const char *tessera_png_reader_text_value(const tessera_png_reader *r, int i) {
    return r->texts[i].text ? r->texts[i].text : "";
}

const char *tessera_png_reader_error(const tessera_png_reader *r) { return r->message; }

void tessera_png_reader_close(tessera_png_reader *r) {
    if (r->png) png_destroy_read_struct(&r->png, r->info ? &r->info : NULL, NULL);
    free(r->bytes);
    free(r);
}
