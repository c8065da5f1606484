// Target: whole PNG files.
#include "Reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_as_rgb(data, size);
    read_as_stored(data, size);
    return 0;
}
