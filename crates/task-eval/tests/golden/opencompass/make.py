"""prompts.json and data/: prompts that OpenCompass's own configs, loaders and templates make of synthetic documents.

git clone https://github.com/open-compass/opencompass      (tried at a5acc4b, August 2026)
python make.py OPENCOMPASS                                  (its dependencies are not needed: they are stood in for)

data/ has the same documents as the hub has them. Of commonsense_qa the shots are the first eight documents: those that
OpenCompass retrieves depend on two models (MDLRetriever).
"""

import importlib.util
import json
import random
import re
import sys
import types
from pathlib import Path

HERE = Path(__file__).parent
ROOT = Path(sys.argv[1])
CONFIGS = ROOT / "opencompass/configs/datasets"
WORDS = "the a river: cat 'dogs' runs {slowly} stone red birds [title] two sits: old tree over".split()
HAN = "天地玄黄宇宙洪荒日月盈昃辰宿列张"


class Decorators(type):
    """Whatever is asked of the class gives a decorator that changes nothing."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: lambda decorated: decorated


class Anything(metaclass=Decorators):
    """Takes the place of what is imported and not needed."""

    def __init__(self, *_, **__): ...


class Dataset(list):
    from_list = classmethod(lambda cls, rows: cls(rows))

    @classmethod
    def from_dict(cls, columns):
        return cls({name: columns[name][row] for name in columns} for row in range(len(next(iter(columns.values())))))


class Stub(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


class Finder:
    """Finds stand-ins for all that is not loaded by file below."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("mmengine", "opencompass", "datasets", "torch", "evaluate", "numpy", "requests"):
            return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        module = Stub(spec.name)
        if spec.name == "datasets":
            module.Dataset, module.DatasetDict = Dataset, dict
        return module

    def exec_module(self, module): ...


sys.meta_path.insert(0, Finder())


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / (name.replace(".", "/") + ".py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


types_stub = sys.modules.setdefault("opencompass.utils.types", Stub("opencompass.utils.types"))
types_stub._check_type_list = lambda value, _: value
utils_stub = sys.modules.setdefault("opencompass.utils", Stub("opencompass.utils"))
utils_stub.get_data_path = lambda path, **_: path
prompt = load("opencompass.utils.prompt")
prompt.ConfigDict = dict
templates = load("opencompass.openicl.icl_prompt_template")
retriever = load("opencompass.openicl.icl_retriever.icl_base_retriever")
models = load("opencompass.models.base")
datasets = {name: load(f"opencompass.datasets.{name}") for name in ("wsc", "c3", "hellaswag")}


def config(path, variable):
    """The first data set of a config file. An import of another file has it, if there is one."""
    text = (CONFIGS / path).read_text()
    other = re.search(r"from \.(\w+) import", text)
    if other:
        return config(f"{path.split('/')[0]}/{other[1]}.py", variable)
    scope = {}
    exec(text, scope)
    return scope[variable]


def prompts(dataset, rows, shots=()):
    """By label, the prompts of the rows for a model without a template of its own."""
    infer = dataset["infer_cfg"]
    made = {key: templates.PromptTemplate(infer[key]["template"], infer[key].get("ice_token"))
            for key in ("ice_template", "prompt_template") if key in infer}
    ice_template, prompt_template = made.get("ice_template"), made.get("prompt_template")
    one = object.__new__(retriever.BaseRetriever)
    one.ice_separator, one.ice_eos_token = "\n", "\n"
    one.index_ds, one.test_ds = list(shots), list(rows)
    one.dataset_reader = types.SimpleNamespace(output_column=dataset["reader_cfg"]["output_column"])
    template = (prompt_template or ice_template).template
    parser = models.LMTemplateParser()
    out = []
    for row in range(len(rows)):
        ice = one.generate_ice(range(len(shots)), ice_template=ice_template)
        if set(template) <= {"begin", "round", "end"}:
            made = [one.generate_prompt_for_generate_task(row, ice, ice_template=ice_template, prompt_template=prompt_template)]
        else:
            made = [one.generate_label_prompt(row, ice, label, ice_template, prompt_template) for label in template]
        out.append([parser.parse_template(prompt, mode="ppl") for prompt in made])
    return out


chance = random.Random(11)


def words(most=7): return " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, most)))
def han(most=9): return "".join(chance.choice(HAN) for _ in range(chance.randint(2, most)))


def write(path, rows):
    file = HERE / "data" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def temporary(rows, whole=False):
    file = Path("/tmp/opencompass.json")
    file.write_text(json.dumps(rows) if whole else "".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def letters(name, count=4): return {letter: f"{name} {words(3)}" for letter in "ABCDE"[:count]}


def main():
    out, n = {}, 4

    rows = [{"sentence1": han(), "sentence2": han(), "label": label} for label in (0, -1, 1, 2)]
    names = ["neutral", "entailment", "contradiction"]
    theirs = [row | {"label": names[row["label"]]} for row in rows if row["label"] >= 0]
    write("clue/clue/cmnli/validation.jsonl", rows)
    out["gptailor_cmnli"] = prompts(config("CLUE_cmnli/CLUE_cmnli_ppl.py", "cmnli_datasets")[0], theirs)

    rows = [{"activity_label": "Cat care", "ctx_a": words().capitalize(), "ctx_b": words(), "endings": [words() for _ in range(4)],
             "label": str(chance.randrange(4)), "ctx": ""} for _ in range(n)]
    rows[0]["ctx_a"] = "One: two: three"
    write("Rowan/hellaswag/default/validation.jsonl", rows)

    def clean(text):
        return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")

    raw = [{"query": clean(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"),
            "choices": [clean(ending) for ending in row["endings"]], "gold": int(row["label"])} for row in rows]
    theirs = datasets["hellaswag"].HellaswagDataset.load(temporary(raw))
    out["gptailor_hellaswag"] = prompts(config("hellaswag/hellaswag_ppl.py", "hellaswag_datasets")[0], theirs)

    rows = [{"goal": words(), "sol1": words(), "sol2": words(), "label": chance.randrange(2)} for _ in range(n)]
    write("baber/piqa/validation.jsonl", rows)
    out["gptailor_piqa"] = prompts(config("piqa/piqa_ppl.py", "piqa_datasets")[0], rows)

    rows = [{"content": f"{han()}#idiom#{han()}", "candidates": [han(4) for _ in range(7)], "answer": chance.randrange(7)}
            for _ in range(n)]
    write("fewclue/chid/validation.jsonl", rows)
    theirs = [row | {f"content{i}": row["content"].replace("#idiom#", one) for i, one in enumerate(row["candidates"])} for row in rows]
    out["gptailor_chid"] = prompts(config("FewCLUE_chid/FewCLUE_chid_ppl.py", "chid_datasets")[0], theirs)

    rows = []
    for _ in range(n):
        text = [chance.choice(WORDS) for _ in range(12)]
        first, second = sorted(chance.sample(range(1, 10), 2))
        first, second = chance.choice([(first, second), (second, first)])
        size = 1 if abs(first - second) == 1 or chance.random() < 0.5 else 2
        rows.append({"text": " ".join(text), "span1_index": first, "span2_index": second, "label": chance.randrange(2),
                     "span1_text": " ".join(text[first : first + size]), "span2_text": text[second]})
    write("aps/super_glue/wsc.fixed/validation.jsonl", rows)
    raw = [{"text": row["text"], "target": {key: row[key] for key in row if key.startswith("span")},
            "label": ["false", "true"][row["label"]]} for row in rows]
    theirs = datasets["wsc"].WSCDatasetV3.load(temporary(raw))
    out["gptailor_wsc_ppl"] = prompts(config("SuperGLUE_WSC/SuperGLUE_WSC_ppl.py", "WSC_datasets")[0], theirs)
    out["gptailor_wsc_gen"] = prompts(config("SuperGLUE_WSC/SuperGLUE_WSC_gen.py", "WSC_datasets")[0], theirs)

    def csqa(): return {"question": words(), "choices": {"label": list("ABCDE"), "text": [words(2) for _ in range(5)]},
                        "answerKey": chance.choice("ABCDE")}

    rows, shots = [csqa() for _ in range(n)], [csqa() for _ in range(9)]
    write("tau/commonsense_qa/validation.jsonl", rows)
    write("tau/commonsense_qa/train.jsonl", shots)
    theirs = [row | dict(zip("ABCDE", row["choices"]["text"])) for row in rows + shots[:8]]
    dataset = config("commonsenseqa/commonsenseqa_ppl.py", "commonsenseqa_datasets")[0]
    out["gptailor_csqa"] = prompts(dataset, theirs[:n], theirs[n:])

    rows = [{"question": words(), "passage": words(), "label": chance.randrange(2)} for _ in range(n)]
    write("aps/super_glue/boolq/validation.jsonl", rows)
    out["gptailor_boolq"] = prompts(config("SuperGLUE_BoolQ/SuperGLUE_BoolQ_ppl.py", "BoolQ_datasets")[0], rows)

    def mmlu(): return {"question": words(), "choices": [words(3) for _ in range(4)], "answer": chance.randrange(4)}

    rows, shots = [mmlu() for _ in range(n)], [mmlu() for _ in range(5)]
    write("cais/mmlu/college_biology/test.jsonl", rows)
    write("cais/mmlu/college_biology/dev.jsonl", shots)
    theirs = [{"input": row["question"], "target": "ABCD"[row["answer"]], **dict(zip("ABCD", row["choices"]))} for row in rows + shots]
    every = config("mmlu/mmlu_ppl.py", "mmlu_datasets")
    dataset = next(one for one in every if one["name"] == "college_biology")
    out["gptailor_mmlu_college_biology"] = prompts(dataset, theirs[:n], theirs[n:])

    def cmmlu(): return {"Question": han(), **{letter: han(4) for letter in "ABCD"}, "Answer": chance.choice("ABCD")}

    rows, shots = [cmmlu() for _ in range(n)], [cmmlu() for _ in range(5)]
    write("haonan-li/cmmlu/agronomy/test.jsonl", rows)
    write("haonan-li/cmmlu/agronomy/dev.jsonl", shots)
    theirs = [{"question": row["Question"], "answer": row["Answer"], **{letter: row[letter] for letter in "ABCD"}} for row in rows + shots]
    dataset = next(one for one in config("cmmlu/cmmlu_ppl.py", "cmmlu_datasets") if one["name"] == "agronomy")
    out["gptailor_cmmlu_agronomy"] = prompts(dataset, theirs[:n], theirs[n:])

    for name in ("high", "middle"):
        rows = [{"article": words(20), "question": words(), "options": [words(3) for _ in range(4)], "answer": chance.choice("ABCD")}
                for _ in range(n)]
        write(f"ehovy/race/{name}/test.jsonl", rows)
        theirs = [row | dict(zip("ABCD", row["options"])) for row in rows]
        dataset = next(one for one in config("race/race_ppl.py", "race_datasets") if one["name"] == name)
        out[f"gptailor_race_{name}"] = prompts(dataset, theirs)

    rows = [{"document": f"{words(20)}\n{words()}", "summary": words()} for _ in range(n)]
    write("EdinburghNLP/xsum/validation.jsonl", rows)
    theirs = [{"dialogue": row["document"], "summary": row["summary"]} for row in rows]
    out["gptailor_xsum"] = prompts(config("Xsum/Xsum_gen.py", "Xsum_datasets")[0], theirs)

    rows = []
    for _ in range(n):
        choices = [han(5) for _ in range(chance.choice([2, 4]))]
        rows.append({"id": 0, "context": [han() for _ in range(chance.randint(1, 3))], "question": han(), "choice": choices,
                     "answer": chance.choice(choices)})
    write("clue/clue/c3/validation.jsonl", rows)
    raw = [[row["context"], [{"question": row["question"], "choice": list(row["choice"]), "answer": row["answer"]}], "0"] for row in rows]
    theirs = datasets["c3"].C3Dataset.load(temporary(raw, whole=True))
    out["gptailor_c3"] = prompts(config("CLUE_C3/CLUE_C3_ppl.py", "C3_datasets")[0], theirs)

    text = ",\n".join(f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"
                      for name, rows in out.items())
    (HERE / "prompts.json").write_text("{\n" + text + "\n}\n")


main()
