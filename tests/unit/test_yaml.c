#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "base/yaml.h"

#include <string.h>

static rub_yaml *read_ok(const char *text) {
    rub_yaml *doc = NULL;
    rub_error err = {0};
    if (rub_yaml_read("s.yaml", text, strlen(text), &doc, &err) != RUB_OK)
        fail_msg("%lld:%lld %s", (long long)err.line, (long long)err.column, err.message);
    return doc;
}

static void expect_error(const char *text, const char *message) {
    rub_yaml *doc = NULL;
    rub_error err = {0};
    char buf[900];
    assert_int_equal(rub_yaml_read("s.yaml", text, strlen(text), &doc, &err), RUB_PARSE);
    assert_null(doc);
    rub_error_format(&err, buf, sizeof buf);
    if (!strstr(buf, message))
        fail_msg("found '%s', expected '%s'", buf, message);
}

static void nodes_keep_their_places(void **state) {
    (void)state;
    rub_yaml *doc = read_ok("a: 1\nb:\n  - x\n  - {c: \"2\"}\n");
    rub_yaml_node *b = rub_yaml_get(rub_yaml_root(doc), "b");
    assert_int_equal(b->kind, RUB_YAML_SEQUENCE);
    assert_int_equal(b->n, 2);
    assert_string_equal(b->value[0]->scalar, "x");
    assert_int_equal(b->value[0]->line, 3);
    assert_int_equal(b->value[0]->column, 5);
    rub_yaml_node *c = rub_yaml_get(b->value[1], "c");
    assert_true(c->quoted);
    assert_string_equal(c->scalar, "2");
    assert_int_equal(rub_yaml_key(b->value[1], "c")->column, 6);
    assert_null(rub_yaml_get(b, "c"));
    assert_null(rub_yaml_get(rub_yaml_root(doc), "z"));
    rub_yaml_free(doc);
}

static void broken_documents_are_refused(void **state) {
    (void)state;
    expect_error("", "s.yaml:1:1: found nothing, expected a document");
    expect_error("a: 1\nb: 2\na: 3\n", "s.yaml:3:1: key 'a' appears twice (first at line 1)");
    expect_error("a: [1, 2\n", "s.yaml:2:1: ");
    expect_error("a: 1\n---\nb: 2\n", "s.yaml:2:1: a second document");
    expect_error("a: *x\n", "s.yaml:1:4: alias of an anchor");
    expect_error("a: &x [*x]\n", "s.yaml:1:8: alias of an anchor");
    expect_error("? [a]\n: 1\n", "s.yaml:1:3: a key is a list or mapping");
    expect_error("a: \"x\\0y\"\n", "s.yaml:1:4: text holds a NUL byte");
    expect_error("a: \xff\xfe\n", "expected UTF-8");
}

static void depth_is_limited(void **state) {
    (void)state;
    char text[402];
    memset(text, '[', 200);
    memset(text + 200, ']', 200);
    text[400] = '\0';
    expect_error(text, "s.yaml:1:65: nested deeper");
    rub_text chain = {0}; /* ten levels more with each alias */
    rub_text_add(&chain, "a0: &a0 x\n");
    for (int i = 1; i < 10; i++)
        rub_text_add(&chain, "a%d: &a%d [[[[[[[[[[*a%d]]]]]]]]]]\n", i, i, i - 1);
    expect_error(chain.data, "s.yaml:8:19: nested deeper");
    rub_text_clear(&chain);
}

/* Nine levels of ten aliases each stand for a billion values. */
static void aliases_are_limited(void **state) {
    (void)state;
    rub_text text = {0};
    rub_text_add(&text, "a0: &a0 x\n");
    for (int level = 1; level < 10; level++) {
        rub_text_add(&text, "a%d: &a%d [", level, level);
        for (int i = 0; i < 10; i++)
            rub_text_add(&text, "%s*a%d", i ? ", " : "", level - 1);
        rub_text_add(&text, "]\n");
    }
    expect_error(text.data, "more than 2,000,000 values");
    rub_text_clear(&text);
    rub_yaml *doc = read_ok("a: &x {k: 1}\nb: *x\n");
    assert_string_equal(rub_yaml_get(rub_yaml_get(rub_yaml_root(doc), "b"), "k")->scalar, "1");
    rub_yaml_free(doc);
}

static void numbers_are_checked(void **state) {
    (void)state;
    rub_yaml *doc = read_ok("x: 1.5\ni: 12\nb: true\nt: abc\nn:\nbig: 1e999\nl: []\n");
    rub_yaml_node *root = rub_yaml_root(doc);
    rub_error err = {0};
    double x = 0;
    int64_t i = 0;
    bool b = false;
    const char *t = NULL;
    assert_int_equal(rub_yaml_double(rub_yaml_get(root, "x"), "x", 0, 2, &x, &err), RUB_OK);
    assert_true(x == 1.5);
    assert_int_equal(rub_yaml_double(rub_yaml_get(root, "x"), "x", 2, 3, &x, &err), RUB_INVALID);
    assert_string_equal(err.message, "'x' is 1.5, expected 2 to 3");
    assert_int_equal(rub_yaml_double(rub_yaml_get(root, "t"), "t", 0, 2, &x, &err), RUB_INVALID);
    assert_string_equal(err.message, "'t' is abc, expected a number");
    assert_int_equal(err.line, 4);
    assert_int_equal(rub_yaml_double(rub_yaml_get(root, "big"), "b", 0, 2, &x, NULL), RUB_INVALID);
    assert_int_equal(rub_yaml_int(rub_yaml_get(root, "i"), "i", 0, 20, &i, &err), RUB_OK);
    assert_int_equal(i, 12);
    assert_int_equal(rub_yaml_int(rub_yaml_get(root, "x"), "x", 0, 20, &i, NULL), RUB_INVALID);
    assert_int_equal(rub_yaml_int(rub_yaml_get(root, "l"), "l", 0, 20, &i, &err), RUB_INVALID);
    assert_string_equal(err.message, "'l' is a list, expected a whole number");
    assert_int_equal(rub_yaml_bool(rub_yaml_get(root, "b"), "b", &b, &err), RUB_OK);
    assert_true(b);
    assert_int_equal(rub_yaml_bool(rub_yaml_get(root, "x"), "x", &b, NULL), RUB_INVALID);
    assert_int_equal(rub_yaml_text(rub_yaml_get(root, "t"), "t", &t, &err), RUB_OK);
    assert_string_equal(t, "abc");
    assert_int_equal(rub_yaml_text(rub_yaml_get(root, "n"), "n", &t, &err), RUB_INVALID);
    rub_yaml_free(doc);
}

static void unknown_keys_get_a_suggestion(void **state) {
    (void)state;
    static const char *const keys[] = {"power", "lead_time"};
    rub_yaml *doc = read_ok("power: 1\nlead_tme: 2\n");
    rub_error err = {0};
    assert_int_equal(rub_yaml_known_keys(rub_yaml_root(doc), keys, 2, "a site", &err), RUB_INVALID);
    assert_string_equal(err.message, "unknown key 'lead_tme' in a site, did you mean 'lead_time'?");
    assert_int_equal(err.line, 2);
    rub_yaml_free(doc);
}

static void put_sets_and_replaces(void **state) {
    (void)state;
    rub_yaml *doc = read_ok("a: 1\n");
    rub_yaml_node *root = rub_yaml_root(doc);
    rub_error err = {0};
    assert_int_equal(rub_yaml_put(doc, root, "a", "--what-if", "[1, 2]", &err), RUB_OK);
    assert_int_equal(rub_yaml_get(root, "a")->n, 2);
    assert_int_equal(rub_yaml_put(doc, root, "b", "--what-if", "2025-Q2", &err), RUB_OK);
    assert_string_equal(rub_yaml_get(root, "b")->scalar, "2025-Q2");
    assert_string_equal(rub_yaml_key(root, "b")->scalar, "b");
    assert_int_equal(rub_yaml_put(doc, root, "c", "--what-if", "[", &err), RUB_PARSE);
    assert_string_equal(err.file, "--what-if");
    assert_int_equal(root->n, 2);
    rub_yaml_free(doc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_keep_their_places), cmocka_unit_test(broken_documents_are_refused),
        cmocka_unit_test(depth_is_limited),        cmocka_unit_test(aliases_are_limited),
        cmocka_unit_test(numbers_are_checked),     cmocka_unit_test(unknown_keys_get_a_suggestion),
        cmocka_unit_test(put_sets_and_replaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
