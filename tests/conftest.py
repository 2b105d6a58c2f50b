from importlib.metadata import version

import pytest
from hypothesis import settings

from tests.support.fitted import load_or_fit
from tests.support.waiting import OVERDUE
from tests.support.worlds import demo_table

# A busy machine is no failure of a property.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Generated outcomes of five simulated members, split by query."""
    return demo_table(tmp_path_factory.mktemp("demo"), n_queries=400).split(0.3, seed=0)


@pytest.fixture(scope="session")
def fitted(demo):
    """A classifier fitted on the training side and saved; never changed by a test."""
    return load_or_fit(demo[0])


@pytest.fixture(scope="session", autouse=True)
def overdue(request):
    """Results of the calls that wait for a deadline, which begin before the first test."""
    if not OVERDUE.calls:
        yield None
        return
    with OVERDUE.waiting(request.getfixturevalue("fitted")) as result:
        yield result


def pytest_report_header():
    return [
        f"{name} {version(name)}" for name in ("langchain-core", "langchain", "langgraph", "langchain-tests")
    ]


def pytest_terminal_summary(terminalreporter):
    """How LangChain's standard suites went, class by class, with what was skipped."""
    suites = {}
    for outcome in ("passed", "failed", "error", "xfailed", "xpassed", "skipped"):
        for report in terminalreporter.getreports(outcome):
            file, name = report.nodeid.partition("::")[0], report.nodeid.rpartition("::")[2]
            if "standard" in file and (report.when == "call" or outcome != "passed"):
                suites.setdefault(report.nodeid.removesuffix(f"::{name}"), {}).setdefault(outcome, []).append(
                    name
                )
    if suites:
        terminalreporter.section("LangChain's standard tests")
    for suite, outcomes in sorted(suites.items()):
        counts = ", ".join(f"{len(names)} {outcome}" for outcome, names in outcomes.items())
        left = [name for outcome, names in outcomes.items() if outcome != "passed" for name in names]
        terminalreporter.write_line(f"{suite}: {counts}. {'Not passed: ' if left else ''}{', '.join(left)}")
