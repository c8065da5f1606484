/// The ways in which the program reads a PNG.
#ifndef TESSERA_FUZZ_READING_H
#define TESSERA_FUZZ_READING_H

#include <stddef.h>
#include <stdint.h>

/// As 8-bit RGB with its text, as `PNGImage` does.
void read_as_rgb(const uint8_t *data, size_t size);

/// Row by row with its colours converted, as `PictureFile` does.
void read_as_stored(const uint8_t *data, size_t size);

#endif
