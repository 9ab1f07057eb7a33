"""The command line: one clear line and status 2 for a wrong request; the import stays light."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard import cli
from dashboard.cli import main, with_default_command
from dashboard.shell.paths import assets_folder, bundled

ROOT = Path(__file__).resolve().parents[3]
#: Seconds after which a process or a server that says nothing hangs.
HANGS = 300
HEAVY = (
    "torch",
    "onnxruntime",
    "optimum",
    "onnx",
    "gguf",
    "tokenizers",
    "transformers",
    "scipy",
    "pandas",
    "psutil",
    "filelock",
)


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process: arguments in, (exit status, stdout, stderr) out."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dashboard", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.parametrize("kind", ["absent", "empty"])
def test_wrong_folder(tmp_path: Path, kind: str, call: Call) -> None:
    folder = tmp_path / kind
    if kind == "empty":
        folder.mkdir()
    status, _, said = call(str(folder), "--no-browser")
    assert status == 2
    assert said.count("\n") == 1
    assert str(folder) in said


@pytest.mark.parametrize(
    "arguments", [["{}", "--no-browser"], ["export", "{}", "--out=a.zip"], ["export", ".", "--out={}.zip"]]
)
def test_a_path_that_the_system_refuses_to_look_at(arguments: list[str], call: Call) -> None:
    long = "x" * 300
    status, _, said = call(*(argument.format(long) for argument in arguments))
    assert status == 2
    assert said.count("\n") == 1
    assert said.startswith(f"error: {long}")
    assert "File name too long" in said


@pytest.mark.parametrize("arguments", [["--port", "99999"], ["--nothing"], ["export", "somewhere"]])
def test_wrong_flags(arguments: list[str], call: Call) -> None:
    status, printed, said = call(*arguments)
    assert status == 2
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert printed == ""


def test_port_in_use(three_methods: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "dashboard", str(three_methods), "--no-browser", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_serves_and_ends_on_interrupt(three_methods: Path) -> None:
    command = [sys.executable, "-u", "-m", "dashboard", str(three_methods), "--no-browser"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        with urllib.request.urlopen(url, timeout=HANGS) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{url}vendor/bootstrap.min.css", timeout=HANGS) as answer:
            assert b"Bootstrap" in answer.read(300)
            assert "max-age" in answer.headers["Cache-Control"]
        elsewhere = urllib.request.Request(url, headers={"Host": "results.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(elsewhere, timeout=HANGS)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=HANGS) == 0


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        ([], "To open folders and measure files from the screen: "),
        (["--no-measure"], "To open folders from the screen: "),
        (["--host", "0.0.0.0"], ""),
    ],
)
def test_what_is_offered_and_the_link_with_the_key(
    three_methods: Path, arguments: list[str], offered: str
) -> None:
    """Only on this machine; a signal to end ends it in order."""
    command = [sys.executable, "-u", "-m", "dashboard", str(three_methods), "--no-browser", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[2]
        link = server.stdout.readline() if offered else ""
        with urllib.request.urlopen(f"{url}_dash-layout", timeout=HANGS) as answer:
            layout = answer.read().decode()
        server.send_signal(signal.SIGTERM if offered else signal.SIGINT)
        assert server.wait(timeout=HANGS) == 0
    assert link.startswith(f"{offered}{url}#key=" if offered else "")
    assert (len(link.partition("#key=")[2]) > 40) == bool(offered)
    assert ("tab-measure" in layout, "open-toggle" in layout) == ("measure" in offered, bool(offered))


def test_a_folder_may_come_first() -> None:
    assert with_default_command([]) == ["serve"]
    assert with_default_command(["results", "--port", "1"]) == ["serve", "results", "--port", "1"]
    assert with_default_command(["--no-browser"]) == ["serve", "--no-browser"]
    assert with_default_command(["serve", "x"]) == ["serve", "x"]
    assert with_default_command(["export", "x"]) == ["export", "x"]


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"]])
def test_help_tells_all_flags_and_the_other_command(arguments: list[str], call: Call) -> None:
    status, printed, _ = call(*arguments)
    assert status == 0
    for word in ("RESULTS", "--port", "--host", "--no-browser", "--no-measure", "export RESULTS"):
        assert word in printed


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "cannot listen there: Cannot assign requested address"),
        ("no.such.host.invalid", "no such host"),
        ("2001:db8::1", "cannot listen there: "),
        ("1:2", "no such host"),
        ("." * 300, "no such host"),
    ],
)
def test_host_that_is_not_this_machine(
    three_methods: Path, host: str, reason: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "create_app", lambda *_, **__: SimpleNamespace(server=None))
    status, _, said = call(str(three_methods), "--no-browser", "--host", host)
    assert status == 2
    assert said.startswith(f"error: --host {host}: {reason}")
    assert said.count("\n") == 1


def listens_on_version_6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not listens_on_version_6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_serves_on_version_6(three_methods: Path, host: str) -> None:
    command = [sys.executable, "-u", "-m", "dashboard", str(three_methods), "--no-browser", "--host", host]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
        try:
            assert url.startswith("http://[::1]:")
            with urllib.request.urlopen(url, timeout=HANGS) as answer:
                assert answer.status == 200
            elsewhere = urllib.request.Request(url, headers={"Host": "results.example"})
            if host == "::1":
                with pytest.raises(urllib.error.HTTPError, match="400"):
                    urllib.request.urlopen(elsewhere, timeout=HANGS)
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(timeout=HANGS) == 0


def test_import_stays_light() -> None:
    """Also once results are open, in an installation without the evaluator's packages."""
    code = (
        "import sys, pathlib, dashboard.cli; from dashboard.results.results import Results;"
        f"Results.open(pathlib.Path('sample_results')); print([n for n in {HEAVY!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bundled_folders() -> None:
    assert (assets_folder() / "base.css").is_file()
    assert bundled("sample_results").name == "sample_results"
