/* Pages of Parquet files: Snappy decoded here (github.com/google/snappy, format_description.txt: a
 * length, then literals and copies), Zstandard by libzstd. */
#include "base/columns.h"

#include <string.h>

#ifdef RUB_HAVE_ZSTD
#include <zstd.h>
#endif

typedef struct cursor {
    const uint8_t *p, *end;
} cursor;

/* n bytes, least significant first; false: past the end. */
static bool little(cursor *c, int n, uint32_t *out) {
    if (c->end - c->p < n)
        return false;
    *out = 0;
    for (int i = 0; i < n; i++)
        *out |= (uint32_t)*c->p++ << (8 * i);
    return true;
}

static bool literal(cursor *c, uint8_t tag, uint8_t *out, size_t *at, size_t n_out) {
    uint32_t length = tag >> 2;
    if (length >= 60 && !little(c, (int)length - 59, &length))
        return false;
    size_t n = (size_t)length + 1;
    if (n > (size_t)(c->end - c->p) || n > n_out - *at)
        return false;
    memcpy(out + *at, c->p, n);
    c->p += n;
    *at += n;
    return true;
}

static bool copy(cursor *c, uint8_t tag, uint8_t *out, size_t *at, size_t n_out) {
    uint32_t offset = 0, length = (uint32_t)(tag >> 2) + 1;
    if ((tag & 3) == 1) {
        length = ((tag >> 2) & 7) + 4;
        if (!little(c, 1, &offset))
            return false;
        offset |= (uint32_t)(tag >> 5) << 8;
    } else if (!little(c, (tag & 3) == 2 ? 2 : 4, &offset)) {
        return false;
    }
    if (offset == 0 || offset > *at || length > n_out - *at)
        return false;
    for (uint32_t i = 0; i < length; i++, (*at)++) /* may overlap: byte by byte */
        out[*at] = out[*at - offset];
    return true;
}

static bool snappy(const uint8_t *in, size_t n, uint8_t *out, size_t n_out) {
    cursor c = {in, in + n};
    uint64_t stated = 0;
    size_t at = 0;
    for (int shift = 0;; shift += 7) {
        if (c.p == c.end || shift > 28)
            return false;
        stated |= (uint64_t)(*c.p & 0x7f) << shift;
        if (!(*c.p++ & 0x80))
            break;
    }
    if (stated != n_out)
        return false;
    while (c.p < c.end) {
        uint8_t tag = *c.p++;
        if (!((tag & 3) == 0 ? literal(&c, tag, out, &at, n_out) : copy(&c, tag, out, &at, n_out)))
            return false;
    }
    return at == n_out;
}

rub_inflate_result rub_parquet_inflate(int codec, const uint8_t *in, size_t n, uint8_t *out,
                                       size_t n_out) {
    if (codec == 0) {
        if (n != n_out)
            return RUB_INFLATE_BAD;
        memcpy(out, in, n);
        return RUB_INFLATED;
    }
    if (codec == 1)
        return snappy(in, n, out, n_out) ? RUB_INFLATED : RUB_INFLATE_BAD;
#ifdef RUB_HAVE_ZSTD
    if (codec == 6) {
        size_t got = ZSTD_decompress(out, n_out, in, n);
        return !ZSTD_isError(got) && got == n_out ? RUB_INFLATED : RUB_INFLATE_BAD;
    }
#endif
    return RUB_INFLATE_UNKNOWN;
}
