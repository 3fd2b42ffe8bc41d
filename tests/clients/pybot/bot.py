"""The session: tells the server what runs here, takes leases, and survives what servers do.

A server may drop a lease (cancelled), forget the session (the bot starts a new one), be away for a while (the bot
keeps working), or answer a poll at once without work (the bot must not spin).
"""

import json
import os
import random
import signal
import sys
import threading
import time

import grpc

from cas import Cas
from lease import Job
from protos import bots, bots_grpc, code, worker

CHANNEL = [("grpc.max_receive_message_length", 64 << 20), ("grpc.keepalive_time_ms", 30_000),
           ("grpc.max_reconnect_backoff_ms", 2_000), ("grpc.initial_reconnect_backoff_ms", 100)]
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED,
           grpc.StatusCode.UNKNOWN)
REPORTS_MAX = 3         # a server that keeps a completed lease after so many reports never lets go of it
FULL_CALL_S = 10        # the deadline of an update that cannot bring work
IDLE_FIRST_S, IDLE_MAX_S = 0.02, 0.5


class Bot:
    def __init__(self, options):
        self.options = options
        channel = grpc.insecure_channel(options.remote, CHANNEL)
        cas_channel = grpc.insecure_channel(options.cas, CHANNEL) if options.cas else channel
        self.service = bots_grpc.BotsStub(channel)
        self.cas = Cas(cas_channel, options.instance, os.path.join(options.work_dir, "cas"), options.rpc_timeout)
        self.events = open(options.events, "a", buffering=1) if options.events else sys.stdout
        self.faults = {}
        for fault in options.fault:
            kind, number, *value = fault.split(":")
            self.faults.setdefault(int(number), {})[kind] = value[0] if value else "1"
        # Guards everything below, and is notified when there is something to report.
        self.changed = threading.Condition(threading.RLock())
        self.jobs = {}
        self.dirty, self.call = False, None
        self.status, self.draining, self.killing = bots.OK, False, False
        self.received = 0
        self.silent_until = 0.0

    def event(self, what, **fields):
        line = {"t": round(time.time(), 3), "bot": self.options.bot_id, "ev": what, **fields}
        self.events.write(json.dumps(line) + "\n")
        self.events.flush()

    def faults_of(self, number):
        return self.faults.get(number, {})

    def report_soon(self):
        """Ends the poll that is open: a server must cope with that, even if it has answered already."""
        with self.changed:
            self.dirty = True
            self.changed.notify_all()
            call = self.call
        if call is not None:
            call.cancel()

    def run(self):
        """Returns the exit code."""
        signal.signal(signal.SIGTERM, lambda *_: self._drain())
        signal.signal(signal.SIGINT, lambda *_: self._kill())
        signal.signal(signal.SIGUSR1, lambda *_: self._toggle_health())
        session = self._create()
        failing_since, told, idle_s = None, False, IDLE_FIRST_S
        while session is not None:
            self._be_silent()
            if self.draining and told and not self.jobs:
                break    # the server has heard that we go, and nothing here is its any more
            report, sent = self._report(session)
            full = len(sent) >= self.options.capacity
            asked = time.monotonic()
            try:
                deadline_s = FULL_CALL_S if full or self.draining else self.options.long_poll
                session = self._call(self.service.UpdateBotSession, bots.UpdateBotSessionRequest(
                    name=session.name, bot_session=report), deadline_s)
                told, failing_since = report.status == bots.BOT_TERMINATING, None
            except (grpc.FutureCancelledError, grpc.RpcError) as e:
                reason = e.code() if isinstance(e, grpc.RpcError) else grpc.StatusCode.CANCELLED
                if reason == grpc.StatusCode.DEADLINE_EXCEEDED:
                    continue
                if reason == grpc.StatusCode.CANCELLED:
                    if not self.dirty:
                        time.sleep(0.05)    # it was the server that cancelled
                    continue
                self.event("update_failed", code=reason.name, details=(e.details() or "")[:200])
                failing_since = failing_since or time.monotonic()
                if reason in PASSING and time.monotonic() - failing_since < self.options.give_up:
                    time.sleep(0.3 + 0.5 * random.random())
                    continue
                self._abandon(reason.name)
                if self.draining:
                    break
                time.sleep(0.2)
                session, failing_since = self._create(), None
                continue
            news = self._absorb(session.leases, sent)
            if self.options.max_leases and self.received >= self.options.max_leases and not self.jobs:
                self.draining = True
            with self.changed:
                leaving = self.draining and not self.jobs
                if news or leaving or self.dirty or time.monotonic() - asked >= 0.5:
                    idle_s = IDLE_FIRST_S
                    continue
                # Answered at once, and nothing is new.
                full = len(self.jobs) >= self.options.capacity
                idle_s = self.options.heartbeat if full else min(idle_s * 2, IDLE_MAX_S)
                self.changed.wait(idle_s)
        self.event("exit", received=self.received)
        return 1 if self.killing or session is None else 0

    def _session(self):
        device = worker.Device(handle=self.options.bot_id)
        for pair in self.options.property:
            key, _, value = pair.partition("=")
            device.properties.add(key=key, value=value)
        me = worker.Worker(devices=[device])
        me.configs.add(key="capacity", value=str(self.options.capacity))
        return bots.BotSession(bot_id=self.options.bot_id, status=self.status, worker=me)

    def _report(self, session):
        with self.changed:
            if self.draining:
                self.status = bots.BOT_TERMINATING
            self.dirty = False
            report = self._session()
            report.name, report.version = session.name, session.version
            report.expire_time.CopyFrom(session.expire_time)
            report.leases.extend(job.lease for job in self.jobs.values())
        return report, {lease.id: lease.state for lease in report.leases}

    def _call(self, method, request, deadline_s):
        call = method.future(request, timeout=deadline_s)
        with self.changed:
            self.call = call
            if self.dirty:
                call.cancel()    # something happened between the report and this line
        try:
            return call.result()
        finally:
            with self.changed:
                self.call = None

    def _create(self):
        delay_s = 0.2
        while not self.killing:
            with self.changed:
                self.dirty = False
            request = bots.CreateBotSessionRequest(parent=self.options.instance, bot_session=self._session())
            try:
                session = self._call(self.service.CreateBotSession, request, self.options.long_poll)
                self.event("session", name=session.name, leases=len(session.leases))
                self._absorb(session.leases, {})
                return session
            except grpc.FutureCancelledError:
                continue
            except grpc.RpcError as e:
                self.event("create_failed", code=e.code().name, details=(e.details() or "")[:200])
                if self.draining:
                    return None
                time.sleep(delay_s)
                delay_s = min(delay_s * 2, 3)
        return None

    def _absorb(self, leases, sent):
        """Takes the server's list of leases. Returns whether it changed what runs here."""
        news = False
        with self.changed:
            for lease in leases:
                if lease.id not in self.jobs and lease.state not in (bots.COMPLETED, bots.CANCELLED):
                    self._take(lease)
                    news = True
            named = {lease.id for lease in leases if lease.state != bots.CANCELLED}
            for lease_id, job in list(self.jobs.items()):
                if sent.get(lease_id) == bots.COMPLETED:
                    job.reported += 1
                    again = "double" in self.faults_of(job.number) and job.reported < 2
                    if (lease_id not in named or job.reported >= REPORTS_MAX) and not again:
                        del self.jobs[lease_id]
                        news = True
                elif lease_id in sent and lease_id not in named:
                    job.dropped = True
                    job.kill()
                    del self.jobs[lease_id]
                    self.event("lease_dropped", lease=lease_id)
                    news = True
        return news

    def _take(self, lease):
        if self.draining:    # it was offered before the server heard: hand it straight back
            job = Job(self, lease, 0)
            job.lease.state = bots.COMPLETED
            job.lease.status.code = code.UNAVAILABLE
            job.lease.status.message = "the bot is draining"
            self.jobs[lease.id] = job
            self.dirty = True
            return
        running = sum(job.lease.state != bots.COMPLETED for job in self.jobs.values())
        if running >= self.options.capacity:
            self.event("over_capacity", lease=lease.id)
        self.received += 1
        job = Job(self, lease, self.received)
        self.jobs[lease.id] = job
        self.event("lease", lease=lease.id, n=self.received, state=int(lease.state), payload=lease.payload.type_url)
        if silence_s := self.faults_of(self.received).get("zombie"):
            self.silent_until = time.monotonic() + float(silence_s)
        job.start()

    def _abandon(self, why):
        """The session is gone, and with it every lease."""
        with self.changed:
            if self.jobs:
                self.event("abandon", why=why, leases=list(self.jobs))
            for job in self.jobs.values():
                job.dropped = True
                job.kill()
            self.jobs.clear()

    def _be_silent(self):
        silence_s = self.silent_until - time.monotonic()
        if silence_s > 0:
            self.event("zombie_silence", secs=round(silence_s, 1))
            time.sleep(silence_s)
            self.event("zombie_back")

    def _drain(self):
        if self.draining:
            return self._kill()
        self.event("drain")
        self.draining = True
        self._soon(self.report_soon)

    def _kill(self):
        self.event("kill")
        self.draining = self.killing = True

        def kill_all():
            with self.changed:
                for job in self.jobs.values():
                    job.kill()
            self.report_soon()

        self._soon(kill_all)

    def _toggle_health(self):
        self.status = bots.OK if self.status == bots.UNHEALTHY else bots.UNHEALTHY
        self.event("status", status=bots.BotStatus.Name(self.status))
        self._soon(self.report_soon)

    @staticmethod
    def _soon(what):
        """A signal handler runs inside the main thread, which may hold the lock just now."""
        threading.Thread(target=what, daemon=True).start()
