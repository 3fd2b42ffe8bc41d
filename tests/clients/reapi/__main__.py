"""Calls of REAPI against a server with the bots of bots.sh, judged one by one.

Not for: load, and not for what a build tool shows well enough by itself. The cases are in `cases.py`.
"""

import argparse
import os
import sys
import time
import traceback

import grpc

# The storage client and the message classes are the test bot's.
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "pybot"))

import cases
from client import Client


def main():
    parser = argparse.ArgumentParser(prog="reapi", description=__doc__)
    parser.add_argument("server", metavar="HOST:PORT")
    parser.add_argument("instance")
    parser.add_argument("case", nargs="*", help="only these")
    parser.add_argument("--tally", required=True, metavar="FILE", help="gets one line a case")
    parser.add_argument("--log", required=True, type=argparse.FileType("w"), help="gets a trace of what failed")
    options = parser.parse_args()
    every = {name: case for name, case in vars(cases).items() if getattr(case, "is_case", False)}
    for name in options.case or every:
        started, problem = time.monotonic(), ""
        client = Client(options.server, options.instance)
        try:
            every[name](client)
        except Exception as e:
            problem = in_a_line(e)
            print(f"--- {name}", traceback.format_exc(), sep="\n", file=options.log, flush=True)
        finally:
            client.close()
        verdict = "failed" if problem else "passed"
        with open(options.tally, "a") as tally:
            tally.write(f"{verdict} reapi.{name}\n")
        print(f"{verdict:7} {'reapi.' + name:68} {time.monotonic() - started:6.1f} s  {problem}", flush=True)


def in_a_line(error):
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}".splitlines()[0][:200]
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


if __name__ == "__main__":
    main()
