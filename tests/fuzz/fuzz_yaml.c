/* YAML: whatever the bytes, a tree whose counts are sane or an error with a message. */
#include "base/yaml.h"

#include "replay.h"

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_yaml: %s\n", what);
        abort();
    }
}

static size_t walk(const rub_yaml_node *node, int depth) {
    check(depth <= RUB_YAML_MAX_DEPTH, "too deep");
    size_t n = 1;
    check(node->line > 0 && node->column > 0 && node->file, "a node without a place");
    check((node->kind == RUB_YAML_SCALAR) == (node->scalar != NULL), "scalar and kind");
    for (size_t i = 0; i < node->n; i++) {
        n += walk(node->value[i], depth + 1);
        if (node->kind == RUB_YAML_MAPPING)
            n += walk(node->key[i], depth + 1);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    rub_yaml *doc = NULL;
    rub_error err = {0};
    rub_status status = rub_yaml_read("fuzz.yaml", (const char *)data, n, &doc, &err);
    if (status != RUB_OK) {
        check(!doc && err.code == status && err.message[0], "an error without a message");
        return 0;
    }
    size_t counted = walk(rub_yaml_root(doc), 0);
    check(counted == rub_yaml_root(doc)->n_nodes, "nodes do not add up");
    check(counted <= RUB_YAML_MAX_NODES, "more nodes than allowed");
    rub_yaml_free(doc);
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    static const char study[] =
        "study: x\nsites:\n  - name: a\n    power: 48 MW\n    stages: {option: 1, shell: [2, 3]}\n"
        "  - name: \"b \\u00e9\"\n    notes: |\n      two\n      lines\n";
    static const char aliases[] = "base: &b {k: 1, l: [1, 2]}\nother: *b\nlist: [*b, *b]\n";
    static const char json[] = "{\"json\": [1, 2.5e3, null, true], 'q': ~}\n";
    static const char *const seeds[] = {study, aliases, json};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
