"""Compiled programs kept on disk: found again, in a folder that is private."""

import jax
import jax.numpy as jnp
import pytest
from helpers.cli import run

from projhead_theory.cli import _cache

SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


def settings():
    return [getattr(jax.config, name) for name in SETTINGS]


def compiled_once_more():
    jax.clear_caches()
    return jax.jit(lambda x: 2 * x + 1)(jnp.arange(3.0))


@pytest.fixture
def _from_scratch():
    yield
    jax.clear_caches()


@pytest.mark.usefixtures("_from_scratch")
def test_small_programs_are_found_again_and_settings_restored(tmp_path):
    before = settings()
    folder = str(tmp_path / "programs")
    with _cache.kept(folder) as first:
        compiled_once_more()
    with _cache.kept(folder) as second:
        compiled_once_more()
    assert first[_cache.MISS] > 0
    assert second == {_cache.HIT: first.total(), _cache.MISS: 0}
    assert settings() == before
    assert f"{second[_cache.HIT]} from the cache, 0 new ({folder})" in _cache.told(folder, second)


@pytest.mark.usefixtures("_from_scratch")
def test_a_damaged_program_is_compiled_anew(tmp_path):
    """With a warning of JAX's."""
    with _cache.kept(str(tmp_path)):
        compiled_once_more()
    for file in tmp_path.glob("*-cache"):
        file.write_bytes(b"damaged")
    with _cache.kept(str(tmp_path)), pytest.warns(UserWarning, match="persistent compilation"):
        assert compiled_once_more().tolist() == [1, 3, 5]


def test_nothing_is_kept_without_the_option(tmp_path):
    before = settings()
    with _cache.kept(None) as counts:
        assert settings() == before
    assert not counts


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], []),
        (["verify", "--cache"], ["verify", "--cache="]),
        (["verify", "--cache", "--quick"], ["verify", "--cache=", "--quick"]),
        (["verify", "--cache", "folder", "--quick"], ["verify", "--cache", "folder", "--quick"]),
        (["verify", "--cache=folder", "name"], ["verify", "--cache=folder", "name"]),
    ],
)
def test_the_folder_may_be_left_out(given, read):
    assert _cache.with_folder(given) == read


def test_the_default_folder_is_made_for_the_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = _cache.private(_cache.DEFAULT)
    assert folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, capsys, mode):
    tmp_path.chmod(mode)
    code, out, error = run(capsys, "verify", "--cache", str(tmp_path))
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert "other users may write" in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "wanted"),
    [("file", "a folder"), ("layerwise-law", "the claim before it")],
)
def test_something_else_than_a_folder_is_refused(tmp_path, capsys, monkeypatch, folder, wanted):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    code, _, error = run(capsys, "verify", "--cache", folder)
    assert code == 2
    assert f"cache: got '{folder}'" in error
    assert wanted in error
