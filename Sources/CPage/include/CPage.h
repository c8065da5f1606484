/// The files of the live page, embedded in the program: nothing is read at run time.
#ifndef TESSERA_CPAGE_H
#define TESSERA_CPAGE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    /// Value of the Content-Type header.
    const char *type;
    const uint8_t *bytes;
    size_t count;
} tessera_page_file;

/// The file at `index`, counted from 0; null after the last one.
const tessera_page_file *tessera_page_file_at(size_t index);

#endif
