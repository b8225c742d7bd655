/* Plan documents: whatever the bytes, a report in every form or an error with a message. */
#include "rubato/report.h"

#include "replay.h"

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_plan: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    json_t *plan = NULL;
    rub_error err = {0};
    rub_status status = rub_report_read_memory("fuzz.json", (const char *)data, n, &plan, &err);
    if (status != RUB_OK) {
        check(err.code == status && err.message[0] && !plan, "an error without a message");
        return 0;
    }
    char *text = NULL;
    check(rub_report_terminal(plan, true, &text, &err) == RUB_OK && text, "terminal");
    free(text);
    check(rub_report_html(plan, &text, &err) == RUB_OK && strstr(text, "</html>"), "HTML");
    check(!strstr(text, "<script"), "a script in the brief");
    free(text);
    for (int i = 0; rub_report_tables[i]; i++) {
        check(rub_report_csv(plan, rub_report_tables[i], &text, &err) == RUB_OK && text, "CSV");
        free(text);
    }
    json_decref(plan);
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    static const char *const seeds[] = {
        "{\"rubato\":{\"version\":\"0\",\"kind\":\"plan\",\"schema\":1},\"study\":{\"title\":\"<"
        "script>t\",\"quarters\":[\"2025-Q1\",\"2025-Q2\"]},\n"
        "\"solve\":{\"value_usd\":1e9,\"bound_usd\":1.1e9,\"gap\":0.1},\"headline\":[\"x\",3],\n"
        "\"sites\":[{\"site\":\"a\",\"action\":\"pause\",\"actions_now\":{\"pause\":2,\"proceed\":"
        "1},\"mw\":3.5,\"why\":\"b, \\\"c\\\"\",\n"
        "\"ahead\":[{\"quarter\":\"2025-Q1\",\"probability\":{\"pause\":0.5,\"wait\":0.5}}],"
        "\"triggers\":[{\"text\":\"t\"}],\"runner_up\":{\"text\":\"u\"}}],\n"
        "\"supply\":[{\"class\":\"inference\",\"region\":\"r\",\"demand_mw\":[1,2],\"demand_p10_"
        "mw\":[1,2],\"demand_p90_mw\":[3,4],\"live_mw\":[0,1]}],\n"
        "\"capex\":[{\"fiscal_year\":\"FY2025\",\"budget_usd\":null,\"p90_usd\":2e9}],\n"
        "\"npv\":{\"futures\":[{\"prob\":0.5,\"npv_usd\":1},{\"prob\":0.5,\"npv_usd\":-1e300}]},\n"
        "\"comparisons\":[{\"name\":\"n\",\"lines\":[\"l\"]}],\"worth\":{\"vss\":{\"value_usd\":1},"
        "\"options\":[{\"option\":\"all x\",\"note\":\"n\"}]}}",
        "{\"rubato\":{\"kind\":\"plan\",\"schema\":1},\"study\":{},\"solve\":{},\"infeasible\":"
        "\"no\"}"};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
