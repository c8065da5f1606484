#include "CPage.h"

// Clang supports #embed in older language modes, too.
#pragma clang diagnostic ignored "-Wc23-extensions"

#define HTML "text/html; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"

static const uint8_t page[] = {
#embed "files/page.html"
};
static const uint8_t style[] = {
#embed "files/page.css"
};
static const uint8_t parts_style[] = {
#embed "files/parts.css"
};
static const uint8_t icon[] = {
#embed "files/icon.svg"
};
static const uint8_t main_script[] = {
#embed "files/main.js"
};
static const uint8_t api[] = {
#embed "files/api.js"
};
static const uint8_t dom[] = {
#embed "files/dom.js"
};
static const uint8_t jobs[] = {
#embed "files/jobs.js"
};
static const uint8_t compose[] = {
#embed "files/compose.js"
};
static const uint8_t settings[] = {
#embed "files/settings.js"
};
static const uint8_t queue[] = {
#embed "files/queue.js"
};
static const uint8_t priority[] = {
#embed "files/priority.js"
};
static const uint8_t reorder[] = {
#embed "files/reorder.js"
};
static const uint8_t running[] = {
#embed "files/running.js"
};
static const uint8_t overlay[] = {
#embed "files/overlay.js"
};
static const uint8_t gallery[] = {
#embed "files/gallery.js"
};
static const uint8_t viewer[] = {
#embed "files/viewer.js"
};
static const uint8_t zoom[] = {
#embed "files/zoom.js"
};

#define FILE(name, type, bytes) {name, type, bytes, sizeof bytes}

static const tessera_page_file files[] = {
    FILE("page.html", HTML, page),           FILE("page.css", CSS, style),
    FILE("parts.css", CSS, parts_style),     FILE("icon.svg", "image/svg+xml", icon),
    FILE("main.js", SCRIPT, main_script),    FILE("api.js", SCRIPT, api),
    FILE("dom.js", SCRIPT, dom),             FILE("jobs.js", SCRIPT, jobs),
    FILE("compose.js", SCRIPT, compose),     FILE("settings.js", SCRIPT, settings),
    FILE("queue.js", SCRIPT, queue),         FILE("reorder.js", SCRIPT, reorder),
    FILE("running.js", SCRIPT, running),     FILE("gallery.js", SCRIPT, gallery),
    FILE("viewer.js", SCRIPT, viewer),       FILE("zoom.js", SCRIPT, zoom),
    FILE("overlay.js", SCRIPT, overlay),     FILE("priority.js", SCRIPT, priority),
};

const tessera_page_file *tessera_page_file_at(size_t index) {
    return index < sizeof files / sizeof *files ? &files[index] : NULL;
}
