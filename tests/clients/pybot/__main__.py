"""pybot: a bot for tests that owes nothing to the engine.

It speaks google.devtools.remoteworkers.v1test2 and REAPI v2 as their texts say, so that the engine is tested against
somebody else's reading of them. Run it with the Python that has the `buildgrid` wheel:

  python pybot --remote 127.0.0.1:8980 --instance main --capacity 4 --property pool=default --work-dir /tmp/b1

Signals: SIGTERM drains and exits 0. SIGINT or a second SIGTERM kills the commands, hands the leases back as
UNAVAILABLE and exits 1. SIGUSR1 switches between OK and UNHEALTHY.

Faults, by the number of the lease that this process receives, from 1 (--fault may be repeated):
  crash:N         the process vanishes when lease N is about to run
  zombie:N:SECS   on lease N no word to the server for SECS, then on with the old session
  infra:N:CODE    lease N ends with this gRPC code and no result
  double:N        the completion of lease N is reported twice
  missing:N       the result of lease N names a blob that was never uploaded
  slow:N:SECS     the report of lease N comes SECS late

One JSON line an event goes to stdout, or to the file of --events.
"""

import argparse
import os
import sys

from bot import Bot


def main():
    parser = argparse.ArgumentParser(prog="pybot", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remote", required=True, metavar="HOST:PORT", help="where Bots is served")
    parser.add_argument("--cas", metavar="HOST:PORT", help="where the storage is, if elsewhere")
    parser.add_argument("--instance", default="")
    parser.add_argument("--bot-id", default=f"pybot-{os.getpid()}")
    parser.add_argument("--capacity", type=int, default=1, help="leases held at once")
    parser.add_argument("--property", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work-dir", required=True)
    parser.add_argument("--long-poll", type=float, default=20, metavar="SECS", help="deadline of an idle poll")
    parser.add_argument("--heartbeat", type=float, default=5, metavar="SECS", help="between updates when full")
    parser.add_argument("--give-up", type=float, default=60, metavar="SECS", help="of failing updates, then start over")
    parser.add_argument("--rpc-timeout", type=float, default=60, metavar="SECS", help="of a call to the storage")
    parser.add_argument("--max-leases", type=int, default=0, metavar="N", help="drain after this many")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND:N[:VALUE]")
    parser.add_argument("--events", metavar="FILE")
    options = parser.parse_args()
    options.work_dir = os.path.abspath(options.work_dir)
    os.makedirs(options.work_dir, exist_ok=True)
    sys.exit(Bot(options).run())


if __name__ == "__main__":
    main()
