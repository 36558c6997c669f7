"""cases.json: F-measures of the package rouge-score; stems.json: stems of NLTK's Porter stemmer, which it uses.

python make.py      (rouge-score 0.1.2, nltk 3.10.4)
"""

import json
import random
from pathlib import Path

from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

HERE = Path(__file__).parent
TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
WORDS = """the a cat cats running runner ran houses housing river rivers 3.14 1,000 don't (hello) "quoted" end. Yes, no;
co-operate naïve ÜBER 中文 relational conditionally happiness ponies dying skies news agreed hopping falling national
technologies Kelvin\u212a x=y _under_ I'm""".split()
SPACES = [" "] * 12 + ["\n", "\n\n", "\t", "\u00a0", "  "]
STEMS = """a be ca dri tro happ sk re trou spray toy syzyg un hop fall fil fail tann abl siz conflat plast bl feed agr mot sing
enjoy comput relat condit val hesit digit conform radic differ vil analog vietnam predic oper feud decis hope call formal
sensit trip electr good reviv allow infer airlin gyroscop adjust defens irrit replac depend adopt homo commun activ angul
effect bowdler prob rat ceas contr roll geo psycho apo b2 x y yy""".split()
ENDINGS = """ s es ies sses ss ed eed ied ing ling ly y ational tional enci anci izer abli alli entli eli ousli ization ation
ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic
able ible ant ement ment ent ion sion tion ou ism ate iti ous ive ize e ll lle atting izing bled logy""".split(" ")


def text(chance, most):
    return "".join(chance.choice(WORDS) + chance.choice(SPACES) for _ in range(chance.randint(0, most)))


def main():
    chance = random.Random(5)
    cases = []
    for place in range(160):
        golds = [text(chance, 24) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
        words = chance.choice(golds).split(" ")
        chance.shuffle(words) if place % 3 == 0 else None
        kept = [word for word in words if chance.random() < 0.8]
        answer = chance.choice([" ", "\n"] if place % 5 == 0 else [" "]).join(kept) + " " + text(chance, 6)
        stems = place % 2 == 0
        scorer = rouge_scorer.RougeScorer(TYPES, use_stemmer=stems)
        scores = scorer.score_multi(golds, answer)
        case = {"answer": answer, "golds": golds, "use_stemmer": stems}
        cases.append(case | {name: scores[name].fmeasure for name in TYPES})
    (HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")

    stemmer = PorterStemmer()
    irregular = "sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed"
    words = {stem + ending for stem in STEMS for ending in (part.strip() for part in ENDINGS)} | set(irregular.split())
    stems = {word: stemmer.stem(word) for word in sorted(words)}
    lines = [", ".join(f"{json.dumps(word)}: {json.dumps(stem)}" for word, stem in list(stems.items())[at : at + 6])
             for at in range(0, len(stems), 6)]
    (HERE / "stems.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
