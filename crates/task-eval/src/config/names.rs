//! Patterns of names, as `--tasks mmlu_*` has them, and names that look alike, for the errors of names that are wrong.

/// Whether `name` holds a wildcard of `fnmatch`.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// Python's `fnmatch`, case and all: `*`, `?`, `[abc]`, `[a-z]` and `[!abc]`. (globset reads `{a,b}` as well, and
/// wildmatch no sets.)
///
/// Takes at most as many steps as the product of the lengths: only the last `*` is ever tried again, as what an
/// earlier one could skip, the last one can skip too.
pub(super) fn glob_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut wanted, mut rest) = (&pattern[..], &name[..]);
    // What stands behind the last `*`, and what was left of the name when it had skipped so much.
    let mut last_star: Option<(&[char], &[char])> = None;
    loop {
        if let Some(('*', behind)) = wanted.split_first() {
            last_star = Some((behind, rest));
            wanted = behind;
            continue;
        }
        let next = match (wanted.is_empty(), rest.split_first()) {
            (true, None) => return true,
            (false, Some((&c, name))) => matches_one(wanted, c).map(|behind| (behind, name)),
            _ => None,
        };
        (wanted, rest) = match (next, last_star) {
            (Some(next), _) => next,
            (None, Some((behind, [_, name @ ..]))) => {
                last_star = Some((behind, name));
                (behind, name)
            }
            (None, _) => return false,
        };
    }
}

/// What follows the first part of the pattern, which is not empty and begins with no `*`, if that part matches this
/// character.
fn matches_one(pattern: &[char], c: char) -> Option<&[char]> {
    let (first, rest) = pattern.split_first()?;
    let (fits, rest) = match (first, set(rest)) {
        ('?', _) => (true, rest),
        ('[', Some((members, negated, behind))) => (in_set(members, c) != negated, behind),
        _ => (*first == c, rest),
    };
    fits.then_some(rest)
}

/// The members of a set that begins after its `[`, whether it is negated, and what follows its `]`.
fn set(pattern: &[char]) -> Option<(&[char], bool, &[char])> {
    let negated = pattern.first() == Some(&'!');
    let members = &pattern[usize::from(negated)..];
    // A `]` in first place is a member.
    let end = 1 + members.get(1..)?.iter().position(|&c| c == ']')?;
    Some((&members[..end], negated, &members[end + 1..]))
}

/// Whether a character is one of a set's: each three of which the middle one is `-` are a range, the others themselves.
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
///
/// Near is a name at an edit distance (Levenshtein) of at most a third of the letters, or one that holds `name`.
pub(super) fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    const MOST: usize = 3;
    let allowed = (name.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .map(|other| (strsim::levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= allowed || (name.len() >= 3 && other.contains(name)))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, other)| other.to_owned()).collect()
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

    /// The naive match tries every way to share out the name among the stars: more than 10^12 here.
    #[test]
    fn a_pattern_of_many_stars_is_answered_at_once() {
        assert!(!glob_matches(&"*a".repeat(20), &("a".repeat(80) + "b")));
        assert!(glob_matches(&("*a".repeat(20) + "*"), &("a".repeat(80) + "b")));
    }

    proptest::proptest! {
        #[test]
        fn matching_agrees_with_trying_every_way(pattern in "[ab*?]{0,8}|[ab*\\[\\]!-]{0,8}", name in "[ab\\[-]{0,8}") {
            fn naive(pattern: &[char], name: &[char]) -> bool {
                match (pattern.split_first(), name.split_first()) {
                    (None, _) => name.is_empty(),
                    (Some(('*', rest)), _) => (0..=name.len()).any(|skipped| naive(rest, &name[skipped..])),
                    (Some(_), None) => false,
                    (Some(_), Some((&c, name))) => matches_one(pattern, c).is_some_and(|rest| naive(rest, name)),
                }
            }
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(glob_matches(&pattern, &name), naive(&chars(&pattern), &chars(&name)));
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        let names = ["hellaswag", "arc_easy", "arc_challenge", "piqa"];
        assert_eq!(similar("arc_esy", names.into_iter()), ["arc_easy"]);
        assert!(similar("zzzzz", names.into_iter()).is_empty());
    }
}
