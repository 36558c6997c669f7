"""expected.json: what a torch model says of whole prompts, by OpenCompass's rule (HuggingFace.get_ppl): the cross-entropy of
tokens 2 to n, summed and divided by n; the label of the lowest is the answer, the first of equal ones.

python make.py      (torch 2.15, transformers 5.24; on a CPU in float32)

The prompts are written here by hand, not from the task files. A prompt longer than the window loses its beginning: n tokens
are kept of which the last is not seen.
"""

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).parent
GOLDEN = HERE.parent
LETTERS = "ABCD"


def lines(name):
    return [json.loads(line) for line in (GOLDEN / "data" / name).read_text().splitlines()]


def choices():
    for doc in lines("mc_test.jsonl"):
        yield [f"Question: {doc['question']}\nAnswer: {choice}" for choice in doc["choices"]], doc["label"]


def letters():
    def question(doc):
        options = "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, doc["choices"]))
        return f"{doc['question']}{options}\nAnswer:"

    shots = "".join(f"{question(doc)} {LETTERS[doc['label']]}\n\n" for doc in lines("mc_train.jsonl")[:2])
    for doc in lines("mc_test.jsonl"):
        yield [f"Choose.\n\n{shots}{question(doc)} {letter}" for letter in LETTERS], doc["label"]


def inputs():
    for doc in lines("wg_val.jsonl"):
        before, after = doc["sentence"].split("_", 1)
        prompts = [f"{before}{doc[option]} {after.strip()}" for option in ("option1", "option2")]
        yield prompts, int(doc["answer"]) - 1


TASKS = {"w_choices": choices, "w_letters": letters, "w_inputs": inputs}


@torch.no_grad()
def scored(model, tokenizer, prompt, window):
    """The summed cross-entropy of all tokens but the first, and the number of all tokens."""
    window = window or model.config.max_position_embeddings
    ids = torch.tensor([tokenizer(prompt)["input_ids"][-(window + 1) :]])
    logits = model(ids[:, :-1]).logits.float()
    loss = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:], reduction="none")
    return loss.sum().item(), ids.shape[1]


def main():
    runs = {}
    for name, window in (("bos", None), ("nobos", None), ("bos", 30)):
        model = AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / name, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(GOLDEN / "models" / name)
        run = {"model": name, "window": window, "tasks": {}}
        for task, documents in TASKS.items():
            rows = []
            for prompts, label in documents():
                pairs = [scored(model, tokenizer, prompt, window) for prompt in prompts]
                losses = [total / count for total, count in pairs]
                rows.append(
                    {
                        "log_likelihoods": [round(-total, 6) for total, _ in pairs],
                        "tokens": [count for _, count in pairs],
                        "choice": losses.index(min(losses)),
                        "gold": label,
                        "gap": round(sorted(losses)[1] - sorted(losses)[0], 7),
                    }
                )
            run["tasks"][task] = rows
        runs[name if window is None else f"{name}_{window}"] = run
    (HERE / "expected.json").write_text(
        "{\n" + ",\n".join(f'"{name}": {{"model": "{run["model"]}", "window": {json.dumps(run["window"])}, "tasks": {{\n'
        + ",\n".join(f'"{task}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for task, rows in run["tasks"].items())
        + "\n}}" for name, run in runs.items()) + "\n}\n"
    )


main()
