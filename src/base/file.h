/* Whole files: read (plain by mmap, .gz inflated), written so that an interruption leaves either
 * the old file or the new one, and hashed for provenance. */
#ifndef RUB_BASE_FILE_H
#define RUB_BASE_FILE_H

#include "rubato/base.h"

/* A file's bytes, read only. data[n] may not be readable: do not rely on a terminator. */
typedef struct rub_file {
    const char *data;
    size_t n;
    void *map;     /* mmap'ed region or NULL */
    void *owned;   /* malloc'ed bytes or NULL */
    uint64_t hash; /* FNV-1a 64 of the bytes as stored; 0 until rub_file_hash */
} rub_file;

/* Opens path; gzip is recognised by its first two bytes. Errors: RUB_IO, RUB_NO_MEMORY, RUB_PARSE
 * (broken gzip). Close with rub_file_close. */
rub_status rub_file_open(const char *path, rub_file *out, rub_error *err);
void rub_file_close(rub_file *file);

/* FNV-1a 64 of n bytes. */
uint64_t rub_hash_bytes(const void *bytes, size_t n);

/* Writes path.tmp.PID in the same folder, fsyncs, renames over path. Errors: RUB_IO. */
rub_status rub_file_write(const char *path, const void *bytes, size_t n, rub_error *err);

/* The same for a file that is made piece by piece. A failure is kept and told by close, which then
 * removes the piece. A path that is no regular file (/dev/stdout, a pipe) is written directly. */
typedef struct rub_file_writer {
    void *stream;
    char *path, *tmp; /* tmp NULL: written directly */
    bool failed;
} rub_file_writer;

rub_status rub_file_writer_open(rub_file_writer *writer, const char *path, rub_error *err);
void rub_file_writer_put(rub_file_writer *writer, const void *bytes, size_t n);
rub_status rub_file_writer_close(rub_file_writer *writer, rub_error *err);

/* Whether path could be written, for asking before long work; nothing is written. */
rub_status rub_file_can_write(const char *path, rub_error *err);

/* Makes a folder and those above it; fine when it is there. Errors: RUB_IO also when it is there but
 * cannot be written into. */
rub_status rub_folder_make(const char *path, rub_error *err);

#endif
