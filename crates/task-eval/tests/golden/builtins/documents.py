"""Synthetic documents in the schemas of the tasks' data sets: PATH/NAME -> split -> rows. No text of anyone else is in them."""

LETTERS = "ABCDE"


def hellaswag(i, label):
    return {
        "ind": i,
        "activity_label": ["Baking bread", "Cleaning  windows", "ßkiing [step]", "Cutting hair"][i % 4],
        "ctx_a": ["A man kneads dough.", "  A woman fills a bucket.", "[header] How to ski [title] Wax first.", "He sits"][i % 4],
        "ctx_b": ["he", "the WOMAN then", "ǆon and Σ", ""][i % 4],
        "ctx": "unused",
        "endings": [
            f" shapes loaf {i}.",
            "[substeps] waits [title] for it  to   rise.",
            "drops [it\nhere] all. ",
            "eats [] the ]bread[ ".replace("[ ", ""),
        ],
        "source_id": f"s~{i}",
        "split": "val",
        "split_type": "indomain",
        "label": label,
    }


def with_choices(question_key, i, labels, answer):
    return {
        "id": f"q{i}",
        question_key: ["Which metal rusts?", " What do bees make? ", "Where does “rain” come from?", "Who sails a ship?"][i % 4],
        "choices": {"text": [f"thing {letter}{i}" for letter in labels], "label": list(labels)},
        "answerKey": answer,
    }


def winogrande(i, answer):
    sentence = [
        "The cup did not fit on the shelf because the _ was too wide.",
        "Ann thanked Eve, as _  had been helpful. ",
        "_ left early_ so the dog barked.",
    ][i % 3]
    return {"sentence": sentence, "option1": "cup" if i % 3 == 0 else "Ann", "option2": "shelf" if i % 3 == 0 else "Eve", "answer": answer}


def copa(i, label):
    return {
        "premise": ["The lamp went out. ", " The street was wet.", "Écrit par moi!"][i % 3],
        "choice1": ["The bulb broke.", "It had rained.", "Élan was lost."][i % 3],
        "choice2": ["She sang.", "ǅogs ran.", "I slept."][i % 3],
        "question": ["cause", "effect"][i % 2],
        "idx": i,
        "label": label,
    }


def wsc(i, label):
    text, pronoun, place, noun = [
        ("The  tree fell on the roof ( a new one ) . Now , it does n't leak .", "it", 13, "roof"),
        ('Bob said , " Tom  lost his key " and left , angry .', "his", 6, "Tom"),
        ("Ella's sister’s cat slept. She fed it.", "She", 5, "Ella"),
    ][i % 3]
    return {"text": text, "span1_index": 1, "span2_index": place, "span1_text": noun, "span2_text": pronoun, "idx": i, "label": label}


def wsc273(i, label):
    text, pronoun, place, options = [
        ("The trophy fell on The shelf because it was heavy.", "it", 37, ["The trophy", "The shelf"]),
        ("Jim called  Tom. His phone was new.", "His", 17, ["Jim", "His friend"]),
        ("Ann asked Eve about her trip.", "her", 20, ["Ann", "A friend of A club"]),
        ("It rained.", "It", 0, ["The rain", "The sun"]),
    ][i % 4]
    return {"text": text, "pronoun": pronoun, "pronoun_loc": place, "quote": "q", "quote_loc": 0, "options": options, "label": label, "source": "s"}


def race(i):
    first = {"question": "He kept bees because  _  .", "answer": "B", "options": ["of rain", "he liked honey", "of 'x'", 'of "y"']}
    second = {"question": "What's his name?", "answer": "D", "options": ["Al", "Bo", "Cy", "Di\n"]}
    last = {"question": ["Where did he live?", "The best title is  _  ."][i % 2], "answer": "ACB"[i % 3], "options": ["here", "there", "é", "\\n"]}
    return {"article": f"Once there was a man.\n\nHe had {i} hives.", "problems": repr([[last], [first, last], [second, first, last]][i % 3])}


def wikitext(i):
    page = [
        " = Robin = \n \n The robin ( Erithacus rubecula ) is a bird ; it weighs 16 @.@ 5 g , or 1 @,@ 000 of them 16 kg . \n",
        "\n = = Songs = = \n\n Its \" song \" isn 't loud : \" tic ! \" ? It 's [ 1 ] the birds ' own { x }  co @-@ op at 5 ° N . Then /' 7/ and N \n \n = = = Nest = = = \n",
        "A page\u3000without markup ( \n",
    ][i % 3]
    return {"page": page}


def mmlu(i, answer):
    return {"question": f" What is {i} + {i}? \n", "subject": "x", "choices": [str(2 * i + n) for n in range(4)], "answer": answer}


def cmmlu(i, answer):
    return {"Question": f" {i}加{i}等于多少？ ", **{letter: f"{2 * i + n}个" for n, letter in enumerate("ABCD")}, "Answer": answer}


def gsm8k(i):
    return {"question": f"Tom has {i} hats and buys {i} more. How many has he?", "answer": f"He has {i}+{i}=<<{i}+{i}={2 * i}>>{2 * i} hats.\n#### {2 * i},000"}


def truthfulqa(i):
    return {
        "question": f"Is {i} a number?",
        "mc1_targets": {"choices": ["Yes.", "No.", f"Only {i}."], "labels": [1, 0, 0]},
        "mc2_targets": {"choices": ["Yes.", "It is.", "No.", "Never.", f"Maybe {i}."][: 3 + i % 3], "labels": [1, 1, 0, 0, 1][: 3 + i % 3]},
    }


def chid(i, answer):
    return {"id": i, "candidates": [f"成语{n}号" for n in range(7)], "content": f"他{i}次#idiom#地说“好”。", "answer": answer}


def record(i):
    passage, query, entities, answers = [
        ("  The U.S. met New York.\n@highlight\nIt rained\n@highlight\nThe cup, it's won ", "All of @placeholder saw @placeholder's cup", ["New York", "the U.S.", "US", "Émile", "New York"], ["U.S.", "US", "U.S."]),
        ("One passage alone.", "He met @placeholder", ["the an", "Ann’s an Émile", "émile ann"], ["An Émile", "a"]),
        ("A\n@highlight\nB", "No place", ["Z", "Y y y x", "y Y"], ["y x y", "Z z"]),
    ][i % 3]
    return {"passage": passage, "query": query, "entities": entities, "entity_spans": {"text": entities[:1], "start": [0], "end": [3]}, "answers": answers, "idx": {"passage": i, "query": i + 1}}


def mathqa(i, correct):
    options = [
        "a ) 38 , b ) 27.675 , c ) 30 , d ) data inadequate , e ) none of these",
        "a ) rs . 1,000 , b ) 5 : 3, 2 , c ) é , d ) 1 / 2 ,, , e ) a ) 7 , ",
        "b ) two, c ) three , a ) one, x ) no , d ) four , e ) five\n",
    ][i % 3]
    return {"Problem": f"what is {i} + {i} ?", "Rationale": "\"add\"", "options": options, "correct": correct, "annotated_formula": f"add({i}, {i})", "linear_formula": "add(n0,n0)|", "category": "general"}


def logiqa(i, label):
    return {"label": label, "context": f"All {i} birds sing.", "question": [" Which is true? ", "哪个对？"][i % 2], "options": ["A. Some do.", "None do.", f"{i} do", "é"]}


def triviaqa(i):
    aliases = [["Paris", "City of Light"], ["1,5", *(f"so, it IS {n}" for n in range(10)), "it's \"it\""], ["[x]"]][i % 3]
    return {"question": f"Which city is no. {i}", "question_id": f"t{i}", "answer": {"aliases": aliases, "normalized_aliases": ["paris"], "value": aliases[0]}}


def anli(i, label):
    return {"uid": f"u{i}", "premise": f"It is {i} o'clock. ", "hypothesis": "It's late.", "label": label, "reason": ""}


def splits(make, arguments, train=6):
    """The same makers for every split: `arguments` for the evaluated one, repeated for the others."""
    rows = [make(i, *rest) for i, rest in enumerate(arguments)]
    shots = [make(i + 3, *arguments[(i + 1) % len(arguments)]) for i in range(train)]
    return rows, shots


def data_sets():
    def both(make, arguments, evaluated="validation", shots="train"):
        rows, pool = splits(make, arguments)
        return {shots: pool, evaluated: rows} if shots else {evaluated: rows}

    none = [(), (), ()]
    digits = [(0,), (1,), (1,), (0,)]
    arc = lambda i, key, labels: with_choices("question", i, labels, key)
    arcs = [("B", "ABCD"), ("3", "1234"), ("A", "ABC")]
    stem = lambda i, key: with_choices("question_stem", i, "ABCD", key)
    common = lambda i, key: with_choices("question", i, "ABCDE", key)
    boolq = lambda i, label: {"question": f"is {i} even", "passage": f"Numbers such as {i} -- even or odd.", "idx": i, "label": label}
    rte = lambda i, label: {"premise": f"It is {i} o'clock.", "hypothesis": "It is time.", "idx": i, "label": label}
    wic = lambda i, label: {"word": "run", "sentence1": "They run fast.", "sentence2": f"A run of {i} days.", "start1": 5, "start2": 2, "end1": 8, "end2": 5, "idx": i, "label": label}
    piqa = lambda i, label: {"goal": f"open jar {i}", "sol1": "Turn the lid.", "sol2": "Sing to it's lid.", "label": label}
    lambada = lambda i: {"text": f"She looked at the {i} old maps and chose the longest  road"}
    ceval = lambda i, answer: {"id": i, **{key.lower() if key == "Question" else key: text for key, text in cmmlu(i, answer).items() if key != "Answer"}, "answer": answer, "explanation": ""}
    cmnli = lambda i, label: {"sentence1": f"他有{i}只猫", "sentence2": "他有猫", "label": label, "idx": i}
    c3 = lambda i, answer: {"id": i, "context": ["男：你好", "女：请坐。"][: 1 + i % 2], "question": f"他{i}点来吗？", "choice": ["来", "不来", "不知道"], "answer": answer}
    cb = lambda i, label: {"premise": f"A: I do n't know. B: {i} days?", "hypothesis": "they know", "idx": i, "label": label}
    multirc = lambda i, label: {"paragraph": f"Ann's {i} cats. They \\ sleep.", "question": "Who sleeps?", "answer": ["The cats", "A 'dog'", "C:\\new"][i % 3], "idx": {"paragraph": i, "question": 0, "answer": 1}, "label": label}
    sciq = lambda i: {"question": "What melts?", "distractor3": "Sand", "distractor1": f"Rock {i}", "distractor2": "Air", "correct_answer": "Ice", "support": ["", " \nIce melts at 0. "][i % 2]}
    nq = lambda i: {"question": f"who was no. {i}", "answer": [["Ann", "the Ann of X"], ["it's"], ["14", *(f"the so it is {n}" for n in range(10))]][i % 3]}
    siqa = lambda i, label: {"context": f"Ann met Bo {i} times.", "question": "Why?", "answerA": "to talk", "answerB": "by chance", "answerC": "no idea", "label": label}
    swag = lambda i, label: {"video-id": f"v{i}", "fold-ind": "1", "startphrase": "A man sits. He", "sent1": "A man sits.", "sent2": "He", "gold-source": "gold", "ending0": "stands up.", "ending1": "eats.", "ending2": f"counts to {i}.", "ending3": "is é.", "label": label}
    return {
        "aps/super_glue/cb": both(cb, [(0,), (1,), (2,), (0,), (1,), (0,)]),
        "aps/super_glue/multirc": both(multirc, digits),
        "aps/super_glue/record": both(record, none),
        "regisss/math_qa/default": {**both(mathqa, [("a",), ("e",), ("c",)], "test"), "validation": [mathqa(9, "b")]},
        "EleutherAI/logiqa/logiqa": {**both(logiqa, [("a",), (" d\n",), ("c",)], "test"), "validation": [logiqa(9, "b")]},
        "allenai/sciq/default": {**both(sciq, none, "test"), "validation": [sciq(9)]},
        "mandarjoshi/trivia_qa/rc.nocontext": both(triviaqa, none),
        "google-research-datasets/nq_open/default": both(nq, none),
        "lighteval/siqa/default": both(siqa, [("1",), ("3",), ("2",)]),
        "allenai/swag/regular": both(swag, digits),
        "facebook/anli/default": {f"{split}_r{n}": rows for n in (1, 2, 3) for split, rows in {**both(anli, [(n % 3,), (2,), (0,)], "test"), "dev": [anli(9, 1)]}.items()},
        "Rowan/hellaswag/default": both(hellaswag, [("1",), ("3",), ("0",), ("2",)]),
        "allenai/ai2_arc/ARC-Easy": {**both(arc, arcs, "test"), "validation": [arc(9, "C", "ABCD")]},
        "allenai/ai2_arc/ARC-Challenge": {**both(arc, arcs[::-1], "test"), "validation": [arc(9, "C", "ABCD")]},
        "allenai/winogrande/winogrande_xl": both(winogrande, [("1",), ("2",), ("1",)]),
        "aps/super_glue/boolq": both(boolq, digits),
        "aps/super_glue/copa": both(copa, [(0,), (1,), (1,)]),
        "aps/super_glue/rte": both(rte, digits),
        "aps/super_glue/wic": both(wic, digits),
        "aps/super_glue/wsc.fixed": both(wsc, [(0,), (1,), (1,)]),
        "lighteval/winograd_wsc/wsc273": both(wsc273, [(0,), (1,), (1,), (0,)], "test", None),
        "baber/piqa/default": both(piqa, digits),
        "EleutherAI/race/high": both(race, none, "test", None),
        "allenai/openbookqa/main": {**both(stem, [("B",), (" D",), ("A",)], "test"), "validation": [stem(9, "C")]},
        "tau/commonsense_qa/default": both(common, [("B",), ("E",), ("A",)]),
        "EleutherAI/lambada_openai/default": both(lambada, none, "test", None),
        "cimec/lambada/default": {**both(lambada, none, "test", None), "validation": [lambada(n) for n in range(5, 9)]},
        "openai/gsm8k/main": both(gsm8k, none, "test"),
        "EleutherAI/wikitext_document_level/wikitext-2-raw-v1": both(wikitext, none, "test"),
        "truthfulqa/truthful_qa/multiple_choice": both(truthfulqa, none, shots=None),
        "cais/mmlu/anatomy": both(mmlu, [(0,), (3,), (2,)], "test", "dev"),
        "cais/mmlu/us_foreign_policy": both(mmlu, [(1,), (0,)], "test", "dev"),
        "haonan-li/cmmlu/agronomy": both(cmmlu, [("A",), ("D",), ("C",)], "test", "dev"),
        "ceval/ceval-exam/law": both(ceval, [("B",), ("D",), ("A",)], "val", "dev"),
        "clue/clue/cmnli": both(cmnli, [(0,), (1,), (2,)]),
        "clue/clue/c3": both(c3, [("来",), ("不知道",), ("不来",)]),
        "fewclue/chid": {**both(chid, [(0,), (6,), (3,)], "test"), "validation": [chid(9, 2)]},
    }
