"""Pools that only some tenants may use: an admission policy in Python.

A platform property (`pool`, unless the configuration says otherwise) that names a reserved pool is refused unless the
job's tenant is listed for it. Patterns are those of a shell, so `ci-*` is all tenants that begin so.
"""

import fnmatch
import json
import pathlib

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.create_job import Amendments, Question
from wit_world.imports import config
from wit_world.imports.types import Refusal_Denied

# The component is a snapshot of the interpreter after this module ran: files are read while it is built.
HERE = pathlib.Path(__file__).parent
SCHEMA = (HERE / "config.schema.json").read_text()
CASES = (HERE / "cases.toml").read_text()

# The operator's table stays the same for as long as the instance lives.
settings = None


def own_settings():
    global settings
    if settings is None:
        settings = json.loads(config.get())
    return settings


class CreateJob(exports.CreateJob):
    def before_create_job(self, question: Question) -> Amendments:
        name = own_settings().get("property", "pool")
        pools = own_settings().get("pools", {})
        tenant = question.requester.tenant
        for asked in question.platform:
            if asked.name == name and asked.value in pools:
                if not any(fnmatch.fnmatchcase(tenant, pattern) for pattern in pools[asked.value]):
                    raise Err(Refusal_Denied(f"{name}={asked.value} is not for tenant {tenant!r}"))
        return Amendments(platform=None, priority=None, timeout_ms=None, queue_timeout_ms=None)


class About(exports.About):
    def config_schema(self) -> str:
        return SCHEMA

    def examples(self) -> str:
        return CASES
