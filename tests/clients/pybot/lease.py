"""One lease: a thread that runs its action, plays the faults that a test asked for, and keeps the report.

Not for: deciding when the report is sent. `bot.py` reads `Job.lease` whenever it talks to the server.
"""

import os
import threading
import time

import grpc

from action import Execution
from cas import BadAction, MissingBlobs, digest_of
from protos import bots, code, error_details, reapi, status


class Job(threading.Thread):
    def __init__(self, bot, lease, number):
        super().__init__(daemon=True, name=f"lease-{lease.id}")
        self.bot, self.number = bot, number
        self.lease = bots.Lease()
        self.lease.CopyFrom(lease)
        self.lease.state = bots.ACTIVE
        self.dropped = False    # the server took the lease away: nobody waits for its report
        self.reported = 0       # how often the server was told that it is complete
        self.execution = Execution(bot.cas, bot.options.work_dir, bot.options.bot_id)

    def kill(self):
        self.execution.kill()

    def run(self):
        started = time.monotonic()
        outcome, result = self._outcome(self.bot.faults_of(self.number))
        if self.execution.killed and not self.dropped:
            outcome, result = status.Status(code=code.UNAVAILABLE, message="the bot is shutting down"), None
        with self.bot.changed:
            self.lease.status.CopyFrom(outcome)
            if result is not None:
                self.lease.result.Pack(result)
            self.lease.state = bots.COMPLETED
        self.bot.report_soon()
        self.bot.event("lease_done", lease=self.lease.id, code=outcome.code, message=outcome.message[:200],
                       exit=None if result is None else result.exit_code, secs=round(time.monotonic() - started, 3))

    def _outcome(self, faults):
        try:
            if "infra" in faults:
                outcome, result = status.Status(code=int(faults["infra"]), message="a fault that was asked for"), None
            else:
                outcome, result = self._execute(faults)
            if "slow" in faults:
                time.sleep(float(faults["slow"]))
            return outcome, result
        except MissingBlobs as e:
            outcome = status.Status(code=code.FAILED_PRECONDITION, message=str(e))
            violations = [error_details.PreconditionFailure.Violation(
                type="MISSING", subject=f"blobs/{d.hash}/{d.size_bytes}") for d in e.digests]
            outcome.details.add().Pack(error_details.PreconditionFailure(violations=violations))
            return outcome, None
        except BadAction as e:
            return status.Status(code=code.INVALID_ARGUMENT, message=str(e)), None
        except grpc.RpcError as e:
            return status.Status(code=code.UNAVAILABLE, message=f"bot: {e.code()} {e.details()}"), None
        except Exception as e:    # the bot's own trouble: another bot may fare better
            return status.Status(code=code.INTERNAL, message=f"bot: {type(e).__name__}: {e}"), None

    def _execute(self, faults):
        def crash_if_asked():
            if "crash" in faults:
                self.bot.event("fault_crash", lease=self.lease.id)
                os._exit(9)

        outcome, result = self.execution.run(self._action(), before_command=crash_if_asked)
        if "missing" in faults and result is not None:
            result.output_files.add(path="never-uploaded", digest=digest_of(os.urandom(64)))
        return outcome, result

    def _action(self):
        payload = self.lease.payload
        action, digest = reapi.Action(), reapi.Digest()
        if payload.Unpack(action):
            return action
        if payload.Unpack(digest):
            return self.bot.cas.message(reapi.Action, digest)
        raise BadAction(f"the payload {payload.type_url!r} is neither an Action nor a Digest")
