"""With what an engine runs files, and whether times in one folder were measured with different settings."""

from __future__ import annotations

from collections.abc import Mapping

from evaluator.engines import Engine
from evaluator.models.model_file import ModelFile
from evaluator.runtime.machine import describe_machine

Settings = Mapping[str, str | int]


def settings_of(engine: Engine, file: ModelFile) -> dict[str, str | int]:
    """Return an engine's settings for a file, and the processor and GPUs that it runs on."""
    machine = describe_machine()
    return {**engine.settings(file), "machine": ", ".join([machine.cpu, *machine.gpus])}


def changed(earlier: Settings, now: Settings) -> list[str]:
    """Return the settings that are recorded in both and differ; earlier versions recorded fewer."""
    return [key for key, value in earlier.items() if key in now and now[key] != value]


def timed_otherwise(earlier: Settings, now: Settings) -> str:
    """Return the earlier settings that are others now, in words; empty if they are the same."""
    return ", ".join(f"{key} {earlier[key]}" for key in changed(earlier, now))


def mixed_times(engine: str, earlier: Settings, now: Settings) -> str | None:
    """Return the notice that a folder's times in an engine were measured with different settings; None if not."""
    old, new = timed_otherwise(earlier, now), timed_otherwise(now, earlier)
    if not old:
        return None
    return (
        f"times in {engine} were measured with {old}, and those of files added later with {new}, so they do not "
        "compare; --force measures all of them again"
    )
