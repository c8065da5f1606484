/// Turns libpng's errors into return values.
#ifndef TESSERA_PNG_FAULT_H
#define TESSERA_PNG_FAULT_H

#include <png.h>
#include <setjmp.h>

/// The jump target and message of a libpng error.
typedef struct {
    jmp_buf landing;
    char text[200];
} tessera_png_fault;

/// Stores the message and jumps to the landing of the `tessera_png_fault` that libpng was given.
_Noreturn void tessera_png_fail(png_structp png, png_const_charp text);

/// Warnings are about ancillary chunks, which do not affect pixels.
void tessera_png_ignore(png_structp png, png_const_charp text);

#endif
