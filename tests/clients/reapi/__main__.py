"""Calls of REAPI against a server with the bots of bots.sh, judged one by one.

Not for: load, and not for what a build tool shows well enough by itself. The cases are in `cases.py`.
"""

import argparse
import os
import sys
import time
import traceback

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
    options = parser.parse_args()
    every = {name: case for name, case in vars(cases).items() if getattr(case, "is_case", False)}
    for name in options.case or every:
        started, problem = time.monotonic(), ""
        client = Client(options.server, options.instance)
        try:
            every[name](client)
        except Exception as e:
            problem = f"{type(e).__name__}: {e}".splitlines()[0][:300]
            traceback.print_exc()
        finally:
            client.close()
        verdict = "failed" if problem else "passed"
        with open(options.tally, "a") as tally:
            tally.write(f"{verdict} reapi.{name}\n")
        print(f"{verdict:7} {'reapi.' + name:68} {time.monotonic() - started:6.1f} s  {problem}", flush=True)


if __name__ == "__main__":
    main()
