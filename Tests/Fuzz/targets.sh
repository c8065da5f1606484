#!/usr/bin/env bash
# Runs libFuzzer on the C code that reads files: `Tests/Fuzz/targets.sh [SECONDS [SEED]]`, for an hour by default.
#
# libpng, Little CMS and zlib are built from Debian's sources, so that the fuzzer sees which of their branches an input
# takes and AddressSanitizer sees their memory. Without a network the installed ones are used, and less is found in
# them.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-3600}
seed=${2:-1}
here=$PWD/Tests/Fuzz/targets
place=$PWD/.build/fuzz
clang=${CLANG:-$(dirname "$(readlink -f "$(command -v swift)")")/clang}
mkdir -p "$place"/{src,lib,obj,crashes,logs}

fetch() {
    [ -e "$place/src/complete" ] && return
    (
        cd "$place/src"
        echo "deb-src http://deb.debian.org/debian $(. /etc/os-release && echo "$VERSION_CODENAME") main" >list
        mkdir -p state/lists/partial
        options=(-qq -o "Dir::Etc::SourceList=$PWD/list" -o Dir::Etc::SourceParts=/dev/null
            -o "Dir::State::Lists=$PWD/state/lists" -o "APT::Sandbox::User=$(id -un)")
        apt-get "${options[@]}" update
        apt-get "${options[@]}" source libpng1.6 lcms2 zlib >/dev/null
        touch complete
    ) && return
    echo "fuzz: no sources of libpng and Little CMS could be fetched: the installed ones are used" >&2
}

common=(-g -O1 -fno-omit-frame-pointer)
link=("$clang" -fuse-ld=lld -g -fsanitize=address,undefined,fuzzer)
libraries=(-lpng -llcms2 -lz)
includes=(-ISources/CPNG/include -ISources/CPNG -ISources/CJPEG/include -ISources/CTIFF/include -ISources/CWebP/include -ISources/CKernels/include -ISources/CLCMS -I"$here")

build_libraries() {
    local png cms zlib
    png=$(echo "$place"/src/libpng1.6-*/) cms=$(echo "$place"/src/lcms2-*/) zlib=$(echo "$place"/src/zlib-*/)
    [ -d "$png" ] && [ -d "$cms" ] && [ -d "$zlib" ] || return 0
    cp -n "$png/scripts/pnglibconf.h.prebuilt" "$place/lib/pnglibconf.h" || true
    local flags=("${common[@]}" -w -fsanitize=address,fuzzer-no-link -DHAVE_UNISTD_H -DPNG_INTEL_SSE_OPT=0
        -I"$place/lib" -I"$png" -I"$zlib" -I"$cms/include")
    for file in "$zlib"/{adler32,crc32,inffast,inflate,inftrees,zutil,deflate,trees,compress,uncompr}.c \
        "$png"/png*.c "$cms"/src/*.c; do
        local object
        object=$place/lib/$(basename "$file" .c).o
        [ "$(basename "$file")" = pngtest.c ] || [ "$object" -nt "$file" ] || "$clang" "${flags[@]}" -c "$file" -o "$object"
    done
    libraries=("$place"/lib/*.o)
    includes+=(-I"$place/lib" -I"$png" -I"$zlib" -I"$cms/include")
}

build_targets() {
    local flags=("${common[@]}" -Wall -Wextra -fsanitize=address,undefined,fuzzer-no-link
        -fno-sanitize-recover=undefined "${includes[@]}")
    for file in Sources/CPNG/{Reader,Fault}.c Sources/CJPEG/{JPEGReader,JPEGFault}.c Sources/CTIFF/{TIFFReader,TIFFSamples}.c \
        Sources/CWebP/WebPReader.c Sources/CKernels/{Conversion,Checksum}.c "$here"/*.c; do
        "$clang" "${flags[@]}" -c "$file" -o "$place/obj/$(basename "$file" .c).o"
    done
    (
        cd "$place/obj"
        for name in png icc; do
            "${link[@]}" $name.o Reading.o Chunks.o Reader.o Fault.o "${libraries[@]}" -lm -lpthread -o ../fuzz-$name
        done
        "${link[@]}" photo.o JPEGReader.o JPEGFault.o TIFFReader.o TIFFSamples.o WebPReader.o -ljpeg -ltiff -lwebp -lm \
            -o ../fuzz-photo
        "${link[@]}" kernels.o Conversion.o Checksum.o -o ../fuzz-kernels
        "$clang" -fuse-ld=lld -fsanitize=address,undefined,fuzzer-no-link profiles.o "${libraries[@]}" -lm -lpthread \
            -o ../profiles
    )
}

run() {
    local name=$1 time=$2 left until now dictionary=()
    [ -e "$here/$name.dict" ] && dictionary=("-dict=$here/$name.dict")
    mkdir -p "$place/crashes/$name"
    until=$(($(date +%s) + time))
    # A crash ends the process: start the next one.
    while now=$(date +%s) && left=$((until - now)) && [ "$left" -gt 0 ]; do
        ASAN_OPTIONS=quarantine_size_mb=32 "$place/fuzz-$name" "${dictionary[@]}" -max_len=16384 -timeout=5 \
            -rss_limit_mb=1024 -malloc_limit_mb=600 -seed="$seed" -max_total_time="$left" -print_final_stats=1 \
            -artifact_prefix="$place/crashes/$name/" "$place/corpus/$name" >"$place/logs/$name-$now.txt" 2>&1 || true
    done
}

fetch
build_libraries
build_targets
python3 Tests/Fuzz/seeds.py "$place/corpus"
"$place/profiles" "$place/corpus/icc"
rm -f "$place"/logs/*
for share in png:35 photo:35 icc:25 kernels:5; do run "${share%:*}" $((seconds * ${share#*:} / 100)); done

for name in png photo icc kernels; do
    executions=$(find "$place/logs" -name "$name-*" -exec sed -n 's/^stat::number_of_executed_units: *//p' {} + | paste -sd+)
    crashes=$(find "$place/crashes/$name" -type f | wc -l)
    echo "$name: $((${executions:-0})) executions, $crashes crashes"
done
if [ -n "$(find "$place/crashes" -type f)" ]; then
    echo "fuzz: repeat one with .build/fuzz/fuzz-NAME FILE; the files are in $place/crashes" >&2
    exit 1
fi
