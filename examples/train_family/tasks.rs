//! The four skills as text that a person can read, each an endless source of multiple-choice questions.
//!
//! | skill | question | answer |
//! |---|---|---|
//! | arithmetic | `8 - 3 + 4 - 7 + 1 =` | `3` |
//! | lists | `sort 4 9 1 7 4 0 :` | `0 1 4 4 7 9` |
//! | counting | `cat dog cat owl cat dog ; dog` | `2` |
//! | brackets | `close ( [ { :` | `} ] )` |

use std::collections::HashSet;

use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt, SeedableRng};

/// A skill that a model of the family may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skill {
    Arithmetic,
    Lists,
    Counting,
    Brackets,
}

/// Which documents a question belongs to, decided by its text: so that no question stands in two splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// A question with four answers, one of them right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub prompt: String,
    pub choices: Vec<String>,
    pub answer: usize,
    /// Further questions on the same text with their answers, which follow in training.
    pub rest: Vec<(String, String)>,
}

pub const WORDS: [&str; 12] = ["cat", "dog", "owl", "key", "map", "cup", "bee", "fox", "hat", "pen", "jar", "yak"];
pub const LETTERS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
pub const COMMANDS: [&str; 5] = ["sort", "reverse", "max", "min", "close"];
pub const PAIRS: [(&str, &str); 4] = [("(", ")"), ("[", "]"), ("{", "}"), ("<", ">")];
pub const SIGNS: [&str; 7] = ["+", "-", "=", ":", ",", ";", "."];

impl Skill {
    pub const ALL: [Self; 4] = [Self::Arithmetic, Self::Lists, Self::Counting, Self::Brackets];

    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Lists => "lists",
            Self::Counting => "counting",
            Self::Brackets => "brackets",
        }
    }

    /// A question of this skill that belongs to `split`.
    pub fn question(self, split: Split, random: &mut impl Rng) -> Question {
        loop {
            let mut rest = Vec::new();
            let (prompt, right, wrong) = match self {
                Self::Arithmetic => arithmetic(random),
                Self::Lists => lists(random),
                Self::Counting => {
                    let (prompt, right, wrong, others) = counting(random);
                    rest = others;
                    (prompt, right, wrong)
                }
                Self::Brackets => brackets(random),
            };
            if split_of(&prompt) == split {
                return Question { rest, ..shuffled(prompt, right, wrong, random) };
            }
        }
    }
}

/// `count` questions of `skill` with prompts that differ, in random order.
pub fn distinct(skill: Skill, split: Split, count: usize, seed: u64) -> Vec<Question> {
    let mut random = ChaCha8Rng::seed_from_u64(seed + 1000);
    let mut seen = HashSet::new();
    let mut questions: Vec<Question> = std::iter::repeat_with(|| skill.question(split, &mut random))
        .filter(|question| seen.insert(question.prompt.clone()))
        .take(count)
        .collect();
    // Short questions run out first: without this the later ones would be the harder ones.
    questions.shuffle(&mut ChaCha8Rng::seed_from_u64(seed + 2000));
    questions
}

/// One question in ten is for validation, two are for the test, by an FNV-1a hash of the prompt.
fn split_of(prompt: &str) -> Split {
    let hash = prompt
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    match (hash >> 20) % 10 {
        0 => Split::Validation,
        1 | 2 => Split::Test,
        _ => Split::Train,
    }
}

fn shuffled(prompt: String, right: String, wrong: [String; 3], random: &mut impl Rng) -> Question {
    let mut choices: Vec<String> = wrong.into_iter().chain([right.clone()]).collect();
    choices.shuffle(random);
    let answer = choices.iter().position(|choice| *choice == right).unwrap_or(0);
    Question { prompt, choices, answer, rest: Vec::new() }
}

/// Three of `candidates` that differ from `right` and from each other; `fallback(i)` fills up.
fn three(
    right: &str,
    candidates: impl IntoIterator<Item = String>,
    mut fallback: impl FnMut() -> String,
) -> [String; 3] {
    let mut wrong: Vec<String> = Vec::new();
    let mut candidates = candidates.into_iter();
    while wrong.len() < 3 {
        let next = candidates.next().unwrap_or_else(&mut fallback);
        if next != right && !wrong.contains(&next) {
            wrong.push(next);
        }
    }
    let [a, b, c] = [0, 1, 2].map(|i| wrong[i].clone());
    [a, b, c]
}

fn arithmetic(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let (text, total) = loop {
        let first = random.random_range(1..=9_i32);
        let (mut text, mut total) = (first.to_string(), first);
        for _ in 0..random.random_range(2..=6) {
            let (digit, minus) = (random.random_range(1..=9), random.random_bool(0.5));
            text += &format!(" {} {digit}", if minus { '-' } else { '+' });
            total += if minus { -digit } else { digit };
        }
        if (0..=9).contains(&total) {
            break (text, total);
        }
    };
    let mut near: Vec<i32> =
        [1, -1, 2, -2, 3, -3].map(|d| total + d).into_iter().filter(|x| (0..=9).contains(x)).collect();
    near.shuffle(random);
    let right = total.to_string();
    let wrong = three(&right, near.iter().map(i32::to_string), || random.random_range(0..=9).to_string());
    (format!("{text} ="), right, wrong)
}

fn lists(random: &mut impl Rng) -> (String, String, [String; 3]) {
    match random.random_range(0..4) {
        0 => reversed(random),
        1 => extreme(random),
        _ => sorted(random),
    }
}

/// Wrong answers have two letters swapped, or a letter that was not in the list.
fn reversed(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let mut letters = LETTERS;
    letters.shuffle(random);
    let (items, strangers) = letters.split_at(random.random_range(4..=8));
    let answer: Vec<&str> = items.iter().rev().copied().collect();
    let right = answer.join(" ");
    let wrong = three(&right, [], || {
        let mut wrong = answer.clone();
        let i = random.random_range(0..wrong.len());
        if random.random_bool(0.5) {
            wrong.swap(i, random.random_range(0..answer.len()));
        } else {
            wrong[i] = strangers[random.random_range(0..strangers.len())];
        }
        wrong.join(" ")
    });
    (format!("reverse {} :", items.join(" ")), right, wrong)
}

fn extreme(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let items = digits(random);
    let (command, right) = if random.random_bool(0.5) {
        ("max", items.iter().max().unwrap_or(&0))
    } else {
        ("min", items.iter().min().unwrap_or(&0))
    };
    let right = right.to_string();
    let wrong = three(&right, items.iter().map(u8::to_string), || random.random_range(0..10).to_string());
    (format!("{command} {} :", spaced(&items)), right, wrong)
}

/// Wrong answers are sorted too, with one digit that is up to three too high or too low.
fn sorted(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let items = digits(random);
    let mut answer = items.clone();
    answer.sort_unstable();
    let right = spaced(&answer);
    let wrong = three(&right, [], || {
        let mut wrong = answer.clone();
        let i = random.random_range(0..wrong.len());
        let (near, up) = (random.random_range(1..=3), random.random_bool(0.5));
        wrong[i] = if up { (wrong[i] + near).min(9) } else { wrong[i].saturating_sub(near) };
        wrong.sort_unstable();
        spaced(&wrong)
    });
    (format!("sort {} :", spaced(&items)), right, wrong)
}

fn digits(random: &mut impl Rng) -> Vec<u8> {
    (0..random.random_range(4..=8)).map(|_| random.random_range(0..10)).collect()
}

fn spaced(digits: &[u8]) -> String {
    digits.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
}

/// How often a word was said. The other words are asked for in the rest.
fn counting(random: &mut impl Rng) -> (String, String, [String; 3], Vec<(String, String)>) {
    let kinds = random.random_range(2..=5);
    let words: Vec<&str> = WORDS.sample(random, kinds).copied().collect();
    let number = |said: &[&str], word: &str| said.iter().filter(|said| **said == word).count();
    // The answer is one digit.
    let said = loop {
        let length = random.random_range(6..=12);
        let said: Vec<&str> = (0..length).map(|_| words[random.random_range(0..kinds)]).collect();
        if words.iter().all(|word| number(&said, word) <= 9) {
            break said;
        }
    };
    let count = |word: &str| number(&said, word);
    let right = count(words[0]);
    let mut near: Vec<usize> = (right.saturating_sub(3)..=(right + 3).min(9)).collect();
    near.shuffle(random);
    let right = right.to_string();
    let wrong = three(&right, near.iter().map(usize::to_string), String::new);
    let rest = words[1..].iter().map(|word| (format!(", {word}"), count(word).to_string())).collect();
    (format!("{} ; {}", said.join(" "), words[0]), right, wrong, rest)
}

fn brackets(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let (text, mut pending) = loop {
        let (mut text, mut pending): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for _ in 0..random.random_range(6..=24) {
            let closed = if random.random_bool(0.37) { pending.pop() } else { None };
            text.push(closed.unwrap_or_else(|| {
                let (left, right) = PAIRS[random.random_range(0..PAIRS.len())];
                pending.push(right);
                left
            }));
        }
        if (3..=8).contains(&pending.len()) {
            break (text, pending);
        }
    };
    pending.reverse();
    let right = pending.join(" ");
    let wrong = three(&right, [], || {
        let mut wrong = pending.clone();
        let i = random.random_range(0..wrong.len());
        wrong[i] = PAIRS[random.random_range(0..PAIRS.len())].1;
        wrong.join(" ")
    });
    (format!("close {} :", text.join(" ")), right, wrong)
}
