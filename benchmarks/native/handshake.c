#include "handshake.h"

#include <string.h>

static uint32_t rotate(uint32_t value, int by) { return value << by | value >> (32 - by); }

/* One block of SHA-1 (FIPS 180-4 §6.1.2). */
static void sha1_block(uint32_t hash[5], const unsigned char block[64]) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[i * 4] << 24 | (uint32_t)block[i * 4 + 1] << 16 | (uint32_t)block[i * 4 + 2] << 8 |
               block[i * 4 + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    for (int i = 0; i < 80; i++) {
        uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = rotate(a, 5) + mixed + e + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    hash[0] += a;
    hash[1] += b;
    hash[2] += c;
    hash[3] += d;
    hash[4] += e;
}

/* Of at most 119 bytes: two blocks with their padding. */
static void sha1(const unsigned char *data, size_t len, unsigned char digest[20]) {
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char padded[128] = {0};
    size_t size = len < 56 ? 64 : 128;
    memcpy(padded, data, len);
    padded[len] = 0x80;
    padded[size - 2] = (unsigned char)(len * 8 >> 8);
    padded[size - 1] = (unsigned char)(len * 8);
    for (size_t at = 0; at < size; at += 64)
        sha1_block(hash, padded + at);
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(hash[i / 4] >> (24 - i % 4 * 8));
}

void websocket_accept(struct bytes key, char out[29]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char joined[119], digest[21] = {0};
    /* A key is 24 characters; of a longer one no more is taken than fits, and the client will not agree. */
    size_t key_len = key.len < 64 ? key.len : 64;
    memcpy(joined, key.data, key_len);
    memcpy(joined + key_len, guid, sizeof guid - 1);
    sha1(joined, key_len + sizeof guid - 1, digest);
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)digest[i * 3] << 16 | (uint32_t)digest[i * 3 + 1] << 8 | digest[i * 3 + 2];
        for (int j = 0; j < 4; j++)
            out[i * 4 + j] = alphabet[three >> (18 - 6 * j) & 63];
    }
    out[27] = '='; /* 20 bytes: the last group holds two */
    out[28] = '\0';
}
