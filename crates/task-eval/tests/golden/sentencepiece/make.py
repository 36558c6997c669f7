"""Makes the files of this folder: two SentencePiece models and lines with their ids.

python make.py [OUT LINES]: with an empty folder and a number, so many lines instead of 300, and the whole tables of
nmt_nfkc and nfkc, of which the models here have a small part (each takes 240 KB).
Made with sentencepiece 0.2. The text is made of random words, so that nobody's is needed.
"""

import json
import random
import sys
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece as spm

HERE = Path(__file__).parent
SCRIPTS = {
    "latin": (list("bcdfghklmnprstvwz"), list("aeiou") + ["ä", "é", "ö", "ü", "ï", "å"]),
    "cyrillic": (list("бвгджзклмнпрстфхцчш"), list("аеиоуыэюя")),
    "greek": (list("βγδζθκλμνπρστφχψ"), list("αεηιουω") + ["ά", "έ", "ό", "ώ"]),
    "arabic": (list("بتثجحخدذرزسشصضطظعغفقكلمنه"), ["ا", "و", "ي", "َ", "ِ", "ُ", "آ", "أ"]),
    "devanagari": (list("कखगघचछजझटठडढतथदधनपफबभमयरलवशषसह") + ["क्ष", "त्र", "ज़", "फ़"], ["ा", "ि", "ी", "ु", "ू", "े", "ै", "ो", "ं", ""]),
    "cjk": ([chr(code) for code in range(0x4E00, 0x4E00 + 90)] + list("かきくけこさしすせそたちつてと"), [""]),
}
EMOJI = ["🙂", "👍🏽", "👩‍👩‍👧", "🇪🇺", "☃", "❤️", "🏴‍☠️", "🧪"]
RARE = ["ﬁ", "Ａ", "①", "½", "™", "…", "“", "”", "\u200b", "\u00ad", "\ufeff", "ß", "Ǆ", "가", "ก", "𝒳", "e\u0301", "Å", "ｶﾞ", "㍿", "\u0007"]
SPACES = [" ", "  ", "   ", "\t", "\u00a0", "\u3000", " \t ", "\u2009", "\r", "      ", "▁", "\u2028"]
CODE = ["def", "return", "for", "if", "x", "i", "==", "!=", "{", "}", "(", ")", "[0]", "->", "::", "//", "\"a\"", "0x1F", "3.14", "+=", ";", "<b>", "</b>", "\\n", "&&", "<0x41>"]


def word(source, script):
    consonants, vowels = SCRIPTS[script]
    text = "".join(source.choice(consonants) + source.choice(vowels) for _ in range(source.randint(1, 4)))
    if script in ["latin", "cyrillic", "greek"] and source.random() < 0.1:
        text = text.capitalize()
    return text


def vocabulary(source):
    """Words of each script; the first are used most, as in languages."""
    return {script: [word(source, script) for _ in range(400)] for script in SCRIPTS}


def pick(source, words):
    return words[min(int(source.paretovariate(0.6)) - 1, len(words) - 1)]


def line(source, words, odd):
    """A line of one script or two, or of code; `odd` puts signs and spaces in that the training has hardly seen."""
    kind = source.random()
    if kind < 0.12:
        parts = [source.choice(CODE) for _ in range(source.randint(3, 14))]
        return " " * source.choice([0, 0, 2, 4, 8]) + source.choice([" ", "", "  "]).join(parts)
    script = source.choice(list(SCRIPTS))
    joint = "" if script == "cjk" and source.random() < 0.8 else " "
    parts = []
    for _ in range(source.randint(1, 16)):
        at = source.random()
        if odd and at < 0.08:
            parts.append(source.choice(EMOJI))
        elif odd and at < 0.14:
            parts.append(source.choice(RARE))
        elif odd and at < 0.2:
            parts.append(source.choice(SPACES))
        elif at < 0.26:
            parts.append(str(source.randint(0, 99999)))
        elif at < 0.34:
            parts.append(word(source, source.choice(list(SCRIPTS))))
        else:
            parts.append(pick(source, words[script]))
        if source.random() < 0.15:
            parts[-1] += source.choice([",", ".", "!", "?", ":", "।", "、", "؟"])
    text = joint.join(parts)
    if odd and source.random() < 0.15:
        text = source.choice(SPACES) * source.randint(1, 3) + text
    if odd and source.random() < 0.15:
        text += source.choice(SPACES) * source.randint(1, 3)
    return text


def train(folder, words, **settings):
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(1)
    lines = [line(source, words, source.random() < 0.1) for _ in range(6000)]
    model = folder / "tokenizer"
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(model), minloglevel=2, num_threads=1, **settings
    )
    (folder / "tokenizer.vocab").unlink()
    return spm.SentencePieceProcessor(model_file=str(model) + ".model")


def small_table():
    """A table of replacements for some of the text: a file as `normalization_rule_tsv` wants it."""
    # What nmt_nfkc makes of spaces and signs that are not seen.
    rules = {"\t": " ", "\r": " ", "\u2028": " ", "\u200b": " ", "\ufeff": "", "\u0007": ""}
    for text in RARE + SPACES + ["ज" + "़", "फ" + "़", "ا" + "ٓ", "o\u0308"]:
        if text not in rules and unicodedata.normalize("NFKC", text) != text:
            rules[text] = unicodedata.normalize("NFKC", text)
    file = tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False)
    with file:
        for text, replacement in rules.items():
            file.write("\t".join(" ".join(f"{ord(sign):X}" for sign in part) for part in [text, replacement]) + "\n")
    return {"normalization_rule_tsv": file.name}


def main(out, count):
    small = small_table() if out == HERE else None
    words = vocabulary(random.Random(22))
    models = {
        # As Llama's and Llama 2's.
        "bpe": dict(
            model_type="bpe", vocab_size=1200, byte_fallback=True, character_coverage=0.995, split_digits=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True,
            allow_whitespace_only_pieces=True, max_sentencepiece_length=16,
        ),
        # As T5's and XLM-R's.
        "unigram": dict(model_type="unigram", vocab_size=900, character_coverage=0.995, **(small or {"normalization_rule_name": "nmt_nfkc"})),
        # A BPE model with pieces of the user's own, and a prepared text.
        "user-defined": dict(
            model_type="bpe", vocab_size=700, character_coverage=0.995, remove_extra_whitespaces=False,
            user_defined_symbols=["<sep>", "->", "(x)", "▁▁▁"], **(small or {"normalization_rule_name": "nfkc"}),
        ),
    }
    source = random.Random(3)
    lines = [line(source, words, True) for _ in range(count)]
    lines += ["", " ", "   ", "a", " a", "a ", "a<sep>b", "<sep>", "x -> y (x)(x)   z", "▁", "▁▁ a"]
    for name, settings in models.items():
        model = train(out / name, words, **settings)
        config = {"model_type": "llama", "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64}
        (out / name / "config.json").write_text(json.dumps(config) + "\n")
        with open(out / name / "lines.jsonl", "w", encoding="utf-8") as file:
            for text in lines:
                ids = model.encode(text)
                row = {"text": text, "ids": ids, "decoded": model.decode(ids)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    out, count = (Path(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) == 3 else (HERE, 300)
    main(out, count)
