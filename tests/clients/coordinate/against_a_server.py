"""A plugin of pytest 4.6 (Python 2.7): the tests inside the package `coordinate`, against a server that is up already.

The tests bring a server of their own, in their process or beside it. Here their fixtures and the one class that they
make directly are replaced by what speaks to BERTH_COORDINATE (HOST:PORT) over the wire. Each test begins with a server
that is empty. A line `passed NAME` or `failed NAME` a test goes to the file that BERTH_VERDICTS names.
"""
import os

import pytest

from coordinate.job_client import TaskMaster
from coordinate.tests import test_job, test_rejester_worker

ADDRESS = os.environ['BERTH_COORDINATE']
VERDICTS = os.environ['BERTH_VERDICTS']

# Waits of the tests with worker processes, in multiples of what they say: for a machine that is busy.
PATIENCE = float(os.environ.get('BERTH_PATIENCE', '1'))

# The tests of test_job that neither turn a clock nor look inside the server.
OVER_THE_WIRE = ('test_max_running', 'test_job_server_update_data', 'test_job_server_continuous')


class Server(object):
    """Every method of the server, called over the wire; takes the place of its class JobQueue."""

    def __init__(self, config=None):
        self.client = TaskMaster({'address': ADDRESS})

    def __getattr__(self, method):
        return lambda *params: self.client._rpc(method, params)


def empty_the_server():
    server = Server()
    server.clear()
    modes, _ = server.list_worker_modes()
    for worker in modes:
        server.worker_unregister(worker)
    server.client.close()


def client(request):
    of_workers = request.module is test_rejester_worker
    # Workers are started with this as their configuration.
    config = {'addresses': [ADDRESS], 'namespace': 'test_ns'} if of_workers else {'address': ADDRESS, 'retries': 1}
    made = TaskMaster(config)
    request.addfinalizer(made.close)
    return made


FIXTURES = {
    'task_master': client,
    'job_queue': lambda request: Server(),
    'local_server_port': lambda request: int(ADDRESS.rsplit(':', 1)[1]),
}


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    make = FIXTURES.get(fixturedef.argname)
    if make is None:
        return None
    value = make(request)
    fixturedef.cached_result = (value, request.param_index, None)
    return value


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.module is not test_job or item.originalname in OVER_THE_WIRE]
    test_job.JobQueue = Server
    waits = test_rejester_worker.wait_for
    test_rejester_worker.wait_for = lambda timeout, condition: waits(timeout * PATIENCE, condition)


def pytest_runtest_setup(item):
    empty_the_server()


def pytest_sessionfinish(session):
    empty_the_server()


def pytest_runtest_logreport(report):
    if report.when == 'call' or report.failed:
        path, _, name = report.location
        module = os.path.splitext(os.path.basename(path))[0]
        with open(VERDICTS, 'a') as verdicts:
            verdicts.write('%s %s.%s\n' % ('passed' if report.passed else 'failed', module, name))
