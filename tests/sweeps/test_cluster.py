"""Workers of a Dask cluster, if it is installed, and of an executor: one that dies is no loss."""

import os
import signal
import sys
from concurrent.futures import BrokenExecutor, Executor, Future

import jax
import numpy as np
import pytest
from helpers.cli import run
from helpers.sweeps import arrays

import projhead_theory as pt

MODEL = pt.sweeps.FeatureModel([2.0, 1.0], noise=[1.0, 0.2])
AXES = {"noise[0]": np.linspace(0.1, 2, 24)}


def swept(folder, steps=40, **options):
    train = pt.sweeps.Descent(0.02, steps=steps)
    return pt.sweep(MODEL, AXES, seeds=16, train=train, out=folder, chunk_size=64, **options)


@pytest.fixture
def client():
    """Two worker processes of one thread, which another one watches over."""
    distributed = pytest.importorskip(
        "distributed", reason="needs pip install 'projhead_theory[cluster]'"
    )
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as own,
        distributed.Client(own) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.x64
def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(client, tmp_path):
    """Killed after the first chunk, while it has the next one in hand; and again in two parts, of
    a cluster that is named by its address.
    """
    whole, there = tmp_path / "whole.zarr", tmp_path / "there.zarr"
    swept(whole, 20_000)
    victims = sorted(client.run(os.getpid).values())
    seen = []

    def strike(progress):
        if not seen:
            os.kill(victims[0], signal.SIGKILL)
        seen.append(progress.done)

    result = swept(there, 20_000, scheduler=client, progress=strike)
    assert (len(seen), seen[-1], result.complete) == (6, 384, True)
    assert victims[0] not in client.run(os.getpid).values()
    assert arrays(there) == arrays(whole)
    parts = tmp_path / "parts.zarr"
    for part in ((1, 2), (0, 2)):
        swept(parts, 20_000, scheduler=client.scheduler.address, shard=part)
    assert arrays(parts) == arrays(whole)


@pytest.mark.slow
def test_no_scheduler_at_an_address_is_one_line(tmp_path, untyped):
    distributed = pytest.importorskip(
        "distributed", reason="needs pip install 'projhead_theory[cluster]'"
    )
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ValueError, match=r"^scheduler: got 'tcp://127.0.0.1:9'; want the address"),
    ):
        swept(tmp_path / "x.zarr", scheduler="tcp://127.0.0.1:9")
    assert distributed


@pytest.mark.x64
def test_a_missing_package_names_its_extra(spec, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ("sweep", str(spec), "--out", str(tmp_path / "x.zarr"))
    code, out, err = run(capsys, *command, "--scheduler", "tcp://127.0.0.1:9")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("projhead: scheduler: got one, without the package distributed; ")
    assert err.endswith("pip install 'projhead_theory[cluster]'\n")
    code, _, err = run(capsys, *command, "--scheduler", "tcp://127.0.0.1:9", "--workers", "2")
    assert (code, "workers: got 2" in err) == (2, True)


def test_an_executor_whose_worker_dies_is_one_line(tmp_path):
    class Broken(Executor):
        def submit(self, function, /, *given, **named):
            future = Future()
            future.set_exception(BrokenExecutor("terminated abruptly"))
            return future

    with pytest.raises(ValueError, match=r"^executor: got a worker process that died.*; want the"):
        swept(tmp_path / "x.zarr", executor=Broken())


def test_a_cluster_needs_a_folder_and_names(tmp_path):
    train = pt.sweeps.Descent(0.02, steps=4)
    with pytest.raises(ValueError, match=r"^out: got None; want a folder, beside scheduler"):
        pt.sweep(MODEL, AXES, train=train, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"^scheduler: got a problem, function or object"):
        pt.sweep(
            lambda x: MODEL(noise=x * jax.numpy.ones(2)),
            {"x": [1.0]},
            train=train,
            out=tmp_path / "x.zarr",
            scheduler="tcp://127.0.0.1:9",
        )
