#include "CJPEG.h"

#include "JPEGFault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tessera_jpeg_writer {
    tessera_jpeg_fault fault;
    struct jpeg_compress_struct info;
    struct jpeg_destination_mgr destination;
    int descriptor;
    uint8_t buffer[1 << 16];
};

static void put(j_compress_ptr info, size_t count) {
    tessera_jpeg_writer *writer = info->client_data;
    size_t done = 0;
    while (done < count) {
        ssize_t part = write(writer->descriptor, writer->buffer + done, count - done);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) tessera_jpeg_fail((j_common_ptr)info, strerror(errno));
        done += (size_t)part;
    }
    writer->destination.next_output_byte = writer->buffer;
    writer->destination.free_in_buffer = sizeof writer->buffer;
}

static void start(j_compress_ptr info) { put(info, 0); }

static boolean empty(j_compress_ptr info) {
    put(info, sizeof ((tessera_jpeg_writer *)info->client_data)->buffer);
    return TRUE;
}

static void stop(j_compress_ptr info) {
    tessera_jpeg_writer *writer = info->client_data;
    put(info, sizeof writer->buffer - writer->destination.free_in_buffer);
}

tessera_jpeg_writer *tessera_jpeg_writer_open(int descriptor) {
    tessera_jpeg_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return NULL;
    writer->descriptor = descriptor;
    tessera_jpeg_fault_install(&writer->fault, (j_common_ptr)&writer->info);
    if (setjmp(writer->fault.landing) != 0) {
        tessera_jpeg_writer_close(writer);
        return NULL;
    }
    jpeg_create_compress(&writer->info);
    writer->info.client_data = writer;
    writer->destination = (struct jpeg_destination_mgr){
        .init_destination = start,
        .empty_output_buffer = empty,
        .term_destination = stop,
    };
    writer->info.dest = &writer->destination;
    return writer;
}

int tessera_jpeg_writer_begin(
    tessera_jpeg_writer *writer, uint32_t width, uint32_t height, int quality, const uint8_t *exif, size_t count) {
    if (setjmp(writer->fault.landing) != 0) return -1;
    j_compress_ptr info = &writer->info;
    info->image_width = width;
    info->image_height = height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    if (quality >= 90) info->comp_info[0].h_samp_factor = info->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(info, TRUE);
    if (count > 0) jpeg_write_marker(info, JPEG_APP0 + 1, exif, (unsigned int)count);
    return 0;
}

int tessera_jpeg_writer_rows(
    tessera_jpeg_writer *writer, const uint8_t *rows, size_t count, size_t stride) {
    if (setjmp(writer->fault.landing) != 0) return -1;
    for (size_t i = 0; i < count; i++) {
        JSAMPROW row[1] = {(JSAMPROW)(uintptr_t)(rows + i * stride)};
        if (jpeg_write_scanlines(&writer->info, row, 1) != 1) {
            tessera_jpeg_fail((j_common_ptr)&writer->info, "libjpeg took no row");
        }
    }
    return 0;
}

int tessera_jpeg_writer_end(tessera_jpeg_writer *writer) {
    if (setjmp(writer->fault.landing) != 0) return -1;
    jpeg_finish_compress(&writer->info);
    return 0;
}

const char *tessera_jpeg_writer_error(const tessera_jpeg_writer *writer) {
    return writer->fault.text;
}

void tessera_jpeg_writer_close(tessera_jpeg_writer *writer) {
    jpeg_destroy_compress(&writer->info);
    free(writer);
}
