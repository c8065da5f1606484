// A checksum that runs at memory bandwidth: eight lanes, so that multiplications overlap.
#include <stdint.h>
#include <string.h>

#include "CKernels.h"

#define LANES 8

unsigned long long tessera_checksum(const void *bytes, size_t count) {
    const uint64_t prime = 0x9E3779B97F4A7C15ull;
    uint64_t lane[LANES];
    for (int i = 0; i < LANES; i++) lane[i] = prime * (uint64_t)(i + 1);
    const unsigned char *at = bytes;
    size_t left = count;
    for (; left >= sizeof lane; left -= sizeof lane, at += sizeof lane) {
        for (int i = 0; i < LANES; i++) {
            uint64_t word;
            memcpy(&word, at + 8 * i, 8);
            lane[i] = (lane[i] ^ word) * prime;
            lane[i] ^= lane[i] >> 29;
        }
    }
    uint64_t sum = count * prime;
    for (int i = 0; i < LANES; i++) sum = ((sum ^ lane[i]) * prime) ^ (sum >> 31);
    for (; left > 0; left--, at++) sum = ((sum ^ *at) * prime) ^ (sum >> 31);
    return sum;
}
