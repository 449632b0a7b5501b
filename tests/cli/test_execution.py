"""Interruptions, clusters, and extras of the commands that compute tasks."""

import pytest

from commands import call
from polarbias.experiments.engine import cluster, compute, runner


@pytest.mark.parametrize("command", ["run", "reproduce"])
@pytest.mark.parametrize(
    ("force", "words"), [([], "the same command resumes"), (["--force"], "the same command without --force resumes")]
)
def test_the_message_after_an_interruption(command, force, words, tmp_path, tiny, monkeypatch):
    def interrupted(*args):
        raise runner.Interrupted

    monkeypatch.setattr(compute, "compute_runs", interrupted)
    message = call(command, *force, "--output", tmp_path / "out", code=130).stderr
    assert message == f"polarbias: interrupted; finished tasks and checkpoints are kept, {words}.\n"
    assert not list(tmp_path.glob("out/runs/*"))


def test_an_interrupted_cluster_keeps_no_checkpoints(monkeypatch):
    def interrupted(address, device):
        assert (address, device) == ("local:2", "cpu")
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "DaskBackend", interrupted)
    message = call("reproduce", "--dask", "local:2", code=130).stderr
    assert message == "polarbias: interrupted; finished tasks are kept, the same command resumes.\n"
