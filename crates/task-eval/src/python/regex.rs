//! Python's `re` by way of fancy-regex: the pattern is respelled where the two read it differently, and the loops over
//! matches are Python's.
//!
//! fancy-regex backtracks where a pattern has lookarounds, backreferences and the like, as Python does, but gives up
//! after a million steps, which is an error here; what is left goes to an automaton in linear time.

use fancy_regex::{Captures, Regex, RegexBuilder};

/// A pattern of Python's `re`, for Unicode text.
#[derive(Debug, Clone)]
pub(crate) struct PythonRegex {
    /// The pattern.
    any: Regex,
    /// The same, but never of length 0: what may follow an empty match at the same place. None if it is always empty.
    not_empty: Option<Regex>,
}

impl PythonRegex {
    /// Compiles a pattern in the flavour of Python's `re`.
    ///
    /// # Errors
    /// A pattern that fancy-regex cannot compile: one that Python refuses, or that it alone knows.
    pub(crate) fn new(pattern: &str) -> Result<Self, Box<fancy_regex::Error>> {
        let respelled = respell(pattern);
        Ok(Self {
            any: Regex::new(&respelled).map_err(Box::new)?,
            not_empty: RegexBuilder::new(&respelled).find_not_empty(true).build().ok(),
        })
    }

    /// `re.findall`, but that each match is the list of its groups, or of the whole if there are none. A group that
    /// took no part is None.
    ///
    /// # Errors
    /// The pattern gives up: fancy-regex limits its backtracking.
    pub(crate) fn find_all<'t>(&self, text: &'t str) -> Result<Vec<Vec<Option<&'t str>>>, Box<fancy_regex::Error>> {
        let groups = |captures: Captures<'t, str>| {
            let first = usize::from(captures.len() > 1);
            (first..captures.len()).map(|group| captures.get(group).map(|found| found.as_str())).collect()
        };
        Ok(self.matches(text)?.into_iter().map(groups).collect())
    }

    /// `re.sub(pattern, with, text, count)`; `with` may name groups as `\1` or `\g<1>`. A count of 0 is no limit.
    ///
    /// # Errors
    /// As [`Self::find_all`].
    pub(crate) fn replace(&self, text: &str, with: &str, count: usize) -> Result<String, Box<fancy_regex::Error>> {
        let limit = if count == 0 { usize::MAX } else { count };
        let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
        for captures in self.matches(text)?.into_iter().take(limit) {
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(&text[copied..whole.start()]);
            expand(&mut out, with, &captures);
            copied = whole.end();
        }
        out.push_str(&text[copied..]);
        Ok(out)
    }

    /// Every match as Python 3.7 and later find them, from left to right, none of which overlap: an empty one may
    /// follow right after another.
    fn matches<'t>(&self, text: &'t str) -> Result<Vec<Captures<'t, str>>, Box<fancy_regex::Error>> {
        let (mut found, mut place, mut advance) = (Vec::new(), 0, false);
        while place <= text.len() {
            let Some(captures) = self.next(text, place, advance)? else { break };
            let Some(whole) = captures.get(0) else { break };
            advance = whole.start() == whole.end();
            place = whole.end();
            found.push(captures);
        }
        Ok(found)
    }

    /// The first match from `place` on; with `advance`, not an empty one at `place` itself.
    fn next<'t>(
        &self,
        text: &'t str,
        place: usize,
        advance: bool,
    ) -> Result<Option<Captures<'t, str>>, Box<fancy_regex::Error>> {
        if !advance {
            return Ok(self.any.captures_from_pos(text, place)?);
        }
        let here = self.not_empty.as_ref().map(|regex| regex.captures_from_pos(text, place)).transpose()?.flatten();
        let begins_here = |captures: &Captures<'t, str>| captures.get(0).is_some_and(|whole| whole.start() == place);
        if let Some(captures) = here.filter(begins_here) {
            return Ok(Some(captures));
        }
        match text[place..].chars().next() {
            Some(next) => Ok(self.any.captures_from_pos(text, place + next.len_utf8())?),
            None => Ok(None),
        }
    }
}

/// Writes a replacement's template: `\1`, `\g<1>`, `\g<name>`, `\n`, `\\`. A group that took no part is empty; an
/// unknown escape stays as it is, where Python raises.
fn expand(out: &mut String, template: &str, captures: &Captures<'_, str>) {
    let group = |number: usize| captures.get(number).map_or("", |found| found.as_str());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let digits = digits.min(2);
            out.push_str(group(after[..digits].parse().unwrap_or(0)));
            rest = &after[digits..];
        } else if let Some((name, after)) = after.strip_prefix("g<").and_then(|after| after.split_once('>')) {
            let named = || captures.name(name).map_or("", |found| found.as_str());
            out.push_str(name.parse().map_or_else(|_| named(), group));
            rest = after;
        } else {
            let mut characters = after.chars();
            match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            }
            rest = characters.as_str();
        }
    }
    out.push_str(rest);
}

/// Whitespace has four more members in Python, `\w` is letters and numbers without marks, `$` and `\Z` mean other
/// places.
fn respell(pattern: &str) -> String {
    const WORD: &str = r"\p{L}\p{N}_";
    const SPACE: &str = r"\s\x1c-\x1f";
    let multi_line = has_flag(pattern, 'm');
    let (mut out, mut in_class) = (String::with_capacity(pattern.len() + 16), false);
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match (characters.next(), in_class) {
                (Some('w'), true) => out.push_str(WORD),
                (Some('w'), false) => out.extend(["[", WORD, "]"]),
                (Some('W'), _) => out.extend(["[^", WORD, "]"]),
                (Some('s'), true) => out.push_str(SPACE),
                (Some('s'), false) => out.extend(["[", SPACE, "]"]),
                (Some('S'), _) => out.extend(["[^", SPACE, "]"]),
                (Some('Z'), false) => out.push_str(r"\z"),
                (Some(other), _) => out.extend(['\\', other]),
                (None, _) => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A `]` in first place is a member.
                if characters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            // Inside a class these mean nothing in Python, and sets of sets in Rust.
            '[' | '&' | '~' => out.extend(if in_class { vec!['\\', c] } else { vec![c] }),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '$' if !in_class && !multi_line => out.push_str(r"(?=\n?\z)"),
            other => out.push(other),
        }
    }
    out
}

/// Whether the pattern begins with flags, `(?im)`, and this is one.
fn has_flag(pattern: &str, flag: char) -> bool {
    pattern
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'))
        .is_some_and(|(flags, _)| flags.chars().all(|c| c.is_ascii_lowercase()) && flags.contains(flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_match_does_not_hide_a_longer_one_at_the_same_place() -> Result<(), Box<fancy_regex::Error>> {
        let found = PythonRegex::new("|a")?.find_all("a")?.into_iter().flatten().flatten().collect::<Vec<_>>();
        assert_eq!(found, ["", "a", ""]); // python3 -c "import re; print(re.findall('|a', 'a'))"
        Ok(())
    }

    #[test]
    fn classes_keep_their_literal_members() -> Result<(), Box<fancy_regex::Error>> {
        assert_eq!(PythonRegex::new(r"[]&&[\w]+")?.replace("x [a&] y", "-", 1)?, "- [a&] y");
        assert_eq!(PythonRegex::new(r"[$.]")?.replace("$1.5", "", 0)?, "15");
        Ok(())
    }

    #[test]
    fn a_pattern_that_gives_up_is_an_error_and_not_an_absence() -> Result<(), Box<fancy_regex::Error>> {
        let (pattern, text) = (PythonRegex::new("(a|b|ab)*(?>c)")?, "ab".repeat(40));
        assert!(pattern.find_all(&text).is_err());
        assert!(pattern.replace(&text, "", 0).is_err());
        Ok(())
    }
}
