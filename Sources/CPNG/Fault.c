#include "Fault.h"

#include <stdio.h>

_Noreturn void tessera_png_fail(png_structp png, png_const_charp text) {
    tessera_png_fault *fault = png_get_error_ptr(png);
    snprintf(fault->text, sizeof fault->text, "%s", text);
    longjmp(fault->landing, 1);
}

void tessera_png_ignore(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}
