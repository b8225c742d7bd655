/* Launch: how the chosen replica is started, in the words of each engine.
 *
 * Flags as documented for `vllm serve` (docs.vllm.ai, engine arguments and expert parallel
 * deployment) and `sglang.launch_server` (docs.sglang.io, server arguments), and the values of the
 * vLLM production stack's Helm chart, read 2026-11-24. Not run here. In vLLM accelerators are tensor x
 * data x pipeline parallel; in SGLang with attention data parallel --tp counts all of a stage's. */
#include "size/size.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>

/* Weights are quantised on loading only where the model is published wider. */
static bool quantise(const rub_size_candidate *c) {
    const rub_deployment *d = &c->deployment;
    return d->weights == RUB_FP8 && d->model->weights != RUB_FP8;
}

/* The flags behind the model. */
static void vllm_flags(const rub_size_candidate *c, rub_text *out) {
    rub_text_add(out, "--tensor-parallel-size %d", c->tp);
    if (c->pp > 1)
        rub_text_add(out, " --pipeline-parallel-size %d", c->pp);
    if (c->attention_dp > 1)
        rub_text_add(out, " --data-parallel-size %d", c->attention_dp);
    if (c->ep > 1)
        rub_text_add(out, " --enable-expert-parallel");
    rub_text_add(out, " --max-num-batched-tokens %lld --max-num-seqs %d",
                 (long long)c->max_batch_tok, c->max_seqs);
    rub_text_add(out, " --gpu-memory-utilization %.2f --block-size %d",
                 c->deployment.gpu_memory_utilization, c->deployment.block_size_tok);
    if (quantise(c))
        rub_text_add(out, " --quantization fp8");
    if (c->deployment.kv_cache == RUB_FP8)
        rub_text_add(out, " --kv-cache-dtype fp8");
}

static void sglang(const rub_size_candidate *c, const char *model, rub_text *out) {
    rub_text_add(out, "python3 -m sglang.launch_server --model-path %s --tp %d", model,
                 c->tp * c->attention_dp);
    if (c->pp > 1)
        rub_text_add(out, " --pp-size %d", c->pp);
    if (c->attention_dp > 1)
        rub_text_add(out, " --dp %d --enable-dp-attention", c->attention_dp);
    if (c->ep > 1)
        rub_text_add(out, " --ep %d", c->ep);
    rub_text_add(out, " --chunked-prefill-size %lld --max-running-requests %d",
                 (long long)c->max_batch_tok, c->max_seqs);
    rub_text_add(out, " --mem-fraction-static %.2f", c->deployment.gpu_memory_utilization);
    if (quantise(c))
        rub_text_add(out, " --quantization fp8");
    if (c->deployment.kv_cache == RUB_FP8)
        rub_text_add(out, " --kv-cache-dtype fp8_e4m3");
    rub_text_add(out, "\n");
}

/* A name that Kubernetes takes: lower case, letters, digits, hyphens. */
static void object_name(const char *model, char *out, size_t size) {
    const char *slash = strrchr(model, '/');
    size_t n = 0;
    for (const char *p = slash ? slash + 1 : model; *p && n + 1 < size; p++)
        out[n++] = (char)(isalnum((unsigned char)*p) ? tolower((unsigned char)*p) : '-');
    out[n] = 0;
}

static const char *resource_of(const rub_size_candidate *c) {
    return !strncmp(c->accel->name, "MI", 2) ? "amd.com/gpu" : "nvidia.com/gpu";
}

static const char *image_of(const rub_size_candidate *c) {
    return !strncmp(c->accel->name, "MI", 2) ? "rocm/vllm" : "vllm/vllm-openai";
}

static void kubernetes(const rub_size_candidate *c, const char *model, rub_text *out) {
    char name[64];
    int32_t gpus = c->tp * c->pp * c->attention_dp;
    object_name(model, name, sizeof name);
    rub_text_add(out,
                 "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %s\nspec:\n"
                 "  replicas: %d\n  selector:\n    matchLabels:\n      app: %s\n"
                 "  template:\n    metadata:\n      labels:\n        app: %s\n    spec:\n"
                 "      containers:\n        - name: vllm\n          image: %s\n"
                 "          command: [\"vllm\", \"serve\", \"%s\"]\n          args:",
                 name, c->replicas, name, name, image_of(c), model);
    rub_text flags = {0};
    vllm_flags(c, &flags);
    /* a flag and its value apart; numbers are strings to Kubernetes */
    for (const char *p = flags.data ? flags.data : ""; *p;) {
        size_t n = strcspn(p, " ");
        const char *quote = isdigit((unsigned char)*p) ? "\"" : "";
        rub_text_add(out, "\n            - %s%.*s%s", quote, (int)n, p, quote);
        p += n + (p[n] == ' ');
    }
    rub_text_clear(&flags);
    rub_text_add(out,
                 "\n          ports:\n            - containerPort: 8000\n"
                 "          readinessProbe:\n            httpGet:\n              path: /health\n"
                 "              port: 8000\n          resources:\n            limits:\n"
                 "              %s: %d\n          volumeMounts:\n            - name: shm\n"
                 "              mountPath: /dev/shm\n      volumes:\n        - name: shm\n"
                 "          emptyDir:\n            medium: Memory\n",
                 resource_of(c), gpus);
}

static void helm(const rub_size_candidate *c, const char *model, rub_text *out) {
    char name[64];
    object_name(model, name, sizeof name);
    rub_text_add(out,
                 "servingEngineSpec:\n  modelSpec:\n    - name: %s\n      repository: %s\n"
                 "      modelURL: %s\n      replicaCount: %d\n      requestGPU: %d\n"
                 "      vllmConfig:\n        tensorParallelSize: %d\n        maxNumSeqs: %d\n"
                 "        gpuMemoryUtilization: %.2f\n        extraArgs:\n",
                 name, image_of(c), model, c->replicas, c->tp * c->pp * c->attention_dp, c->tp,
                 c->max_seqs, c->deployment.gpu_memory_utilization);
    rub_text_add(out, "          - \"--max-num-batched-tokens\"\n          - \"%lld\"\n",
                 (long long)c->max_batch_tok);
    if (c->pp > 1)
        rub_text_add(out, "          - \"--pipeline-parallel-size\"\n          - \"%d\"\n", c->pp);
    if (c->attention_dp > 1)
        rub_text_add(out, "          - \"--data-parallel-size\"\n          - \"%d\"\n",
                     c->attention_dp);
    if (c->ep > 1)
        rub_text_add(out, "          - \"--enable-expert-parallel\"\n");
    if (quantise(c))
        rub_text_add(out, "          - \"--quantization\"\n          - \"fp8\"\n");
    if (c->deployment.kv_cache == RUB_FP8)
        rub_text_add(out, "          - \"--kv-cache-dtype\"\n          - \"fp8\"\n");
}

rub_status rub_size_launch(const rub_size_candidate *c, const char *model, rub_size_form form,
                           char **out, rub_error *err) {
    rub_text text = {0};
    if (form == RUB_SIZE_VLLM) {
        rub_text_add(&text, "vllm serve %s ", model);
        vllm_flags(c, &text);
        rub_text_add(&text, "\n");
    } else if (form == RUB_SIZE_SGLANG)
        sglang(c, model, &text);
    else if (form == RUB_SIZE_KUBERNETES)
        kubernetes(c, model, &text);
    else
        helm(c, model, &text);
    if (text.failed) {
        rub_text_clear(&text);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a command");
    }
    *out = text.data;
    return RUB_OK;
}
