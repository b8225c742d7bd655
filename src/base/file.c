#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static rub_status fail_io(rub_error *err, const char *path, const char *doing) {
    return rub_error_at(err, RUB_IO, path, 0, 0, "cannot %s: %s", doing, strerror(errno));
}

/* Inflates every member of a gzip file into one malloc'ed buffer. */
static rub_status inflate_all(const char *path, const unsigned char *in, size_t n_in, rub_file *out,
                              rub_error *err) {
    size_t cap = n_in > SIZE_MAX / 8 ? n_in : n_in * 6 + 4096, n = 0;
    char *buf = malloc(cap);
    z_stream z = {0};
    if (!buf || inflateInit2(&z, 15 + 16) != Z_OK) {
        free(buf);
        return rub_error_at(err, RUB_NO_MEMORY, path, 0, 0, "out of memory while inflating");
    }
    size_t used = 0;
    int rc = Z_OK;
    while (used < n_in || z.avail_in) {
        if (!z.avail_in) {
            size_t step = n_in - used > 1u << 30 ? 1u << 30 : n_in - used;
            z.next_in = (unsigned char *)(uintptr_t)(in + used);
            z.avail_in = (unsigned)step;
            used += step;
        }
        if (n == cap) {
            char *grown = cap > SIZE_MAX / 2 ? NULL : realloc(buf, cap * 2);
            if (!grown) {
                inflateEnd(&z);
                free(buf);
                return rub_error_at(err, RUB_NO_MEMORY, path, 0, 0, "out of memory at %zu bytes",
                                    cap);
            }
            buf = grown;
            cap *= 2;
        }
        size_t room = cap - n > 1u << 30 ? 1u << 30 : cap - n;
        z.next_out = (unsigned char *)buf + n;
        z.avail_out = (unsigned)room;
        rc = inflate(&z, Z_NO_FLUSH);
        n += room - z.avail_out;
        if (rc == Z_STREAM_END && (z.avail_in || used < n_in))
            rc = inflateReset(&z);
        else if (rc == Z_STREAM_END)
            break;
        if (rc != Z_OK && !(rc == Z_BUF_ERROR && z.avail_out == 0))
            break;
    }
    inflateEnd(&z);
    if (rc != Z_STREAM_END) {
        free(buf);
        return rub_error_at(err, RUB_PARSE, path, 0, 0,
                            "gzip data is broken or cut short after %zu bytes", n);
    }
    out->owned = buf;
    out->data = buf;
    out->n = n;
    return RUB_OK;
}

rub_status rub_file_open(const char *path, rub_file *out, rub_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_io(err, path, "open");
    struct stat st;
    if (fstat(fd, &st) != 0) {
        close(fd);
        return fail_io(err, path, "stat");
    }
    if (S_ISDIR(st.st_mode)) {
        close(fd);
        return rub_error_at(err, RUB_IO, path, 0, 0, "is a directory, expected a file");
    }
    rub_file file = {.data = ""};
    if (!S_ISREG(st.st_mode)) { /* a pipe: read it whole */
        size_t cap = 1 << 16, n = 0;
        char *buf = malloc(cap);
        for (ssize_t got = 1; buf && got > 0; n += (size_t)got) {
            if (n == cap) {
                char *grown = realloc(buf, cap * 2);
                if (!grown) {
                    free(buf);
                    buf = NULL;
                    break;
                }
                buf = grown;
                cap *= 2;
            }
            got = read(fd, buf + n, cap - n);
            if (got < 0) {
                free(buf);
                close(fd);
                return fail_io(err, path, "read");
            }
        }
        close(fd);
        if (!buf)
            return rub_error_at(err, RUB_NO_MEMORY, path, 0, 0, "out of memory");
        file.owned = buf;
        file.data = buf;
        file.n = n;
    } else {
        file.n = (size_t)st.st_size;
        if (file.n > 0) {
            void *map = mmap(NULL, file.n, PROT_READ, MAP_PRIVATE, fd, 0);
            if (map == MAP_FAILED) {
                close(fd);
                return fail_io(err, path, "map");
            }
            madvise(map, file.n, MADV_SEQUENTIAL);
            file.map = map;
            file.data = map;
        }
        close(fd);
    }
    const unsigned char *p = (const unsigned char *)file.data;
    if (file.n >= 2 && p[0] == 0x1f && p[1] == 0x8b) {
        rub_file plain = {0};
        rub_status status = inflate_all(path, p, file.n, &plain, err);
        rub_file_close(&file);
        if (status != RUB_OK)
            return status;
        file = plain;
    }
    *out = file;
    return RUB_OK;
}

void rub_file_close(rub_file *file) {
    if (file->map)
        munmap(file->map, file->n);
    free(file->owned);
    *file = (rub_file){0};
}

uint64_t rub_hash_bytes(const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* Written in place: pipes, terminals, and whatever /dev/stdout and its like lead to. */
static bool is_direct(const char *path) {
    struct stat st;
    return !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6) ||
           (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

rub_status rub_file_writer_open(rub_file_writer *writer, const char *path, rub_error *err) {
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return rub_error_at(err, RUB_IO, path, 0, 0, "is a directory, expected a file");
    bool direct = is_direct(path);
    char *target =
        direct ? NULL : realpath(path, NULL); /* a link stays, what it names is written */
    rub_file_writer w = {.path = target ? target : strdup(path)};
    size_t size = w.path ? strlen(w.path) + 32 : 0;
    w.tmp = direct || !w.path ? NULL : malloc(size);
    if (!w.path || (!direct && !w.tmp)) {
        free(w.path);
        free(w.tmp);
        return rub_error_at(err, RUB_NO_MEMORY, path, 0, 0, "out of memory");
    }
    if (w.tmp)
        snprintf(w.tmp, size, "%s.tmp.%ld", w.path, (long)getpid());
    w.stream = fopen(w.tmp ? w.tmp : w.path, "we");
    if (!w.stream) {
        rub_status status = fail_io(err, path, "create");
        free(w.path);
        free(w.tmp);
        return status;
    }
    setvbuf(w.stream, NULL, _IOFBF, 1 << 18);
    *writer = w;
    return RUB_OK;
}

void rub_file_writer_put(rub_file_writer *writer, const void *bytes, size_t n) {
    if (!writer->failed && fwrite(bytes, 1, n, writer->stream) != n)
        writer->failed = true;
}

rub_status rub_file_writer_close(rub_file_writer *w, rub_error *err) {
    rub_status status = RUB_OK;
    if (fflush(w->stream) != 0 || (w->tmp && fsync(fileno(w->stream)) != 0) || w->failed)
        status = fail_io(err, w->path, "write");
    if (fclose(w->stream) != 0 && status == RUB_OK)
        status = fail_io(err, w->path, "write");
    if (status == RUB_OK && w->tmp && rename(w->tmp, w->path) != 0)
        status = fail_io(err, w->path, "rename into place");
    if (status != RUB_OK && w->tmp)
        unlink(w->tmp);
    free(w->path);
    free(w->tmp);
    return status;
}

rub_status rub_file_write(const char *path, const void *bytes, size_t n, rub_error *err) {
    rub_file_writer writer;
    rub_status status = rub_file_writer_open(&writer, path, err);
    if (status != RUB_OK)
        return status;
    rub_file_writer_put(&writer, bytes, n);
    return rub_file_writer_close(&writer, err);
}

rub_status rub_file_can_write(const char *path, rub_error *err) {
    struct stat st;
    if (is_direct(path))
        return RUB_OK;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return rub_error_at(err, RUB_IO, path, 0, 0, "is a directory, expected a file");
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder)
        return rub_error_at(err, RUB_NO_MEMORY, path, 0, 0, "out of memory");
    rub_status status = access(folder, W_OK | X_OK) == 0 ? RUB_OK : fail_io(err, path, "create");
    free(folder);
    return status;
}

rub_status rub_folder_make(const char *path, rub_error *err) {
    struct stat st;
    char *part = strdup(path);
    if (!part)
        return rub_error_at(err, RUB_NO_MEMORY, path, 0, 0, "out of memory");
    for (char *p = part + (*part == '/'); *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(part, 0777);
            *p = '/';
        }
    free(part);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return fail_io(err, path, "create folder");
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return rub_error_at(err, RUB_IO, path, 0, 0, "is a file, expected a folder");
    return access(path, W_OK | X_OK) == 0 ? RUB_OK : fail_io(err, path, "write into folder");
}
