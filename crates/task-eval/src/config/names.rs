//! Patterns of names, and names that look alike.

/// Whether `name` holds a wildcard of `fnmatch`.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Python's `fnmatch`, case and all: `*`, `?`, `[abc]`, `[a-z]` and `[!abc]`.
pub(super) fn glob_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    matches(&pattern, &name)
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        Some(('?', rest)) => !name.is_empty() && matches(rest, &name[1..]),
        Some(('[', rest)) => match (name.split_first(), set(rest)) {
            (Some((&c, name)), Some((members, negated, rest))) => {
                (in_set(members, c) != negated) && matches(rest, name)
            }
            (Some((&c, name)), None) => c == '[' && matches(rest, name),
            (None, _) => false,
        },
        Some((literal, rest)) => name.first() == Some(literal) && matches(rest, &name[1..]),
    }
}

/// The members of a set that begins after its `[`, whether it is negated, and what follows its `]`.
fn set(pattern: &[char]) -> Option<(&[char], bool, &[char])> {
    let negated = pattern.first() == Some(&'!');
    let members = &pattern[usize::from(negated)..];
    // A `]` in first place is a member.
    let end = 1 + members.get(1..)?.iter().position(|&c| c == ']')?;
    Some((&members[..end], negated, &members[end + 1..]))
}

fn in_set(mut members: &[char], c: char) -> bool {
    loop {
        match members {
            [from, '-', to, rest @ ..] => {
                if (*from..=*to).contains(&c) {
                    return true;
                }
                members = rest;
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                members = rest;
            }
            [] => return false,
        }
    }
}

/// At most three of `names` that a slip of the keyboard could have turned into `name`, the nearest first.
pub(super) fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    const MOST: usize = 3;
    let allowed = (name.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .map(|other| (distance(name, other), other))
        .filter(|(distance, other)| *distance <= allowed || (name.len() >= 3 && other.contains(name)))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, other)| other.to_owned()).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        for (pattern, name, expected) in [
            ("mmlu_*", "mmlu_law", true),
            ("mmlu_*", "cmmlu_law", false),
            ("g?ll", "g_ll", true),
            ("g_[lm]*", "g_merge", true),
            ("g_[!lm]*", "g_merge", false),
            ("[a-c]x", "bx", true),
            ("a[", "a[", true),
            ("*", "", true),
        ] {
            assert_eq!(glob_matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["hellaswag", "arc_easy", "arc_challenge", "piqa"];
        assert_eq!(similar("arc_esy", names.into_iter()), ["arc_easy"]);
        assert!(similar("zzzzz", names.into_iter()).is_empty());
    }
}
