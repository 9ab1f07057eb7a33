"""Conversations rendered with a model's template, against transformers."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from tiny_models import END_OF_TEXT
from transformers.utils.chat_template_utils import _compile_jinja_template

from evaluator.models.tokenizers.tokenizer import tokenizer_from_gguf
from evaluator.results.manifest import Protocol
from evaluator.support.errors import RequestError
from evaluator.texts.chat import control_tokens, encode_with_control
from evaluator.texts.sources import read_texts
from evaluator.texts.windows import cut_windows

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
        (
            "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
            "line 1: .* far longer than the conversation",
        ),
    ],
    ids=["nested loops", "brackets", "endless loops", "endless sum", "memory", "text"],
)
def test_template_ends_in_bounds_of_time_memory_and_text(tiny, chats, monkeypatch, template, reason):
    monkeypatch.setattr("evaluator.texts.chat_template._SECONDS", 3.0)
    hostile = replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": template})
    with pytest.raises(RequestError, match=r"talk\.jsonl: .*the model's chat template fails: .*") as caught:
        read(chats, hostile)
    assert re.search(reason, str(caught.value))


def test_template_may_write_much_around_a_conversation(tiny, chats):
    template = "{{ 'system ' * 10000 }}{% for m in messages %}{{ m.content }}{% endfor %}"
    talking = replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": template})
    assert read(chats, talking).content.startswith("system " * 10000)


#: Marks an assistant's message like SmolLM3's template, with white space trimmed in other places.
GENERATION = """{%- for message in messages -%}
<|{{ message.role }}|>
{% if message.role == 'assistant' %}
    {% generation %}
{{ message.content | trim }}<|endoftext|>
    {%- endgeneration %}
{%- else %}{%- generation -%} {{ message.content }} {%- endgeneration -%}{%- endif %}
{% endfor %}"""
#: Sets a variable that is local to a generation block, and prints JSON with all options.
SCOPES = """{%- set mark = 'outer' %}{% for message in messages %}
{% generation %}{% set mark = message.role %}{{ mark }}: {{ message.content }}{% endgeneration %}{{ mark }}
{{ message | tojson }}{{ message | tojson(indent=2) }}{{ message | tojson(True) }}
{{- message | tojson(separators=(',', ':'), sort_keys=true) }}
{% endfor %}{% if tools is not none %}{{ tools | tojson }}{% endif %}{{ documents is none }}{{ eos_token }}"""
#: Accepts parts, like the templates of vision models.
PARTS = """{% for message in messages %}{{ message.role }}:
{%- if message.content is string %} [{{ message.content }}]
{%- else %}{% for part in message.content %}{% if part.type == 'text' %} <{{ part.text | trim }}>{% endif %}
{%- endfor %}{% endif %};{% endfor %}"""
INSISTS = """{% for message in messages %}{% if message.content is string %}
{{ raise_exception('parts only') }}{% endif %}
{%- for part in message.content %}{{ part.text }}{% endfor %}{% endfor %}"""


def talker(tiny, template):
    return replace(tiny, metadata={**tiny.metadata, "tokenizer.chat_template": template})


def as_transformers(template, chats, **names):
    compiled = _compile_jinja_template(template)
    empty = {"tools": None, "documents": None, "add_generation_prompt": False}
    return "".join(
        compiled.render(**empty | names | (chat if isinstance(chat, dict) else {"messages": chat}))
        for chat in chats
    )


def written(path, chats, **encoding):
    path.write_text("".join(json.dumps(chat) + "\n" for chat in chats), **{"encoding": "utf-8"} | encoding)
    return path


@pytest.mark.parametrize("template", [GENERATION, SCOPES], ids=["SmolLM3's", "scopes and JSON"])
@pytest.mark.parametrize("tools", [{}, {"tools": [{"name": "look", "b": "é"}]}], ids=["", "tools"])
def test_what_transformers_adds_to_the_language_works(tiny, tmp_path, template, tools):
    chats = [{"messages": CHATS[0]} | tools, CHATS[1] | tools]
    text = read(written(tmp_path / "talk.jsonl", chats), talker(tiny, template)).content
    assert text == as_transformers(template, chats)
    assert "é over" in text


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (TEMPLATE, None),  # knows texts only
        (PARTS, "user: <Look at> <this>;"),
        (INSISTS, "Look at this"),
        (
            "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% endif %}{% endfor %}",
            "Look at \nthis",
        ),
        ("{% for m in messages %}{{ m.content + '!' }}{% endfor %}", "Look at \nthis!"),
    ],
    ids=["texts only", "parts", "insists on parts", "leaves lists out", "fails on lists"],
)
def test_parts_are_passed_to_templates_that_take_them_and_are_texts_to_others(
    tiny, tmp_path, template, expected
):
    parts = [{"type": "text", "text": "Look at "}, {"type": "text", "text": "this"}]
    path = written(tmp_path / "talk.jsonl", [[{"role": "user", "content": parts}]])
    plain = [{"role": "user", "content": "Look at \nthis"}]
    assert read(path, talker(tiny, template)).content == (expected or as_transformers(template, [plain]))


def test_parts_that_tell_of_parts_are_not_taken_for_printed_ones(tiny, tmp_path):
    said = """a part is {'type': 'text', "text": ...}"""
    path = written(tmp_path / "t.jsonl", [[{"role": "user", "content": [{"type": "text", "text": said}]}]])
    assert read(path, talker(tiny, PARTS)).content == f"user: <{said}>;"
    printing = "{% for m in messages %}{{ m.content }}{% endfor %}"
    assert read(path, talker(tiny, printing)).content == said


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"type": "image_url", "image_url": {"url": "x"}},
            "line 2: message 1 has a part of type 'image_url', but",
        ),
        ({"type": "text"}, "line 2: message 1 has a part of type 'text' without a text"),
        ("x", 'line 2: message 1 has a part without a type: "x"'),
    ],
)
def test_part_that_is_no_text_is_named(talking, tmp_path, part, message):
    path = written(tmp_path / "t.jsonl", [CHATS[0], [{"role": "user", "content": [part]}]])
    with pytest.raises(RequestError, match=rf"t\.jsonl: {message}"):
        read(path, talking)


def test_byte_order_mark_is_no_part_of_a_text(talking, chats, tmp_path):
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_text("the other", encoding="utf-8")
    marked.write_text("the other", encoding="utf-8-sig")
    texts = [read_texts(str(path), talking, lambda _: None)[0] for path in (plain, marked)]
    assert texts[0].content == texts[1].content == "the other"
    assert texts[0].sha256 == texts[1].sha256
    same = written(tmp_path / "talk.jsonl", CHATS, encoding="utf-8-sig")
    assert same.read_bytes().startswith(b"\xef\xbb\xbf")
    assert read(same, talking).content == read(chats, talking).content
