/* Flat Parquet files: the footer (Thrift's compact protocol) tells each column's chunks; a chunk is
 * an optional dictionary page and data pages of definition levels (present or not) and values. All
 * lengths are checked against what is there. */
#include "base/columns.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_BOOL, TYPE_INT32, TYPE_INT64, TYPE_INT96, TYPE_FLOAT, TYPE_DOUBLE, TYPE_BYTES };
enum {
    THRIFT_TRUE = 1,
    THRIFT_FALSE,
    THRIFT_I8,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE
};
enum { THRIFT_BINARY = 8, THRIFT_LIST, THRIFT_SET, THRIFT_MAP, THRIFT_STRUCT };
enum { MAX_DEPTH = 24, MAX_PAGE = 1 << 28 };

/* ---- Thrift ---------------------------------------------------------------------------------- */

typedef struct reader {
    const uint8_t *p, *end;
    bool bad;
} reader;

static uint64_t varint(reader *r) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->p >= r->end)
            break;
        uint8_t b = *r->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

static int64_t zigzag(reader *r) {
    uint64_t v = varint(r);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static uint8_t byte(reader *r) {
    if (r->p < r->end)
        return *r->p++;
    r->bad = true;
    return 0;
}

/* Next field of a struct: its type, 0 at the end; *id is the last field's on entry. */
static int field(reader *r, int *id) {
    uint8_t b = byte(r);
    if (r->bad || b == 0)
        return 0;
    *id = b >> 4 ? *id + (b >> 4) : (int)zigzag(r);
    return b & 15;
}

/* Head of a list: number of items; *type of the items. */
static size_t list(reader *r, int *type) {
    uint8_t b = byte(r);
    uint64_t n = b >> 4;
    *type = b & 15;
    if (n == 15)
        n = varint(r);
    if (n > (uint64_t)(r->end - r->p)) /* each item takes a byte or more */
        r->bad = true;
    return r->bad ? 0 : (size_t)n;
}

static void bytes(reader *r, const uint8_t **out, size_t *n) {
    uint64_t length = varint(r);
    if (r->bad || length > (uint64_t)(r->end - r->p)) {
        r->bad = true;
        length = 0;
    }
    *out = r->p;
    *n = (size_t)length;
    r->p += length;
}

static void skip(reader *r, int type, int depth);

static void skip_items(reader *r, int depth) {
    int type = 0;
    size_t n = list(r, &type);
    for (size_t i = 0; i < n && !r->bad; i++) {
        if (type == THRIFT_TRUE || type == THRIFT_FALSE)
            byte(r);
        else
            skip(r, type, depth + 1);
    }
}

static void skip(reader *r, int type, int depth) {
    const uint8_t *text;
    size_t n;
    int id = 0, inner;
    if (depth > MAX_DEPTH)
        r->bad = true;
    if (r->bad)
        return;
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        return;
    case THRIFT_I8:
        byte(r);
        return;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        varint(r);
        return;
    case THRIFT_DOUBLE:
        for (int i = 0; i < 8; i++)
            byte(r);
        return;
    case THRIFT_BINARY:
        bytes(r, &text, &n);
        return;
    case THRIFT_LIST:
    case THRIFT_SET:
        skip_items(r, depth);
        return;
    case THRIFT_STRUCT:
        while (!r->bad && (inner = field(r, &id)))
            skip(r, inner, depth + 1);
        return;
    default: /* maps do not occur in what is read here */
        r->bad = true;
    }
}

/* ---- footer ---------------------------------------------------------------------------------- */

typedef struct leaf {
    int type;
    bool optional;
} leaf;

typedef struct chunk {
    int type, codec;
    int64_t n_value, data_at, dictionary_at; /* dictionary_at 0: none */
    int64_t n_bytes;
} chunk;

typedef struct file {
    const char *name;
    const uint8_t *bytes;
    size_t n;
    rub_columns *out;
    leaf *leaf; /* (n_column) */
    size_t row; /* rows of the row groups before */
    rub_error *err;
} file;

static rub_status broken(const file *f, const char *what) {
    return rub_error_at(f->err, RUB_PARSE, f->name, 0, 0, "%s, expected a whole Parquet file",
                        what);
}

static rub_status no_memory(const file *f) {
    return rub_error_at(f->err, RUB_NO_MEMORY, f->name, 0, 0, "out of memory");
}

/* One element of the schema; the first is the root. */
static rub_status schema_element(file *f, reader *r, size_t i) {
    int id = 0, type, children = 0, repetition = 0, physical = -1;
    const uint8_t *text = (const uint8_t *)"";
    size_t n_text = 0;
    while ((type = field(r, &id))) {
        if (id == 1 && type == THRIFT_I32)
            physical = (int)zigzag(r);
        else if (id == 3 && type == THRIFT_I32)
            repetition = (int)zigzag(r);
        else if (id == 4 && type == THRIFT_BINARY)
            bytes(r, &text, &n_text);
        else if (id == 5 && type == THRIFT_I32)
            children = (int)zigzag(r);
        else
            skip(r, type, 0);
    }
    if (r->bad)
        return broken(f, "the schema is cut short");
    if (i == 0)
        return RUB_OK;
    if (children > 0 || repetition == 2)
        return rub_error_at(f->err, RUB_UNSUPPORTED, f->name, 0, 0,
                            "column '%.*s' is nested, expected a flat table",
                            n_text > 60 ? 60 : (int)n_text, (const char *)text);
    char *name = rub_columns_keep(f->out, n_text + 1, 1);
    if (!name)
        return no_memory(f);
    memcpy(name, text, n_text);
    f->out->column[i - 1].name = name;
    f->leaf[i - 1] = (leaf){.type = physical, .optional = repetition == 1};
    return RUB_OK;
}

static rub_status schema(file *f, reader *r) {
    int type = 0;
    size_t n = list(r, &type);
    if (n < 2 || n > RUB_COLUMNS_MAX || type != THRIFT_STRUCT || f->leaf)
        return broken(f, "the schema has no columns or too many");
    f->out->n_column = n - 1;
    f->out->column = rub_columns_keep(f->out, n - 1, sizeof *f->out->column);
    f->leaf = rub_columns_keep(f->out, n - 1, sizeof *f->leaf);
    if (!f->out->column || !f->leaf)
        return no_memory(f);
    for (size_t i = 0; i < n; i++)
        RUB_TRY(schema_element(f, r, i));
    return RUB_OK;
}

/* ---- pages ----------------------------------------------------------------------------------- */

typedef struct page {
    int kind; /* 0 data, 2 dictionary, 3 data of version 2 */
    int encoding;
    int64_t n_value, n_raw, n_packed;
    int64_t level_bytes; /* version 2: of definition levels, not packed */
    bool packed;
} page;

static void page_inner(reader *r, page *p) {
    int id = 0, type;
    while ((type = field(r, &id))) {
        bool i32 = type == THRIFT_I32;
        if (id == 1 && i32)
            p->n_value = zigzag(r);
        else if ((id == 2 && i32 && p->kind != 3) || (id == 4 && i32 && p->kind == 3))
            p->encoding = (int)zigzag(r);
        else if (id == 5 && i32 && p->kind == 3)
            p->level_bytes = zigzag(r);
        else if (id == 7 && p->kind == 3 && type == THRIFT_FALSE)
            p->packed = false;
        else
            skip(r, type, 0);
    }
}

static page page_header(reader *r) {
    page p = {.kind = -1, .encoding = -1, .packed = true};
    int id = 0, type;
    while ((type = field(r, &id))) {
        if (id == 1 && type == THRIFT_I32)
            p.kind = (int)zigzag(r);
        else if (id == 2 && type == THRIFT_I32)
            p.n_raw = zigzag(r);
        else if (id == 3 && type == THRIFT_I32)
            p.n_packed = zigzag(r);
        else if ((id == 5 || id == 7 || id == 8) && type == THRIFT_STRUCT)
            page_inner(r, &p);
        else
            skip(r, type, 0);
    }
    if (p.n_raw < 0 || p.n_packed < 0 || p.n_raw > MAX_PAGE || p.n_value < 0 ||
        p.n_packed > r->end - r->p || p.level_bytes < 0 || p.level_bytes > p.n_packed ||
        p.level_bytes > p.n_raw)
        r->bad = true;
    return p;
}

/* Runs and bit-packed groups of small integers; reads n of them. false: not enough bytes. */
static bool hybrid(const uint8_t *p, const uint8_t *end, int width, uint32_t *out, size_t n) {
    reader r = {p, end, false};
    size_t done = 0, width_bytes = (size_t)(width + 7) / 8;
    while (done < n) {
        uint64_t head = varint(&r), count = head >> 1;
        if (r.bad || count == 0)
            return false;
        if (head & 1) { /* count groups of 8 values of width bits */
            uint64_t bit = 0, have = (uint64_t)(r.end - r.p) * 8;
            uint64_t room = count > (n - done + 7) / 8 ? (n - done + 7) / 8 : count;
            for (uint64_t i = 0; i < room * 8 && done < n; i++, done++) {
                uint32_t v = 0;
                if (bit + (uint64_t)width > have)
                    return false;
                for (int b = 0; b < width; b++, bit++)
                    v |= (uint32_t)((r.p[bit >> 3] >> (bit & 7)) & 1) << b;
                out[done] = v;
            }
            uint64_t step = count * (uint64_t)width;
            r.p += step < (uint64_t)(r.end - r.p) ? step : (uint64_t)(r.end - r.p);
        } else {
            uint32_t v = 0;
            if (width_bytes > (size_t)(r.end - r.p))
                return false;
            for (size_t b = 0; b < width_bytes; b++)
                v |= (uint32_t)*r.p++ << (8 * b);
            for (uint64_t i = 0; i < count && done < n; i++)
                out[done++] = v;
        }
    }
    return true;
}

typedef struct values {
    int type;
    size_t n;
    double *number;
    const char **text;
} values;

static bool plain_text(file *f, reader *r, const char **out) {
    uint32_t length = 0;
    if (r->end - r->p < 4)
        return false;
    memcpy(&length, r->p, 4);
    r->p += 4;
    char *copy;
    if (length > (size_t)(r->end - r->p) || !(copy = rub_columns_keep(f->out, length + 1, 1)))
        return false;
    memcpy(copy, r->p, length);
    r->p += length;
    *out = copy;
    return true;
}

/* n values one after the other. */
static bool plain(file *f, reader *r, values *v) {
    static const int8_t size[] = {0, 4, 8, 12, 4, 8, 0};
    for (size_t i = 0; i < v->n; i++) {
        int64_t i64;
        int32_t i32;
        float f32;
        if (v->type == TYPE_BYTES) {
            if (!plain_text(f, r, &v->text[i]))
                return false;
            continue;
        }
        if (v->type == TYPE_BOOL) {
            if ((size_t)(r->end - r->p) <= i / 8)
                return false;
            v->number[i] = (r->p[i / 8] >> (i % 8)) & 1;
            continue;
        }
        if (r->end - r->p < size[v->type])
            return false;
        if (v->type == TYPE_INT64)
            memcpy(&i64, r->p, 8), v->number[i] = (double)i64;
        else if (v->type == TYPE_INT32)
            memcpy(&i32, r->p, 4), v->number[i] = i32;
        else if (v->type == TYPE_FLOAT)
            memcpy(&f32, r->p, 4), v->number[i] = (double)f32;
        else
            memcpy(&v->number[i], r->p, 8);
        r->p += size[v->type];
    }
    return true;
}

static bool values_alloc(values *v, int type, size_t n) {
    *v = (values){.type = type, .n = n};
    if (type == TYPE_BYTES)
        v->text = RUB_NEW(const char *, n);
    else
        v->number = RUB_NEW(double, n);
    return v->text || v->number;
}

static void values_free(values *v) {
    free(v->text);
    free(v->number);
    *v = (values){0};
}

/* Puts a page's values into rows [at, at + n) of column k; present[i] tells which have one. */
static bool place(file *f, reader *r, const page *p, size_t k, const values *dictionary,
                  const uint32_t *present, size_t at, size_t n) {
    rub_column *c = &f->out->column[k];
    size_t n_present = 0;
    for (size_t i = 0; i < n; i++)
        n_present += present ? present[i] != 0 : 1;
    values v = {0};
    bool ok = values_alloc(&v, f->leaf[k].type, n_present);
    if (ok && p->encoding == 0) {
        ok = plain(f, r, &v);
    } else if (ok && (p->encoding == 8 || p->encoding == 2) && n_present > 0) {
        uint32_t *index = RUB_NEW(uint32_t, n_present);
        int width = r->p < r->end ? *r->p++ : 99;
        ok = index && width <= 32 && hybrid(r->p, r->end, width, index, n_present);
        for (size_t i = 0; ok && i < n_present; i++) {
            ok = index[i] < dictionary->n;
            if (ok && v.text)
                v.text[i] = dictionary->text[index[i]];
            else if (ok)
                v.number[i] = dictionary->number[index[i]];
        }
        free(index);
    } else {
        ok = ok && n_present == 0;
    }
    for (size_t i = 0, j = 0; ok && i < n; i++) {
        bool here = !present || present[i];
        if (c->is_text)
            c->text[at + i] = here ? v.text[j] : "";
        else
            c->number[at + i] = here ? v.number[j] : (double)NAN;
        j += here;
    }
    values_free(&v);
    return ok;
}

/* Definition levels of a data page; *present stays NULL when every row has a value. */
static bool levels(const page *p, bool optional, reader *r, uint32_t **present, size_t n) {
    if (!optional) {
        r->p += p->kind == 3 ? p->level_bytes : 0;
        return true;
    }
    uint32_t length = 0;
    if (p->kind == 3) {
        length = (uint32_t)p->level_bytes;
    } else {
        if (r->end - r->p < 4)
            return false;
        memcpy(&length, r->p, 4);
        r->p += 4;
    }
    *present = RUB_NEW(uint32_t, n);
    if (!*present || length > (size_t)(r->end - r->p) ||
        !hybrid(r->p, r->p + length, 1, *present, n))
        return false;
    r->p += length;
    return true;
}

/* The page's bytes as they were before compression; free them. */
static rub_status unpack(const file *f, const page *p, const chunk *c, const uint8_t *in,
                         uint8_t **out) {
    size_t head = p->kind == 3 ? (size_t)p->level_bytes : 0, n = (size_t)p->n_packed;
    uint8_t *raw = rub_calloc((size_t)p->n_raw, 1);
    if (!raw)
        return no_memory(f);
    memcpy(raw, in, head);
    rub_inflate_result result = rub_parquet_inflate(p->packed ? c->codec : 0, in + head, n - head,
                                                    raw + head, (size_t)p->n_raw - head);
    if (result == RUB_INFLATED) {
        *out = raw;
        return RUB_OK;
    }
    free(raw);
    if (result == RUB_INFLATE_BAD)
        return broken(f, "a page cannot be decompressed");
    return rub_error_at(f->err, RUB_UNSUPPORTED, f->name, 0, 0,
                        "compression %d, expected none, Snappy or Zstandard", c->codec);
}

/* One page of column k; *row counts the rows that were read. */
static rub_status read_page(file *f, const chunk *c, const page *p, const uint8_t *in, size_t k,
                            values *dictionary, size_t *row) {
    if (p->kind != 0 && p->kind != 2 && p->kind != 3)
        return RUB_OK; /* an index page */
    uint8_t *raw = NULL;
    RUB_TRY(unpack(f, p, c, in, &raw));
    reader r = {raw, raw + p->n_raw, false};
    size_t n = (size_t)p->n_value;
    uint32_t *present = NULL;
    bool ok;
    if (p->kind == 2) {
        /* a value takes a bit or more */
        ok = !dictionary->n && n <= (size_t)p->n_raw * 8 && values_alloc(dictionary, c->type, n) &&
             plain(f, &r, dictionary);
    } else {
        ok = n <= (size_t)c->n_value - *row && levels(p, f->leaf[k].optional, &r, &present, n) &&
             place(f, &r, p, k, dictionary, present, f->row + *row, n);
        *row += n;
    }
    free(present);
    free(raw);
    return ok ? RUB_OK : broken(f, "a page does not hold what it says");
}

static rub_status read_chunk(file *f, const chunk *c, size_t k) {
    int64_t start =
        c->dictionary_at > 0 && c->dictionary_at < c->data_at ? c->dictionary_at : c->data_at;
    if (start < 4 || c->n_bytes < 0 || start > (int64_t)f->n || c->n_bytes > (int64_t)f->n - start)
        return broken(f, "a column lies outside the file");
    reader r = {f->bytes + start, f->bytes + start + c->n_bytes, false};
    values dictionary = {0};
    rub_status status = RUB_OK;
    size_t row = 0;
    while (status == RUB_OK && row < (size_t)c->n_value) {
        page p = page_header(&r);
        if (r.bad) {
            status = broken(f, "a page's header is cut short");
            break;
        }
        status = read_page(f, c, &p, r.p, k, &dictionary, &row);
        r.p += p.n_packed;
    }
    values_free(&dictionary);
    return status;
}

/* ---- row groups ------------------------------------------------------------------------------ */

static void chunk_meta(reader *r, chunk *c) {
    int id = 0, type;
    while ((type = field(r, &id))) {
        int64_t *to = id == 5    ? &c->n_value
                      : id == 7  ? &c->n_bytes
                      : id == 9  ? &c->data_at
                      : id == 11 ? &c->dictionary_at
                                 : NULL;
        if (type == THRIFT_I64 && to)
            *to = zigzag(r);
        else if (id == 1 && type == THRIFT_I32)
            c->type = (int)zigzag(r);
        else if (id == 4 && type == THRIFT_I32)
            c->codec = (int)zigzag(r);
        else
            skip(r, type, 0);
    }
}

static chunk chunk_of(reader *r) {
    chunk c = {.type = -1};
    int id = 0, type;
    while ((type = field(r, &id))) {
        if (id == 3 && type == THRIFT_STRUCT)
            chunk_meta(r, &c);
        else
            skip(r, type, 0);
    }
    return c;
}

static rub_status row_group(file *f, reader *r) {
    int id = 0, type, item = 0;
    int64_t n_row = -1;
    while ((type = field(r, &id))) {
        if (id != 1 || type != THRIFT_LIST) {
            skip(r, type, 0);
            continue;
        }
        size_t n = list(r, &item);
        if (n != f->out->n_column || item != THRIFT_STRUCT)
            return broken(f, "a row group has other columns than the schema");
        for (size_t k = 0; k < n; k++) {
            chunk c = chunk_of(r);
            n_row = k == 0 ? c.n_value : n_row;
            if (r->bad || c.type != f->leaf[k].type || c.n_value != n_row || n_row < 0 ||
                (size_t)n_row > f->out->n_row - f->row)
                return broken(f, "a column's rows or type contradict the schema");
            RUB_TRY(read_chunk(f, &c, k));
        }
    }
    f->row += n_row > 0 ? (size_t)n_row : 0;
    return r->bad ? broken(f, "a row group is cut short") : RUB_OK;
}

static rub_status allocate(file *f) {
    for (size_t k = 0; k < f->out->n_column; k++) {
        rub_column *c = &f->out->column[k];
        int type = f->leaf[k].type;
        if (type < 0 || type > TYPE_BYTES || type == TYPE_INT96)
            return rub_error_at(f->err, RUB_UNSUPPORTED, f->name, 0, 0,
                                "column '%.60s' has type %d, expected numbers or text", c->name,
                                type);
        c->is_text = type == TYPE_BYTES;
        void *data = rub_columns_keep(f->out, f->out->n_row, 8);
        if (!data)
            return no_memory(f);
        c->number = c->is_text ? NULL : data;
        c->text = c->is_text ? data : NULL;
    }
    return RUB_OK;
}

static rub_status row_groups(file *f, reader *r) {
    int type = 0;
    size_t n = list(r, &type);
    if (!f->leaf || type != THRIFT_STRUCT)
        return broken(f, "no schema before the rows");
    RUB_TRY(allocate(f));
    for (size_t i = 0; i < n; i++)
        RUB_TRY(row_group(f, r));
    return f->row == f->out->n_row ? RUB_OK : broken(f, "rows are missing");
}

static rub_status metadata(file *f, reader *r) {
    int id = 0, type;
    bool done = false;
    while ((type = field(r, &id))) {
        if (id == 2 && type == THRIFT_LIST) {
            RUB_TRY(schema(f, r));
        } else if (id == 3 && type == THRIFT_I64) {
            int64_t n = zigzag(r);
            if (n < 0 || n > RUB_COLUMNS_MAX_ROWS)
                return broken(f, "the number of rows is out of range");
            f->out->n_row = (size_t)n;
        } else if (id == 4 && type == THRIFT_LIST && !done) {
            RUB_TRY(row_groups(f, r));
            done = true;
        } else {
            skip(r, type, 0);
        }
    }
    return r->bad || !done ? broken(f, "the footer is cut short") : RUB_OK;
}

rub_status rub_parquet_read(const char *name, const char *data, size_t n, rub_columns *out,
                            rub_error *err) {
    file f = {.name = name, .bytes = (const uint8_t *)data, .n = n, .out = out, .err = err};
    uint32_t footer = 0;
    if (n < 12 || memcmp(data + n - 4, "PAR1", 4) != 0)
        return broken(&f, "the file ends early");
    memcpy(&footer, data + n - 8, 4);
    if (footer > n - 12)
        return broken(&f, "the footer is longer than the file");
    reader r = {f.bytes + n - 8 - footer, f.bytes + n - 8, false};
    return metadata(&f, &r);
}
