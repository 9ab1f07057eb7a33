"""Which files of a request are one, and the ids that variants get."""

from __future__ import annotations

import pytest
from split_models import linked_as_in_the_hub, write_split
from tiny_comparisons import tiny_comparison
from tiny_models import write_tiny_llama

from evaluator.planning.config import VariantSource
from evaluator.planning.plan import make_plan


@pytest.fixture
def planned(tiny_path, text_path, tmp_path):
    """Plan variants, given as paths or (method, path); `measured` is what the results folder holds."""

    def plan(*sources, measured=None):
        pairs = [source if isinstance(source, tuple) else ("m", source) for source in sources]
        variants = tuple(VariantSource(method=method, source=str(source)) for method, source in pairs)
        request = tiny_comparison(tiny_path, tiny_path, text_path, tmp_path / "out")
        made = make_plan(request.model_copy(update={"variants": variants}), measured=measured or {})
        assert made.failures == ()
        return made.variants

    return plan


@pytest.fixture
def namesakes(tmp_path):
    """Two different files of the same name, in folders `a` and `b`."""
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    return [write_tiny_llama(folder / "Tiny-Q4_0.gguf", seed=seed) for seed, folder in enumerate(folders)]


def as_measured(*items):
    return {item.variant_id: (item.file.name, item.sha256) for item in items}


def test_variant_that_is_named_twice_is_measured_once(planned, tmp_path):
    variant = write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", noise=0.01)
    items = planned(variant, tmp_path / "*.gguf", ("other", variant))
    assert [item.method for item in items] == ["m", "other"]


def test_a_file_is_one_in_all_spellings_of_its_path_and_opened_by_the_first(planned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiny_llama(tmp_path / "Tiny-Q4_0.gguf", noise=0.01)
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    spellings = ["link/../Tiny-Q4_0.gguf", "Tiny-Q4_0.gguf", "./Tiny-Q4_0.gguf", tmp_path / "Tiny-Q4_0.gguf"]
    other = write_tiny_llama(tmp_path / "a" / "Tiny-Q8_0.gguf", noise=0.02)
    items = planned(spellings[0], other, *spellings[1:])
    assert [str(item.file.path) for item in items] == [spellings[0], str(other)]


def test_a_split_model_is_known_by_the_names_of_its_links(planned, tiny, tmp_path):
    """Models may share a first part, which can be without tensors."""
    links = linked_as_in_the_hub(write_split(tiny, tmp_path, 2), tmp_path / "hub")
    other = tmp_path / "other"
    other.mkdir()
    for link in links:
        (other / link.name).symlink_to(link.resolve())
    (tmp_path / "folder").symlink_to(other)
    items = planned(links[0], other / links[0].name, tmp_path / "folder" / links[1].name)
    assert [item.file.path for item in items] == [links[0], other / links[0].name]


def test_file_of_another_run_keeps_its_name_and_a_changed_one_takes_its_own_again(planned, tmp_path):
    files = [
        write_tiny_llama(tmp_path / f"{name}-Q4_0.gguf", seed=number) for number, name in enumerate("ab")
    ]
    (first,) = planned(files[0])
    there = as_measured(first)
    assert [item.variant_id for item in planned(files[0], measured=there)] == [first.variant_id]
    assert [item.variant_id for item in planned(files[1], measured=there)] == [f"{first.variant_id}-b-q4_0"]
    changed = {first.variant_id: (files[1].name, "before")}
    assert [item.variant_id for item in planned(files[1], measured=changed)] == [first.variant_id]
    moved = {first.variant_id: ("elsewhere.gguf", first.sha256)}
    assert [item.variant_id for item in planned(files[0], measured=moved)] == [first.variant_id]


def test_a_measured_file_keeps_its_name_from_a_namesake_that_is_listed_before_it(planned, namesakes):
    (measured,) = planned(namesakes[1])
    both = planned(*namesakes, measured=as_measured(measured))
    assert [item.variant_id for item in both] == [f"{measured.variant_id}-tiny-q4_0", measured.variant_id]
    assert [item.file.path for item in both] == namesakes


def test_two_measured_namesakes_keep_their_names_in_any_order(planned, namesakes):
    items = planned(*namesakes)
    turned = planned(*reversed(namesakes), measured=as_measured(*items))
    assert [item.variant_id for item in turned] == [item.variant_id for item in reversed(items)]
    assert {item.sha256: item.label for item in turned} == {item.sha256: item.label for item in items}


@pytest.mark.parametrize("length", [120, 236])
def test_names_of_any_length_give_ids_that_files_can_be_called_by(planned, tmp_path, length):
    files = [
        write_tiny_llama(tmp_path / f"{'L' * length}-{end}.gguf", seed=seed)
        for seed, end in enumerate(("a-Q4_0", "b-Q4_0", "c-Q4_0"))
    ]
    items = planned(*files)
    ids = [item.variant_id for item in items]
    assert len(set(ids)) == 3
    assert max(map(len, ids)) + len("..residuals.npy.4194304-12345678.partial") <= 255
    assert [item.variant_id for item in planned(*files[1:], measured=as_measured(*items))] == ids[1:]
