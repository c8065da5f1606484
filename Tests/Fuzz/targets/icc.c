// Target: ICC profiles, each inside a PNG of one pixel. The first byte says whether that is grey.
#include <stdlib.h>

#include "Chunks.h"
#include "Reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    uint8_t *png = NULL;
    size_t made = png_with_profile(data + 1, size - 1, data[0] & 1, &png);
    read_as_stored(png, made);
    free(png);
    return 0;
}
