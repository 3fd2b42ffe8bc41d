"""Asks BuildGrid's property sets a few thousand random questions, and prints each with its answer as a line of JSON.

    BUILDGRID/bin/python plugins/property-sets/compare/ask_buildgrid.py 5000 > /tmp/answers
    BUILDGRID_ANSWERS=/tmp/answers cargo test --manifest-path plugins/Cargo.toml -p property-sets -- --ignored

where BUILDGRID is a virtual environment with BuildGrid 0.9 in it. Only its public classes are asked.
"""

import json
import random
import sys

from buildgrid._protos.build.bazel.remote.execution.v2.remote_execution_pb2 import Platform
from buildgrid._protos.google.devtools.remoteworkers.v1test2.bots_pb2 import BotSession
from buildgrid.server.context import instance_context
from buildgrid.server.exceptions import FailedPreconditionError, InvalidArgumentError
from buildgrid.server.scheduler.properties import (
    DynamicPropertySet,
    InstancedPropertySet,
    PropertyLabel,
    StaticPropertySet,
    hash_from_dict,
)

KEYS = ["ISA", "OSFamily", "a", "b", "c"]
VALUES = ["1", "2"]


def some(dice, of, at_most):
    return dice.sample(of, dice.randint(0, at_most))


def pairs(dice, at_most):
    return sorted({(dice.choice(KEYS), dice.choice(VALUES)) for _ in range(dice.randint(0, at_most))})


def dynamic(dice):
    match, wildcard = some(dice, KEYS, 3), some(dice, KEYS, 2)
    known = sorted({"ISA", "OSFamily", *match, *wildcard})
    config = {
        "label-key": dice.choice(known),
        "unique-property-keys": some(dice, known, 2),
        "match-property-keys": match,
        "wildcard-property-keys": wildcard,
        "preferred-property-keys": some(dice, KEYS, 1),
    }
    # What BuildGrid's loader adds before it makes the set.
    made = DynamicPropertySet(
        unique_property_keys={"OSFamily", *config["unique-property-keys"]},
        match_property_keys={"OSFamily", "ISA", *match},
        wildcard_property_keys=set(wildcard),
        label_key=config["label-key"],
        preferred_property_keys=frozenset(config["preferred-property-keys"]),
    )
    return {"dynamic-property-set": config}, made


def static(dice):
    labels = [(f"label-{n}", pairs(dice, 4)) for n in range(dice.randint(1, 5))]
    config = {
        "property-labels": [{"label": label, "properties": properties} for label, properties in labels],
        "wildcard-property-keys": some(dice, KEYS, 1),
        "exclusive-property-keys": some(dice, KEYS, 2),
        "preferred-property-keys": some(dice, KEYS, 1),
    }
    made = StaticPropertySet(
        property_labels=[PropertyLabel(label=label, properties=set(properties)) for label, properties in labels],
        wildcard_property_keys=set(config["wildcard-property-keys"]),
        exclusive_property_keys=frozenset(config["exclusive-property-keys"]),
        preferred_property_keys=frozenset(config["preferred-property-keys"]),
    )
    return {"static-property-set": config}, made


def instanced(dice):
    sets = {instance: dice.choice([dynamic, static])(dice) for instance in ["x", "y"]}
    config = {"sets": [{"instances": [instance], "set": one} for instance, (one, _) in sets.items()]}
    made = InstancedPropertySet(property_set_map={instance: one for instance, (_, one) in sets.items()})
    return {"instanced-property-set": config}, made


def answer(function, *arguments):
    try:
        return function(*arguments), None
    except FailedPreconditionError:
        return None, "failed-precondition"
    except InvalidArgumentError:
        return None, "invalid-argument"


def flat(requirements):
    return sorted((key, value) for key, values in requirements.items() for value in values)


def line(dice):
    config, made = dice.choice([dynamic, static, instanced])(dice)
    instance = dice.choice(["x", "y", "x", "y", "z", "*"]) if "instanced-property-set" in config else "x"
    bot_instance = dice.choice([instance, instance, "*"]) if "instanced-property-set" in config else "x"
    platform, properties = pairs(dice, 4), pairs(dice, 6)
    message = Platform()
    for name, value in platform:
        message.properties.add(name=name, value=value)
    session = BotSession()
    device = session.worker.devices.add()
    for key, value in properties:
        device.properties.add(key=key, value=value)

    with instance_context(instance):
        job, job_error = answer(made.execution_properties, message)
        preferred, _ = answer(made.preferred_execution_properties, message)
    with instance_context(bot_instance):
        offers, bot_error = answer(made.worker_properties, session)
        labels, _ = answer(made.bot_property_labels, session)
    hashes = {hash_from_dict(offer) for offer in offers or []}
    return {
        "config": config,
        "instance": instance,
        "platform": platform,
        "bot-instance": bot_instance,
        "bot": properties,
        "job-error": job_error,
        "label": job and job[0],
        "requirements": job and flat(job[1]),
        "preferred": preferred and flat(preferred[1]),
        # An offer of nothing at all is a bot that is kept out, too.
        "bot-error": bot_error or (None if offers else "failed-precondition"),
        "labels": sorted(set(labels or [])),
        "fits": bool(job and hash_from_dict(job[1]) in hashes),
    }


def main():
    dice = random.Random(20261121)
    for _ in range(int(sys.argv[1])):
        print(json.dumps(line(dice)))


main()
