"""The prompts of `tailor_benches::prompt`: token ids that look random and are always the same."""


def prompts(batch, length, vocabulary):
    """`batch` lists of `length` ids. The first four ids, the special tokens of most vocabularies, are left out."""
    return [[4 + (i * i * 31 + i * 17 + index * 7919) % (vocabulary - 4) for i in range(length)] for index in range(batch)]
