#!/usr/bin/env python3
"""What every command keeps, whatever it does: help and manual page render, --json is JSON, bad input gives
one line and exit status 2, output that cannot be written is told, an interruption leaves files whole, progress
stands on a terminal only. Goes over all commands of 'rubato --commands'. Prints TAP."""
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RUBATO = os.path.abspath(sys.argv[1])
STUDY = os.path.join(ROOT, "examples", "tiny.yaml")
REPLAY = os.path.join(ROOT, "examples", "tiny-replay.yaml")
LINEAR = ["--perf", "linear:6e-3,2.2e-5,8.2e-8,3.4e-9"]
MODEL = ["--model", "llama-3.1-8b", "--accelerator", "h100"]

# A small run of each command with --json; FILE names stand in the test's folder.
JSON_RUNS = {
    "trace info": ["trace.csv"],
    "trace make": ["--requests", "50", "--out", "made.csv"],
    "simulate": ["--trace", "trace.csv", *MODEL, "--ttft", "1s", "--tpot", "50ms"],
    "size": ["--trace", "trace.csv", *MODEL, "--ttft-p99", "2s", "--tpot-p99", "80ms", "--rate", "50"],
    "forecast": ["series.csv", "--quarters", "2"],
    "plan": [STUDY, "--iterations", "20", "--no-worth", "--no-files"],
    "replay": [REPLAY, "--iterations", "2", "--no-files"],
    "study make": ["--sites", "2", "--leaves", "2"],
    "check": [STUDY],
    "catalog": ["llama-3.1-8b"],
    "report": ["plan.json"],
    "calibrate": ["tables", "--system", "h100"],
    "validate": ["measured.csv", "--requests-per-client", "2"],
    "jobs": ["jobs.csv", "--accelerators", "16"],
    "train": ["--model", "llama-3.1-8b", "--accelerator", "h100", "--accelerators", "64", "--tokens", "1T"],
}
# Where each command takes a file that it reads.
READS = {
    "trace info": ["FILE"],
    "trace make": ["--from", "FILE"],
    "simulate": ["--trace", "FILE", *LINEAR],
    "size": ["--trace", "FILE", *MODEL, "--ttft-p99", "1s"],
    "forecast": ["FILE"],
    "plan": ["FILE", "--no-files"],
    "replay": ["FILE", "--no-files"],
    "check": ["FILE"],
    "catalog": ["./FILE"],
    "report": ["FILE"],
    "calibrate": ["tables", "--system", "h100", "--against", "FILE"],
    "validate": ["FILE"],
    "jobs": ["FILE", "--accelerators", "16"],
}
# Where each command writes one.
WRITES = {
    "trace make": ["--requests", "10", "--out", "FILE"],
    "simulate": ["--trace", "trace.csv", *LINEAR, "--requests", "FILE"],
    "report": ["plan.json", "--html", "FILE"],
    "calibrate": ["tables", "--system", "h100", "--out", "FILE"],
    "validate": ["measured.csv", "--requests-per-client", "2", "--rows", "FILE"],
    "jobs": ["jobs.csv", "--accelerators", "16", "--out", "FILE"],
}
n_test = n_failed = 0


def tell(ok, title, *why):
    global n_test, n_failed
    n_test += 1
    n_failed += not ok
    print(f"{'ok' if ok else 'not ok'} {n_test} - {title}")
    for line in [] if ok else why:
        print(f"# {line!r}"[:1500])


def skip(title, why):
    global n_test
    n_test += 1
    print(f"ok {n_test} - {title} # SKIP skipped: {why}")


def run(name, args, **more):
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run([RUBATO, *name.split(), *args], stdin=subprocess.DEVNULL, timeout=120, **more)


def one_line(stderr):
    return stderr.startswith(b"rubato") and stderr.count(b"\n") == 1 and all(c >= 32 or c == 10 for c in stderr)


def pages(commands):
    groff = shutil.which("groff")
    for name in commands:
        text = run(name, ["--help"])
        man, by_name = run(name, ["--man"]), subprocess.run([RUBATO, "--man", *name.split()], capture_output=True)
        blanks = [line for line in text.stdout.splitlines() if line.endswith(b" ")]
        tell(text.returncode == 0 and text.stdout.startswith(f"rubato {name} - ".encode())
             and b"\nusage: " in text.stdout and b"--json" in text.stdout and not text.stderr and not blanks,
             f"{name} --help", text.stdout, blanks)
        tell(man.returncode == 0 and man.stdout == by_name.stdout and man.stdout.startswith(b".TH "),
             f"{name} --man", man.stdout[:300])
        if not groff:
            skip(f"{name}: page renders", "no groff")
            continue
        page = subprocess.run([groff, "-man", "-Tutf8", "-ww"], input=man.stdout, capture_output=True)
        tell(page.returncode == 0 and not page.stderr and b"0: done" in b" ".join(page.stdout.split()), f"{name}: page renders", page.stderr)


def json_of_all(commands):
    for name in commands:
        if name not in JSON_RUNS:
            tell(False, f"{name} --json", "no case in JSON_RUNS of tests/cli/contract.py: add one")
            continue
        out = run(name, [*JSON_RUNS[name], "--json"])
        try:
            document = json.loads(out.stdout)
        except ValueError as error:
            document, out.stderr = None, out.stderr + str(error).encode()
        tell(out.returncode in (0, 1) and isinstance(document, (dict, list)), f"{name} --json", out.stderr)


def bad_files():
    make = {
        "empty": b"",
        "blank": b"\n\n\n",
        "binary": bytes((i * 7919 + i * i) & 255 for i in range(4000)),
        "text": b"hello, this is no such file\nat all\n",
        "numbers": b"arrival_s,input_tok,output_tok\n0,1e999,-5\n",
        "cut.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcbH\xcd",
        "deep": b"[" * 200000,
    }
    for kind, data in make.items():
        for end in (".csv", ".yaml", ".json"):
            with open(kind + end, "wb") as file:
                file.write(data)
    os.mkdir("folder.csv")
    return [*make, "folder", "absent"]


def errors_of(stdout):
    try:
        errors = json.loads(stdout)["errors"]
        return [e["message"] for e in errors if e["line"] >= 0 and e["column"] >= 0 and "file" in e]
    except (ValueError, KeyError, TypeError):
        return []


def bad_options(commands):
    for name in commands:
        out = run(name, ["--json", "--no-such-option"])
        tell(out.returncode == 2 and one_line(out.stderr) and len(errors_of(out.stdout)) == 1,
             f"{name} --json: unknown option", out.stderr[:300], out.stdout[:300])


def bad_input():
    kinds = bad_files()
    for name, args in READS.items():
        end = {"plan": ".yaml", "replay": ".yaml", "check": ".yaml", "catalog": ".json", "report": ".json"}.get(name, ".csv")
        for kind in kinds:
            file = kind + (".csv" if kind == "folder" else end)
            out = run(name, [a.replace("FILE", file) for a in args])
            tell(out.returncode == 2 and one_line(out.stderr) and not out.stdout, f"{name}: {kind} file",
                 out.returncode, out.stderr[:300], out.stdout[:200])
            if kind not in ("text", "binary", "folder", "absent"):
                continue
            told = run(name, [*(a.replace("FILE", file) for a in args), "--json"])
            first = (errors_of(told.stdout) or [""])[0].encode()
            tell(told.returncode == 2 and told.stderr == out.stderr and first and first in told.stderr,
                 f"{name} --json: {kind} file", told.returncode, told.stderr[:300], told.stdout[:300])


def unreadable(folder):
    title = "trace info: file without permission"
    os.chmod(folder, 0o755)
    with open("secret.csv", "w") as file:
        file.write("arrival_s,input_tok,output_tok\n0,1,1\n")
    os.chmod("secret.csv", 0)
    shutil.copy(RUBATO, "rubato")
    os.chmod("rubato", 0o755)
    as_nobody = (lambda: os.setuid(65534)) if os.geteuid() == 0 else None
    try:
        out = subprocess.run(["./rubato", "trace", "info", "secret.csv"], capture_output=True, preexec_fn=as_nobody)
    except (OSError, subprocess.SubprocessError):
        return skip(title, "cannot run as another user here")
    tell(out.returncode == 2 and one_line(out.stderr) and b"ermission" in out.stderr, title, out.stderr)


def full_and_closed(commands):
    for name in commands:
        args = JSON_RUNS.get(name, [])
        with open("/dev/full", "w") as full:
            for more in ([], ["--json"], ["--help"]):
                if name == "trace make" and not more:
                    args = ["--requests", "50"]
                out = run(name, [*args, *more], stdout=full)
                args = JSON_RUNS.get(name, [])
                tell(out.returncode == 2 and one_line(out.stderr), f"{name} {' '.join(more)} to a full disk",
                     out.returncode, out.stderr)
        reader, writer = os.pipe()
        os.close(reader)
        out = run(name, [*args, "--json"], stdout=writer)
        os.close(writer)
        tell(out.returncode == 2 and one_line(out.stderr), f"{name}: reader of the pipe is gone", out.returncode,
             out.stderr)


def unwritable():
    before = set(os.listdir("."))
    for name, args in WRITES.items():
        for file in ("/dev/full", "nowhere/x.csv", "folder.csv", "trace.csv/x"):
            out = run(name, [a.replace("FILE", file) for a in args])
            tell(out.returncode == 2 and one_line(out.stderr), f"{name}: cannot write {file}", out.stderr)
    tell(set(os.listdir(".")) == before, "nothing is left of what could not be written", os.listdir("."))
    out = run("plan", [STUDY, "--out", "trace.csv"])
    tell(out.returncode == 2 and one_line(out.stderr), "plan: folder is a file", out.stderr)
    os.symlink("linked.csv", "link.csv")
    open("linked.csv", "w").close()
    run("trace make", ["--requests", "3", "--out", "link.csv"])
    tell(os.path.islink("link.csv") and os.path.getsize("linked.csv") > 30, "a link is followed, not replaced")
    with open("stdout.csv", "w") as file:
        run("trace make", ["--requests", "3", "--out", "/dev/stdout"], stdout=file)
    tell(os.path.getsize("stdout.csv") > 30 and os.path.exists("/dev/stdout"), "/dev/stdout is written in place")


def interrupted():
    run("trace make", ["--requests", "150000", "--rate", "1.5", "--input", "fixed:100", "--output", "fixed:8000", "--out", "long.csv"])
    cases = {
        "simulate": ["--trace", "long.csv", *LINEAR, "--engine", "naive", "--requests", "times.csv"],
        "simulate (two replicas)": ["--trace", "long.csv", *LINEAR, "--engine", "naive", "--replicas", "2",
                                    "--requests", "times.csv"],
        "size": ["--trace", "long.csv", "--model", "llama-3.1-70b", "--ttft-p99", "2s"],
    }
    for name, args in cases.items():
        with open("times.csv", "w") as file:
            file.write("as it was\n")
        before = set(os.listdir("."))
        process = subprocess.Popen([RUBATO, name.split()[0], *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        with open("times.csv") as file:
            whole = file.read() == "as it was\n"
        tell(process.returncode == 1 and err == b"rubato: interrupted\n" and not out and whole
             and set(os.listdir(".")) == before, f"{name}: Ctrl-C", process.returncode, err, out[:200])


def on_a_terminal():
    for args, what in (([RUBATO, "simulate", "--trace", "long.csv", *LINEAR], b"simulating:"),
                       ([RUBATO, "trace", "info", "long.csv"], b"reading bytes:")):
        shows_progress(args, what)


def shows_progress(args, what):
    name = " ".join(args[1:3])
    ours, theirs = pty.openpty()
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    process.communicate(timeout=60)
    os.close(ours)
    tell(what in seen and b"s left" in seen and seen.endswith(b"\x1b[K"), f"{name}: progress on a terminal", seen)
    quiet = subprocess.run(args, capture_output=True)
    tell(quiet.returncode == 0 and not quiet.stderr, f"{name}: no progress in a pipe", quiet.stderr)


def main():
    commands = subprocess.run([RUBATO, "--commands"], capture_output=True, text=True, check=True).stdout.splitlines()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("trace.csv", "w") as file:
            file.write("arrival_s,input_tok,output_tok\n")
            file.writelines(f"{i * 0.25},{100 + i % 7},{20 + i % 5}\n" for i in range(200))
        with open("series.csv", "w") as file:
            file.write("date,value\n")
            file.writelines(f"{2020 + i // 12}-{1 + i % 12:02d}-01,{100 + 3 * i + 10 * (i % 12 == 3)}\n" for i in range(60))
        with open("jobs.csv", "w") as file:
            file.write("t_s,duration_s,gpus\n0,100,8\n10,50,16\n20,10,1\n")
        with open("measured.csv", "w") as file:
            file.write("id,backend,backend_version,model_path,system,precision,mode,isl,osl,batch_size,tp_size,pp_size,"
                       "attention_dp_size,moe_tp_size,moe_ep_size,concurrency,silicon_ttft_ms,silicon_tpot_ms,source\n")
            file.writelines(f"r{c},vllm,0.19.0,meta-llama/Meta-Llama-3.1-8B,h100_sxm,fp8,agg,1024,256,{c},1,1,1,1,1,{c},"
                            f"{40 + c},{6 + 0.1 * c},made up\n" for c in (1, 4, 16))
        os.mkdir("tables")
        with open("tables/vllm-0.24.0.gemm_perf.csv", "w") as file:
            file.write("gemm_dtype,m,n,k,latency\n")
            file.writelines(f"bfloat16,{m},{n},{k},{2e-3 + 2e-12 * m * n * k + 1e-9 * n * k}\n" for m in (1, 64, 4096)
                            for n in range(1024, 9000, 1024) for k in range(1024, 9000, 1024))
        plan = run("plan", [*JSON_RUNS["plan"], "--json"])
        with open("plan.json", "wb") as file:
            file.write(plan.stdout)
        pages(commands)
        json_of_all(commands)
        full_and_closed(commands)
        bad_input()
        bad_options(commands)
        unwritable()
        unreadable(folder)
        interrupted()
        on_a_terminal()
        os.chdir(ROOT)
    print(f"1..{n_test}")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
