"""cases.json: sacrebleu's scores of small corpora. Answers are golds with words lost, doubled, swapped, moved, changed.

python make.py      (sacrebleu 2.6.0)
"""

import json
import random
from pathlib import Path

import sacrebleu

WORDS = """the a cat dog house river 3.14 1,000 12-15 don't (hello) "quoted" end. yes, no; co-operate naïve ÜBER 中文 word
&quot;so&quot; &amp; e.g. U.S.A. x=y+z $5 100% http://a.b/c_d --- ... ! ? I'm rock'n'roll <skipped> A-1 2- .5 5. ,x""".split()
SPACES = [" "] * 20 + ["  ", "\n", "\t", "\u00a0", "-\n"]


def sentence(random, most):
    return "".join(random.choice(WORDS) + random.choice(SPACES) for _ in range(random.randint(0, most)))


def edited(random, text):
    words = text.split(" ")
    for _ in range(random.randint(0, 6)):
        place, kind = random.randrange(len(words) + 1), random.randrange(5)
        if kind == 0:
            words.insert(place, random.choice(WORDS))
        elif kind == 1:
            del words[place : place + 1]
        elif kind == 2 and len(words) > 1:
            start, length = random.randrange(len(words)), random.randint(1, 6)
            run = words[start : start + length]
            del words[start : start + length]
            words[place:place] = run
        elif kind == 3 and place < len(words):
            words[place] = words[place].swapcase()
    return " ".join(words)


def case(random, documents, most, golds):
    rows = []
    for _ in range(documents):
        first = sentence(random, most)
        rows.append((edited(random, first), [first] + [edited(random, first) for _ in range(golds - 1)]))
    return rows


def scored(rows):
    answers, references = [answer for answer, _ in rows], list(zip(*(golds for _, golds in rows)))
    return {
        "documents": rows,
        "bleu": sacrebleu.corpus_bleu(answers, references).score,
        "chrf": sacrebleu.corpus_chrf(answers, references).score,
        "chrf++": sacrebleu.corpus_chrf(answers, references, word_order=2).score,
        "ter": sacrebleu.corpus_ter(answers, references).score,
    }


def main():
    source = random.Random(0)
    shapes = [(1, 0, 1), (1, 3, 1), (1, 12, 1), (1, 12, 3), (20, 6, 1), (20, 30, 1), (8, 30, 4), (3, 90, 1), (2, 150, 2)]
    cases = [case(source, *shape) for shape in shapes for _ in range(4)]
    # A gold that is much longer than its answer, and the other way round; nothing in common; nothing at all.
    long = " ".join(source.choice(WORDS) for _ in range(130))
    cases += [[("the cat", [long])], [(long, ["the cat"])], [("p q r", ["s t u"])], [("", ["", ""])], [("a", [""])]]
    out = Path(__file__).with_name("cases.json")
    out.write_text(json.dumps([scored(rows) for rows in cases], ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
