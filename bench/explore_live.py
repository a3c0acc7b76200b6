"""How long a person waits for a live explanation: `python -m bench.explore_live TEXT_RUN [FOLDER]`.

Texts of the run, changed so that none was asked before, are asked as a browser asks them. Floor: a forward and a backward pass of the
same model over the same text, in this process, for its contrast logit.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from pyarrow import parquet

from audit.explore.live import Asked, Live
from bench.explore_scale import get

TEXTS = 40


def main(run: Path, folder: Path | None) -> None:
    """Print milliseconds: median and largest."""
    texts = [
        f"{text} Really."
        for text in parquet.read_table(run / "examples.parquet", columns=["text"])["text"].to_pylist()[:TEXTS]
    ]
    command = [
        sys.executable,
        "-m",
        "audit",
        "explore",
        str(run),
        "--no-browser",
        "--model",
        *(["--folder", str(folder)] if folder else []),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split(" open ")[1].strip()
        opener, base = build_opener(HTTPCookieProcessor()), address.partition("/?")[0]
        get(opener, address)
        time.sleep(15)  # the map is laid out
        get(opener, f"{base}/live?text=one")
        told("live", [get(opener, f"{base}/live?{urlencode({'part': 1, 'text': text})}") for text in texts])
        process.send_signal(signal.SIGINT)
    live = Live(run, folder)
    passes(live, texts[0])
    told("one pass, the floor", [passes(live, text) for text in texts])
    told("the engine alone", [timed(lambda text=text: live.explain(Asked(text))) for text in texts])


def told(words: str, seconds: list[float]) -> None:
    print(f"{words}: {1000 * median(seconds):.0f} ms, at most {1000 * max(seconds):.0f} ms, {len(seconds)} texts")


def timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def passes(live: Live, text: str) -> float:
    """Forward and backward."""
    explainer = live.one.explainer
    model, inputs = (
        explainer.model,
        explainer.reader.tokenizer(text, return_tensors="pt", truncation=True, max_length=128),
    )
    embedded = model.get_input_embeddings()(inputs.pop("input_ids")).detach().requires_grad_()

    def once() -> None:
        logits = model(inputs_embeds=embedded, **inputs).logits[0]
        (logits[1] - logits[0]).backward()

    return timed(once)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)
