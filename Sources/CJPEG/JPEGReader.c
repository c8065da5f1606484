#include "CJPEG.h"

#include "JPEGFault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tessera_jpeg_reader {
    tessera_jpeg_fault fault;
    struct jpeg_decompress_struct info;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    int descriptor;
    int started;
    JSAMPLE *row;
    uint8_t buffer[1 << 16];
};

// Limits on what a malicious file can make libjpeg store (bytes of coefficients) and compute (scans): each scan of a
// progressive picture covers all of its pixels but may take fewer than 20 bytes.
enum { LARGEST_COEFFICIENTS = 768 << 20, MOST_SCANS = 100 };

static void start(j_decompress_ptr info) { (void)info; }
static void stop(j_decompress_ptr info) { (void)info; }

static boolean refill(j_decompress_ptr info) {
    tessera_jpeg_reader *reader = info->client_data;
    ssize_t count;
    do {
        count = read(reader->descriptor, reader->buffer, sizeof reader->buffer);
    } while (count < 0 && errno == EINTR);
    if (count < 0) tessera_jpeg_fail((j_common_ptr)info, strerror(errno));
    if (count == 0) tessera_jpeg_fail((j_common_ptr)info, "it ends too early");
    reader->source.next_input_byte = reader->buffer;
    reader->source.bytes_in_buffer = (size_t)count;
    return TRUE;
}

static void skip(j_decompress_ptr info, long count) {
    tessera_jpeg_reader *reader = info->client_data;
    while (count > (long)reader->source.bytes_in_buffer) {
        count -= (long)reader->source.bytes_in_buffer;
        refill(info);
    }
    if (count <= 0) return;
    reader->source.next_input_byte += count;
    reader->source.bytes_in_buffer -= (size_t)count;
}

static void watch(j_common_ptr info) {
    if (((j_decompress_ptr)info)->input_scan_number > MOST_SCANS) {
        tessera_jpeg_fail(info, "it has more than 100 scans");
    }
}

tessera_jpeg_reader *tessera_jpeg_reader_open(int descriptor) {
    tessera_jpeg_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->descriptor = descriptor;
    tessera_jpeg_fault_install(&reader->fault, (j_common_ptr)&reader->info);
    if (setjmp(reader->fault.landing) != 0) {
        tessera_jpeg_reader_close(reader);
        return NULL;
    }
    jpeg_create_decompress(&reader->info);
    reader->info.client_data = reader;
    reader->source = (struct jpeg_source_mgr){
        .init_source = start,
        .fill_input_buffer = refill,
        .skip_input_data = skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = stop,
    };
    reader->info.src = &reader->source;
    reader->progress.progress_monitor = watch;
    reader->info.progress = &reader->progress;
    return reader;
}

// libjpeg keeps the coefficients of all scans if there are several.
static void check_memory(j_decompress_ptr info) {
    if (!jpeg_has_multiple_scans(info)) return;
    uint64_t bytes = 0;
    for (int i = 0; i < info->num_components; i++) {
        const jpeg_component_info *part = info->comp_info + i;
        bytes += (uint64_t)part->width_in_blocks * part->height_in_blocks * sizeof(JBLOCK);
    }
    if (bytes > LARGEST_COEFFICIENTS) {
        tessera_jpeg_fail((j_common_ptr)info, "it is progressive and too large to be read at once");
    }
}

int tessera_jpeg_reader_header(tessera_jpeg_reader *reader, tessera_jpeg_header *header) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    j_decompress_ptr info = &reader->info;
    jpeg_read_header(info, TRUE);
    switch (info->jpeg_color_space) {
    case JCS_GRAYSCALE: info->out_color_space = JCS_GRAYSCALE; break;
    case JCS_RGB:
    case JCS_YCbCr: info->out_color_space = JCS_RGB; break;
    case JCS_CMYK:
    case JCS_YCCK: info->out_color_space = JCS_CMYK; break;
    default: tessera_jpeg_fail((j_common_ptr)info, "its colours are of an unknown kind");
    }
    check_memory(info);
    header->width = info->image_width;
    header->height = info->image_height;
    header->channels =
        info->out_color_space == JCS_GRAYSCALE ? 1 : info->out_color_space == JCS_RGB ? 3 : 4;
    return 0;
}

int tessera_jpeg_reader_row(tessera_jpeg_reader *reader, uint16_t *row) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    j_decompress_ptr info = &reader->info;
    if (!reader->started) {
        jpeg_start_decompress(info);
        reader->started = 1;
        reader->row = malloc((size_t)info->output_width * (size_t)info->output_components);
        if (!reader->row) tessera_jpeg_fail((j_common_ptr)info, "out of memory");
    }
    JSAMPROW rows[1] = {reader->row};
    if (jpeg_read_scanlines(info, rows, 1) != 1) {
        tessera_jpeg_fail((j_common_ptr)info, "it has no further row");
    }
    size_t count = (size_t)info->output_width * (size_t)info->output_components;
    // Programs that write CMYK store inverted values (amounts of light), as Adobe's do.
    uint8_t flip = info->out_color_space == JCS_CMYK ? 255 : 0;
    for (size_t i = 0; i < count; i++) row[i] = (uint16_t)((reader->row[i] ^ flip) * 257);
    return 0;
}

int tessera_jpeg_reader_finish(tessera_jpeg_reader *reader) {
    if (setjmp(reader->fault.landing) != 0) return -1;
    jpeg_finish_decompress(&reader->info);
    return 0;
}

const char *tessera_jpeg_reader_error(const tessera_jpeg_reader *reader) {
    return reader->fault.text;
}

void tessera_jpeg_reader_close(tessera_jpeg_reader *reader) {
    jpeg_destroy_decompress(&reader->info);
    free(reader->row);
    free(reader);
}
