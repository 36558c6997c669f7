//! Porter's stemmer (Porter, *An algorithm for suffix stripping*, 1980) with NLTK's changes: what ROUGE compares where
//! a task asks for stems.
//!
//! NLTK's changes: twelve words have stems of their own; `ies` and `ied` of four letters keep their `e`; a final `y`
//! becomes `i` after any consonant; `alli` is taken off before the other endings, `bli`, `fulli` and `logi` are
//! endings; a vowel and a consonant alone count as short.

/// Words whose stems no rule gives.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Endings of step 2 and what they become after a stem of positive measure; the first that fits counts.
const STEP_2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

/// As [`STEP_2`], of step 3.
const STEP_3: [(&str, &str); 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Endings that step 4 takes off a stem of a measure above 1; `ion` after `s` and `t` alone.
const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word of ASCII letters in lower case and digits.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word.len() <= 2 {
        return word.to_owned();
    }
    let word = step_1c(step_1b(step_1a(word)));
    let word = replaced(&step_2(word), &STEP_3);
    step_5(step_4(word))
}

/// Plurals.
fn step_1a(word: &str) -> String {
    let (ies, kept) = if word.len() == 4 { ("ies", "ie") } else { ("ies", "i") };
    for (ending, with) in [("sses", "ss"), (ies, kept), ("ss", "ss"), ("s", "")] {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{with}");
        }
    }
    word.to_owned()
}

/// Past tenses and participles.
fn step_1b(word: String) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let stems = ["ed", "ing"].iter().filter_map(|ending| word.strip_suffix(ending));
    let Some(stem) = stems.into_iter().find(|stem| consonants(stem).contains(&false)) else { return word };
    if ["at", "bl", "iz"].iter().any(|ending| stem.ends_with(ending)) {
        return format!("{stem}e");
    }
    let letters = stem.as_bytes();
    let last = letters[letters.len() - 1];
    if letters.len() >= 2 && letters[letters.len() - 2] == last && consonants(stem).last() == Some(&true) {
        return if matches!(last, b'l' | b's' | b'z') { stem.to_owned() } else { stem[..stem.len() - 1].to_owned() };
    }
    if measure(stem) == 1 && is_short(stem) { format!("{stem}e") } else { stem.to_owned() }
}

/// A final `y`.
fn step_1c(word: String) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.len() > 1 && consonants(stem).last() == Some(&true) => format!("{stem}i"),
        _ => word,
    }
}

/// Double endings.
fn step_2(word: String) -> String {
    if let Some(stem) = word.strip_suffix("alli")
        && measure(stem) > 0
    {
        return step_2(format!("{stem}al"));
    }
    match word.strip_suffix("ogi") {
        // Unlike other endings', the first letter of `logi` counts in the measure.
        Some(stem) if stem.ends_with('l') && measure(stem) > 0 => format!("{stem}og"),
        _ => replaced(&word, &STEP_2),
    }
}

/// The word with the first of these endings that it has replaced, if its stem's measure is positive.
fn replaced(word: &str, endings: &[(&str, &str)]) -> String {
    let found = endings.iter().find_map(|(ending, with)| Some((word.strip_suffix(ending)?, with)));
    match found {
        Some((stem, with)) if measure(stem) > 0 => format!("{stem}{with}"),
        _ => word.to_owned(),
    }
}

/// The last ending of a long word.
fn step_4(word: String) -> String {
    let found = STEP_4.iter().find_map(|ending| Some((word.strip_suffix(ending)?, *ending)));
    match found {
        Some((stem, ending)) if measure(stem) > 1 && (ending != "ion" || stem.ends_with(['s', 't'])) => stem.to_owned(),
        _ => word,
    }
}

/// A final `e`, and one of two `l`.
fn step_5(mut word: String) -> String {
    if let Some(stem) = word.strip_suffix('e')
        && (measure(stem) > 1 || measure(stem) == 1 && !is_short(stem))
    {
        word = stem.to_owned();
    }
    if word.ends_with("ll") && measure(&word[..word.len() - 1]) > 1 {
        word.truncate(word.len() - 1);
    }
    word
}

/// Whether each letter is a consonant: all but vowels, and `y` unless a consonant stands before it.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        flags.push(match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => !flags.last().copied().unwrap_or(false),
            _ => true,
        });
    }
    flags
}

/// m of `[C](VC){m}[V]`: how often a consonant follows a vowel.
fn measure(stem: &str) -> usize {
    consonants(stem).windows(2).filter(|pair| *pair == [false, true]).count()
}

/// Whether it ends with a consonant, a vowel and a consonant that is not `w`, `x` or `y`; or is a vowel and a
/// consonant.
fn is_short(stem: &str) -> bool {
    match *consonants(stem) {
        [.., true, false, true] => !stem.ends_with(['w', 'x', 'y']),
        [false, true] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// `tests/golden/rouge/stems.json`: NLTK's stems of words that are made of beginnings and endings.
    #[test]
    fn stems_are_nltks() -> Result<(), Box<dyn std::error::Error>> {
        let stems: Value = serde_json::from_str(include_str!("../../tests/golden/rouge/stems.json"))?;
        let stems = stems.as_object().ok_or("no object")?;
        assert!(stems.len() > 2000);
        for (word, expected) in stems {
            assert_eq!(stem(word), expected.as_str().unwrap_or_default(), "{word}");
        }
        Ok(())
    }

    proptest::proptest! {
        /// Any word has a stem, and one that is at most one letter longer.
        #[test]
        fn every_word_has_a_stem(word in "[a-z0-9]{0,12}|[aeiouyls]{0,8}(ational|alli|logi|ing|eed|ied|ement)?") {
            proptest::prop_assert!(stem(&word).len() <= word.len() + 1);
        }
    }
}
