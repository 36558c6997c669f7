"""Tasks and training text of the real families: python tasks.py OUT everyday|science [DATA]

Writes task files of lm-evaluation-harness, with their documents beside them, and the text that the fine-tunes are
trained on. DATA is a folder of documents as JSONL, one folder each (`FOLDERS`); without it they come from the hub's
data sets (package `datasets`), cut so that train, validation and test are disjoint.
"""
import json
import random
import re
import sys
from pathlib import Path

SPLITS = ("train", "validation", "test")

METRIC = """  - metric: {}
    aggregation: mean
    higher_is_better: true
"""
CHOICE = "output_type: multiple_choice\nmetric_list:\n" + METRIC.format("acc") + METRIC.format("acc_norm")
LAST_WORD = "output_type: loglikelihood\nmetric_list:\n" + METRIC.format("acc")
# Each task: the folder of its documents and what its file says beyond them.
TASKS = {
    "real_csqa": ("csqa", CHOICE + """doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
"""),
    "real_hellaswag": ("hellaswag", CHOICE + """doc_to_text: "{{query}}"
doc_to_target: gold
doc_to_choice: choices
"""),
    "real_arc_easy": ("arc_easy", CHOICE + """doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: gold
doc_to_choice: choices
"""),
    "real_openbookqa": ("openbookqa", CHOICE + """doc_to_text: "{{question}}"
doc_to_target: gold
doc_to_choice: choices
"""),
    "real_lambada": ("lambada", LAST_WORD + """doc_to_text: "{{text.split(' ')[:-1]|join(' ')}}"
doc_to_target: "{{' '+text.split(' ')[-1]}}"
"""),
    "real_piqa": ("piqa", CHOICE + """doc_to_text: "Question: {{goal}}\\nAnswer:"
doc_to_target: label
doc_to_choice: "{{[sol1, sol2]}}"
"""),
    "real_gsm8k": ("gsm8k_step", CHOICE + """doc_to_text: "Question: {{question}}\\nAnswer: {{solution}}"
doc_to_target: gold
doc_to_choice: choices
target_delimiter: ""
"""),
    # LAMBADA's form: the last word of a story with its right ending.
    "real_last_word": ("last_word", LAST_WORD + """doc_to_text: "{{context}}"
doc_to_target: " {{word}}"
"""),
    # The same calculation, but the model writes its result: the first number up to the end of the line counts.
    "real_gsm8k_written": ("gsm8k_step", """output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer: {{solution}}"
doc_to_target: "{{choices[gold]}}"
target_delimiter: ""
generation_kwargs:
  until: ["\\n"]
  do_sample: false
  max_gen_toks: 8
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
filter_list:
  - name: number
    filter:
      - function: regex
        regex_pattern: "(-?[0-9]+(?:\\\\.[0-9]+)?)"
      - function: take_first
"""),
}


# The folders of documents that each family has beside those of arithmetic.
MATHEMATICS = ("gsm8k_step", "gsm8k_text", "gsm8k_calc")
FOLDERS = {
    "everyday": ("csqa", "hellaswag", "piqa", *MATHEMATICS),
    "science": ("csqa", "arc_easy", "openbookqa", "lambada", *MATHEMATICS),
}


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def read_jsonl(path):
    return [json.loads(line) for line in path.open(encoding="utf-8", newline="\n")]


def from_folder(data, names):
    """The documents of each folder by split; training text has one split."""
    documents = {}
    for name in names:
        found = {split: data / name / f"{split}.jsonl" for split in SPLITS}
        documents[name] = {split: read_jsonl(path) for split, path in found.items() if path.exists()}
        if "train" not in documents[name]:
            raise SystemExit(f"{data / name / 'train.jsonl'} is missing")
    return documents


def cut(rows, sizes):
    """The first rows of a shuffled list in consecutive pieces: train, validation, test."""
    random.Random(1).shuffle(rows)
    pieces, start = {}, 0
    for split, size in zip(SPLITS, sizes):
        pieces[split] = rows[start:start + size]
        start += size
    return pieces


def from_hub(names):
    """The same from the hub; only splits whose answers are published are used."""
    documents = mathematics_of_hub()
    for name in names:
        if name not in documents:
            documents[name] = HUB[name]()
    return documents


def choices_of_hub(data_set, subset, question):
    """A data set of questions whose choices have labels, with the hub's own splits."""
    from datasets import load_dataset

    def row(found):
        choices = found["choices"]
        return {"question": found[question], "choices": choices["text"], "gold": choices["label"].index(found["answerKey"])}

    return {split: [row(found) for found in load_dataset(data_set, subset, split=split)] for split in SPLITS}


def cut_of_hub(data_set, split, sizes, row=dict, subset=None):
    """One split of a data set, cut into three."""
    from datasets import load_dataset

    return cut([row(found) for found in load_dataset(data_set, subset, split=split)], sizes)


HUB = {
    "csqa": lambda: cut_of_hub("tau/commonsense_qa", "validation", (600, 250, 371)),
    "piqa": lambda: cut_of_hub("baber/piqa", "validation", (919, 305, 614)),
    "hellaswag": lambda: cut_of_hub("Rowan/hellaswag", "validation", (300, 300, 400), hellaswag_row),
    "arc_easy": lambda: choices_of_hub("allenai/ai2_arc", "ARC-Easy", "question"),
    "openbookqa": lambda: choices_of_hub("allenai/openbookqa", "main", "question_stem"),
    "lambada": lambda: cut_of_hub("EleutherAI/lambada_openai", "test", (3000, 800, 1353), subset="en"),
}


def mathematics_of_hub():
    from datasets import load_dataset

    solutions = list(load_dataset("openai/gsm8k", "main", split="train"))
    parts = cut(solutions, (6000, 600, 873))
    steps = {split: list(filter(None, map(step, rows))) for split, rows in parts.items()}
    plain = [{"question": row["question"], "answer": without_marks(row["answer"])} for row in parts["train"]]
    calculations = [{"items": items} for row in parts["train"] if (items := calculation_items(row["answer"]))]
    return {"gsm8k_step": steps, "gsm8k_text": {"train": plain}, "gsm8k_calc": {"train": calculations}}


def hellaswag_row(row):
    """As the harness's `process_docs` has it."""
    def clean(text):
        text = text.strip().replace(" [title]", ". ")
        return re.sub(r"\[.*?\]", "", text).replace("  ", " ")

    query = clean(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    return {"query": query, "choices": [clean(ending) for ending in row["endings"]], "gold": int(row["label"])}


def without_marks(answer):
    """A GSM8K solution without the calculator's marks `<<...>>`."""
    return re.sub(r"<<.*?>>", "", answer).replace("#### ", "The answer is ")


def calculation_items(answer):
    pairs = re.findall(r"<<([^=<>]+)=([^<>]+)>>", answer)
    return [{"expr": f"{expression}=", "result": result} for expression, result in pairs]


def step(row):
    """A question about the result of one calculation inside a solution, or None if there is no whole number."""
    marks = list(re.finditer(r"<<([^=<>]+)=([0-9]+)>>", row["answer"]))
    if not marks:
        return None
    draw = random.Random(row["question"])
    mark = draw.choice(marks)
    right = int(mark.group(2))
    wrong = set()
    while len(wrong) < 3:
        near = right + draw.choice([-10, -5, -2, -1, 1, 2, 5, 10, right])
        if near >= 0 and near != right:
            wrong.add(near)
    choices = [str(right), *map(str, sorted(wrong))]
    draw.shuffle(choices)
    solution = without_marks(row["answer"][:mark.start()])
    return {"question": row["question"], "solution": solution, "choices": choices, "gold": choices.index(str(right))}


def last_word(row):
    """A HellaSwag story with its right ending, without the full stop and cut before the last word."""
    context, word = f"{row['query']} {row['choices'][row['gold']].strip()}".rstrip(" .").rsplit(" ", 1)
    return {"context": context, "word": word}


def write_tasks(documents, out):
    if stories := documents.get("hellaswag"):
        documents["last_word"] = {split: [last_word(row) for row in rows] for split, rows in stories.items()}
    for task, (folder, rest) in TASKS.items():
        if folder not in documents:
            continue
        lines = [f"task: {task}", "dataset_path: json", "dataset_kwargs:", "  data_files:"]
        lines += [f"    {split}: data/{folder}/{split}.jsonl" for split in SPLITS]
        lines += ["training_split: train", "validation_split: validation", "test_split: test"]
        (out / f"{task}.yaml").write_text("\n".join(lines) + "\n" + rest + "metadata:\n  version: 1.0\n")
        for split in SPLITS:
            write_jsonl(out / "data" / folder / f"{split}.jsonl", documents[folder][split])


def write_text(documents, out):
    """Whole solutions and calculations, as training text for mathematics."""
    solutions = [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in documents["gsm8k_text"]["train"]]
    calculations = [
        "\n".join(f"{item['expr'].rstrip()}{' ' if item['expr'].endswith(' =') else ''}{item['result']}" for item in row["items"])
        for row in documents["gsm8k_calc"]["train"]
    ]
    write_jsonl(out / "mathematics.jsonl", [{"text": text} for pair in zip(solutions, calculations) for text in pair])


def main():
    out, names = Path(sys.argv[1]), FOLDERS[sys.argv[2]]
    documents = from_folder(Path(sys.argv[3]), names) if len(sys.argv) > 3 else from_hub(names)
    (out / "tasks").mkdir(parents=True, exist_ok=True)
    write_tasks(documents, out / "tasks")
    write_text(documents, out)


if __name__ == "__main__":
    main()
