"""Conversations through a model's own template; transformers' rendering is the oracle."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from tiny_models import END_OF_TEXT
from transformers.utils.chat_template_utils import _compile_jinja_template

from evaluator.chat import control_tokens, encode_with_control
from evaluator.errors import RequestError
from evaluator.manifest import Protocol
from evaluator.sources.tokenizer import tokenizer_from_gguf
from evaluator.text_sources import read_texts
from evaluator.windows import cut_windows

TEMPLATE = """{{ bos_token }}
{%- for message in messages %}
    {%- if loop.first and message.role == 'tool' %}{{ raise_exception('tools cannot begin') }}{% endif %}
    {%- if message.role == 'skip' %}{% continue %}{% endif %}
    [{{ message['role'] | upper }}] {{ message.content | trim }}
    {{- message.extra | tojson if message.extra }}<|endoftext|>
{% endfor %}"""
CHATS = [
    [{"role": "user", "content": " the rain in the north "}, {"role": "assistant", "content": "é over"}],
    {"messages": [{"role": "skip", "content": ""}, {"role": "user", "content": "in", "extra": {"a": "<é>"}}]},
]


@pytest.fixture
def talking(tiny):
    return replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": TEMPLATE})


@pytest.fixture
def chats(tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(json.dumps(chat) for chat in CHATS) + "\n\n", encoding="utf-8")
    return path


def read(path, model):
    return read_texts(f"chat:{path}", model, lambda _: None)[0]


def test_conversations_are_rendered_as_transformers_does(talking, chats):
    template = _compile_jinja_template(TEMPLATE)
    messages = [chat["messages"] if isinstance(chat, dict) else chat for chat in CHATS]
    expected = "".join(
        template.render(messages=item, bos_token="", add_generation_prompt=False) for item in messages
    )
    text = read(chats, talking)
    assert (text.domain, text.name, text.content) == ("talk", "talk.jsonl", expected)
    assert "[ASSISTANT] é over<|endoftext|>" in text.content


def test_control_tokens_are_themselves_in_chats_and_plain_text_elsewhere(talking, chats):
    tokenizer, control = tokenizer_from_gguf(talking), control_tokens(talking)
    end = control[END_OF_TEXT]
    ids = encode_with_control(tokenizer, f"the{END_OF_TEXT} the{END_OF_TEXT}", control).tolist()
    between = tokenizer.encode(" the").tolist()
    assert ids == [*tokenizer.encode("the").tolist(), end, *between, end]
    assert end not in tokenizer.encode(f"the{END_OF_TEXT}")
    windows, (record,) = cut_windows([read(chats, talking)], tokenizer, Protocol(context=16, first_scored=8))
    assert sum(end in window.ids for window in windows) >= 1
    assert record.n_tokens < len(read(chats, talking).content.encode())


def test_date_in_a_template_does_not_change_the_text_from_day_to_day(tiny, chats):
    dated = replace(
        tiny, metadata={**tiny.metadata, "tokenizer.chat_template": "{{ strftime_now('%d %b %Y') }};"}
    )
    assert read(chats, dated).content == "26 Jul 2024;26 Jul 2024;"


def test_only_line_feeds_end_a_conversation(talking, tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes('[{"role": "user", "content": "a\u2028b\x85c"}]\r\n'.encode())
    assert "a\u2028b\x85c" in read(path, talking).content


def test_model_without_a_template_is_named(tiny, chats):
    with pytest.raises(RequestError, match=r"Tiny-F32\.gguf has no chat template"):
        read(chats, tiny)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ('{"text": "x"}', "line 2 is neither a list of messages"),
        ('["x"]', "line 2 is neither"),
        ("[]", "line 2 is neither"),
        ('[{"role": "tool", "content": "x"}]', "line 2: .* fails: tools cannot begin"),
        ('[{"role": "user", "content": "\\ud800"}]', "line 2 holds half a character"),
    ],
)
def test_line_that_is_no_conversation_is_named(talking, tmp_path, line, message):
    path = tmp_path / "t.jsonl"
    path.write_text('[{"role": "user", "content": "x"}]\n' + line)
    with pytest.raises(RequestError, match=message):
        read(path, talking)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ 1 / 0 }}",
        "{% for",
    ],
)
def test_template_stays_in_its_sandbox(tiny, chats, template):
    hostile = replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": template})
    with pytest.raises(RequestError, match="the model's chat template fails"):
        read(chats, hostile)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for a in [1] %}" * 25 + "{% endfor %}" * 25, "too many statically nested blocks"),
        ("{{ " + "(" * 50_000, ""),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "stopped after 3 s",
        ),
        ("{{ 9 ** (9 ** 9) }}", "stopped after 3 s"),
        ("{{ 'x' * 10 ** 12 }}", "MemoryError"),
        ("{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "line 1: .* writes far more"),
    ],
    ids=["nested loops", "brackets", "endless loops", "endless sum", "memory", "text"],
)
def test_template_ends_in_bounds_of_time_memory_and_text(tiny, chats, monkeypatch, template, reason):
    monkeypatch.setattr("evaluator.chat_rendering._SECONDS", 3.0)
    hostile = replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": template})
    with pytest.raises(RequestError, match=r"talk\.jsonl: .*the model's chat template fails: .*") as caught:
        read(chats, hostile)
    assert re.search(reason, str(caught.value))


def test_template_may_write_much_around_a_conversation(tiny, chats):
    template = "{{ 'system ' * 10000 }}{% for m in messages %}{{ m.content }}{% endfor %}"
    talking = replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": template})
    assert read(chats, talking).content.startswith("system " * 10000)
