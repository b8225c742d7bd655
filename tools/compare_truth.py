#!/usr/bin/env python3
"""compare_truth.py [RUBATO [FOLDER]]: measurements of others against `rubato simulate`, as a table.

FOLDER (../shared/data/truth) has requests measured one by one on real vLLM (LLMServingSim's authors), iteration
times of the Splitwise paper, and NVIDIA's published largest throughputs of TensorRT-LLM. Nothing here is
fitted. What cannot be simulated is counted with its reason. Without the folder: 'skipped: no ../shared'."""
import collections
import csv
import gzip
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

GPUS = {'RTXPRO6000': 'RTX-PRO-6000', 'H100': 'H100-SXM', 'H200': 'H200-SXM', 'B200': 'B200-SXM', 'GB200': 'GB200',
        'a100-80gb': 'A100-80GB', 'h100-80gb': 'H100-SXM'}
MODELS = {'Llama-3.1-8B': 'Llama-3.1-8B', 'Qwen3-32B': 'Qwen3-32B', 'Qwen3-30B-A3B-Instruct-2507': 'Qwen3-30B-A3B',
          'Llama 3.3 70B': 'Llama-3.1-70B', 'Llama 3.1 8B': 'Llama-3.1-8B', 'Llama 3.1 405B': 'Llama-3.1-405B',
          'Llama 4 Scout': 'Llama-4-Scout', 'Llama 4 Maverick': 'Llama-4-Maverick', 'Qwen3-30B-A3B': 'Qwen3-30B-A3B',
          'Qwen3-235B-A22B': 'Qwen3-235B-A22B', 'gpt-oss-120b': 'gpt-oss-120b', 'gpt-oss-20b': 'gpt-oss-20b',
          'DeepSeek-R1-0528': 'DeepSeek-R1', 'llama2-70b': 'Llama-2-70B'}
CLIENTS = 1024  # of a run at the largest batch: more than fit in all but the smallest models


class Table:
    def __init__(self):
        self.rows, self.skipped = collections.OrderedDict(), collections.Counter()

    def add(self, source, what, measured, predicted):
        if measured > 0:
            self.rows.setdefault((source, what), []).append(predicted / measured - 1.0)

    def print(self):
        print('| source | measure | n | median | p90 | bias |\n|---|---|---|---|---|---|')
        for (source, what), errors in self.rows.items():
            size = sorted(abs(e) for e in errors)
            p90 = size[min(len(size) - 1, int(0.9 * len(size)))]
            print(f'| {source} | {what} | {len(size)} | {100 * statistics.median(size):.0f} % | {100 * p90:.0f} % | '
                  f'{100 * statistics.median(errors):+.0f} % |')
        for reason, n in self.skipped.most_common():
            print(f'not simulated: {n} ({reason})')


def simulate(rubato, *options):
    done = subprocess.run([rubato, 'simulate', '--json', *map(str, options)], capture_output=True, text=True, check=False)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ['failed'])[-1].split(': ', 1)[-1][:80]
    return json.loads(done.stdout), ''


def requests(rubato, folder, table):
    """Open loop: the arrivals as measured; TTFT from arrival at the engine, TPOT of each request."""
    runs = collections.OrderedDict()
    with gzip.open(folder / 'llmservingsim_vllm_requests.csv.gz', 'rt') as f:
        for row in csv.DictReader(f):
            runs.setdefault((row['gpu'], row['model']), []).append(row)
    for (gpu, model), rows in runs.items():
        if gpu not in GPUS:
            table.skipped[f'no accelerator {gpu} in the catalog'] += len(rows)
            continue
        rows.sort(key=lambda r: float(r['queued_ts']))
        start = float(rows[0]['queued_ts'])
        with tempfile.TemporaryDirectory() as t:
            trace, out = pathlib.Path(t) / 'trace.csv', pathlib.Path(t) / 'out.csv'
            trace.write_text('arrival_s,input_tok,output_tok\n' + ''.join(
                f"{float(r['queued_ts']) - start:.6f},{r['input_toks']},{r['output_toks']}\n" for r in rows))
            _, why = simulate(rubato, '--trace', trace, '--model', MODELS[model], '--accelerator', GPUS[gpu],
                              '--requests', out)
            if why:
                table.skipped[why] += len(rows)
                continue
            answers = list(csv.DictReader(out.open()))
        for r, a in zip(rows, answers):
            first, last, n = float(r['first_token_ts']), float(r['last_token_ts']), int(r['output_toks'])
            source = f'vLLM requests, {MODELS[model]} on {GPUS[gpu]}'
            table.add(source, 'TTFT', first - float(r['queued_ts']), float(a['first_token_s']) - float(a['arrival_s']))
            if n > 1:
                table.add(source, 'TPOT', (last - first) / (n - 1),
                          (float(a['finish_s']) - float(a['first_token_s'])) / (n - 1))


def splitwise(rubato, folder, table):
    """One batch of prompts of one length, and its answers (software of 2023)."""
    for row in csv.DictReader((folder / 'splitwise_perf_model.csv').open()):
        if row['gpu'] not in GPUS or row['model'] not in MODELS:
            table.skipped[f"Splitwise: {row['model']} on {row['gpu']}"] += 1
            continue
        n = row['batch_size']
        got, why = simulate(rubato, '--model', MODELS[row['model']], '--accelerator', GPUS[row['gpu']], '--tp', row['tp'],
                            '--max-concurrency', n, '--num-prompts', n, '--random-input-len', row['prompt_size'],
                            '--random-output-len', row['token_size'], '--max-batch-tokens',
                            max(8192, int(row['prompt_size']) * int(n)))
        if not got:
            table.skipped['Splitwise: ' + why] += 1
            continue
        source = f"Splitwise, Llama-2-70B on {GPUS[row['gpu']]}"
        table.add(source, 'TTFT', float(row['prompt_time_ms_median']), 1e3 * got['ttft_s']['mean'])
        table.add(source, 'TPOT', float(row['token_time_ms_median']), 1e3 * got['tpot_s']['mean'])


def overview(rubato, folder, table):
    """TensorRT-LLM's published largest throughput, in a closed loop of many clients."""
    for row in csv.DictReader((folder / 'trtllm_perf_overview.csv').open()):
        model, gpu = MODELS.get(row['model']), GPUS.get(row['gpu'])
        if not model or not gpu or row['scenario'] != 'offline-max':
            table.skipped['TensorRT-LLM: ' + (row['model'] if not model else row['gpu'] if not gpu else row['scenario'])] += 1
            continue
        if row['pp'] not in ('', '1') or not row['output_tokens_per_s_total']:
            table.skipped['TensorRT-LLM: pipeline stages, or no figure'] += 1
            continue
        got, why = simulate(rubato, '--model', model, '--accelerator', gpu, '--tp', row['n_gpus'], '--weights',
                            row['precision'].lower(), '--kv-dtype', 'fp8', '--max-concurrency', CLIENTS, '--max-seqs',
                            CLIENTS, '--num-prompts', 2 * CLIENTS, '--random-input-len', row['input_len'],
                            '--random-output-len', row['output_len'])
        if not got:
            table.skipped['TensorRT-LLM: ' + why] += 1
            continue
        table.add(f'TensorRT-LLM, published, {gpu}', 'tokens/s', float(row['output_tokens_per_s_total']),
                  got['output_tok_per_s'])


def main():
    rubato = sys.argv[1] if len(sys.argv) > 1 else 'build/rubato'
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else '../shared/data/truth')
    if not folder.is_dir():
        print('skipped: no ../shared')
        return
    table = Table()
    requests(rubato, folder, table)
    splitwise(rubato, folder, table)
    overview(rubato, folder, table)
    table.print()


main()
