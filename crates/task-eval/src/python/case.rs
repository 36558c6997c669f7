//! `str.lower`, `str.capitalize` and `str.title`, as Python has them: a first letter in title case, which is not
//! always upper case.

/// `text.lower()`
pub(crate) fn lower(text: &str) -> String {
    text.to_lowercase()
}

/// `text.capitalize()`: the first character in title case, all others in lower case.
pub(crate) fn capitalize(text: &str) -> String {
    let Some(first) = text.chars().next() else { return String::new() };
    // A final sigma looks back to the first character, so that is lowered with the others and then replaced.
    let lowered = text.to_lowercase();
    let skipped: usize = first.to_lowercase().map(char::len_utf8).sum();
    title_case(first) + &lowered[skipped..]
}

/// `text.title()`: every character after one that is no letter in title case, all others in lower case.
pub(crate) fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_case(c));
        }
        inside = c.is_alphabetic();
    }
    out
}

/// Unicode's title case of one character: its upper case but for digraphs, Georgian, and Greek with a iota below;
/// where the upper case is several letters (`ß`), only the first of them stays upper.
fn title_case(c: char) -> String {
    let code = u32::from(c);
    let one = match code {
        0x1c4..=0x1c6 => Some(0x1c5),
        0x1c7..=0x1c9 => Some(0x1c8),
        0x1ca..=0x1cc => Some(0x1cb),
        0x1f1..=0x1f3 => Some(0x1f2),
        0x10d0..=0x10fa | 0x10fd..=0x10ff => Some(code),
        0x1f80..=0x1faf => Some(code | 8),
        0x1fb3 | 0x1fbc => Some(0x1fbc),
        0x1fc3 | 0x1fcc => Some(0x1fcc),
        0x1ff3 | 0x1ffc => Some(0x1ffc),
        _ => None,
    };
    if let Some(one) = one.and_then(char::from_u32) {
        return one.into();
    }
    let upper: Vec<char> = c.to_uppercase().collect();
    match upper.as_slice() {
        // `\u{149}` is an apostrophe and an n.
        [first, rest @ ..] if code != 0x149 => {
            let lowered = rest.iter().flat_map(|&c| match c {
                '\u{399}' => vec!['\u{345}'],
                other => other.to_lowercase().collect(),
            });
            std::iter::once(*first).chain(lowered).collect()
        }
        whole => whole.iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// python3 -c "print('ßa'.capitalize())" and so on, Python 3.11.
    #[test]
    fn first_letters_are_in_title_case() {
        for (text, capitalized) in [
            ("", ""),
            ("hELLO World", "Hello world"),
            ("ßA", "Ssa"),
            ("ǆUNGLA", "ǅungla"),
            ("ﬁSH", "Fish"),
            ("ᾳΣ", "ᾼς"),
            ("ΟΔΟΣ", "Οδος"),
            ("ŉA", "ʼNa"),
            ("ᾷX", "Α\u{342}\u{345}x"),
            ("აბ", "აბ"),
            (" x", " x"),
            ("İI", "İi"),
        ] {
            assert_eq!(capitalize(text), capitalized, "{text}");
        }
        assert_eq!(title("they're ǆ-ßX 2nd"), "They'Re ǅ-Ssx 2Nd");
    }
}
