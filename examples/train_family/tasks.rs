//! The four skills as text that a person can read, each an endless source of multiple-choice questions.
//!
//! | skill | question | answer |
//! |---|---|---|
//! | arithmetic | `47 + 38 =` | `85` |
//! | lists | `sort 4 9 1 7 :` | `1 4 7 9` |
//! | recall | `cat 4 , dog 7 , sun 2 , owl 9 ; dog` | `7` |
//! | brackets | `close ( [ { :` | `} ] )` |

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};

/// A skill that a model of the family may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skill {
    Arithmetic,
    Lists,
    Recall,
    Brackets,
}

/// Which documents a question belongs to, decided by its text: so that no question stands in two splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Train,
    Validation,
    Test,
}

/// A question with four answers, one of them right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub prompt: String,
    pub choices: Vec<String>,
    pub answer: usize,
}

pub const WORDS: [&str; 16] =
    ["cat", "dog", "sun", "owl", "key", "map", "cup", "bee", "fox", "hat", "pen", "jar", "log", "net", "ox", "yak"];
pub const LETTERS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
pub const COMMANDS: [&str; 5] = ["sort", "reverse", "max", "min", "close"];
pub const PAIRS: [(&str, &str); 4] = [("(", ")"), ("[", "]"), ("{", "}"), ("<", ">")];
pub const SIGNS: [&str; 7] = ["+", "-", "=", ":", ",", ";", "."];

impl Skill {
    pub const ALL: [Self; 4] = [Self::Arithmetic, Self::Lists, Self::Recall, Self::Brackets];

    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Lists => "lists",
            Self::Recall => "recall",
            Self::Brackets => "brackets",
        }
    }

    /// A question of this skill that belongs to `split`.
    pub fn question(self, split: Split, random: &mut impl Rng) -> Question {
        loop {
            let (prompt, right, wrong) = match self {
                Self::Arithmetic => arithmetic(random),
                Self::Lists => lists(random),
                Self::Recall => recall(random),
                Self::Brackets => brackets(random),
            };
            if split_of(&prompt) == split {
                return shuffled(prompt, right, wrong, random);
            }
        }
    }
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
    Question { prompt, choices, answer }
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
    let a = random.random_range(10..=99_i32);
    // Half of the questions add or subtract one digit only.
    let b = if random.random_bool(0.5) { random.random_range(1..=9) } else { random.random_range(10..=99) };
    let (sign, a, b) = if random.random_bool(0.5) { ('+', a, b) } else { ('-', a.max(b), a.min(b)) };
    let right = if sign == '+' { a + b } else { a - b };
    let mut near: Vec<i32> =
        [1, -1, 2, -2, 10, -10, 11, -9].map(|d| right + d).into_iter().filter(|x| *x >= 0).collect();
    near.shuffle(random);
    let right = right.to_string();
    let wrong = three(&right, near.iter().map(i32::to_string), || random.random_range(0..=198).to_string());
    (format!("{a} {sign} {b} ="), right, wrong)
}

fn lists(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let reverse = random.random_bool(0.25);
    let digits: Vec<String> = (0..10).map(|d| d.to_string()).collect();
    let pool: Vec<String> = if reverse { LETTERS.map(String::from).to_vec() } else { digits };
    let items: Vec<String> = pool.sample(random, 5).cloned().collect();
    let mut sorted = items.clone();
    sorted.sort();
    if !reverse && random.random_bool(0.4) {
        let max = random.random_bool(0.5);
        let (command, right) = if max { ("max", &sorted[4]) } else { ("min", &sorted[0]) };
        let others: Vec<String> = items.iter().filter(|item| *item != right).cloned().collect();
        return (format!("{command} {} :", items.join(" ")), right.clone(), three(right, others, String::new));
    }
    let command = if reverse { "reverse" } else { "sort" };
    let answer: Vec<String> = if reverse { items.iter().rev().cloned().collect() } else { sorted };
    let right = answer.join(" ");
    // Wrong answers look right by themselves: an item that was not in the list, or two items in the wrong order.
    let strangers: Vec<&String> = pool.iter().filter(|item| !items.contains(item)).collect();
    let wrong = three(&right, [], || {
        let mut wrong = answer.clone();
        let i = random.random_range(0..5);
        if reverse && random.random_bool(0.5) {
            wrong.swap(i, random.random_range(0..5));
        } else if let Some(stranger) = strangers.choose(random) {
            wrong[i] = stranger.to_string();
        }
        if !reverse {
            wrong.sort();
        }
        wrong.join(" ")
    });
    (format!("{command} {} :", items.join(" ")), right, wrong)
}

fn recall(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let words: Vec<&str> = WORDS.sample(random, 6).copied().collect();
    let mut values: Vec<u8> = (0..10).collect();
    values.shuffle(random);
    let pairs: Vec<String> = words.iter().zip(&values).map(|(word, value)| format!("{word} {value}")).collect();
    let asked = random.random_range(0..words.len());
    let right = values[asked].to_string();
    let mut others: Vec<String> = values[..words.len()].iter().map(u8::to_string).collect();
    others.shuffle(random);
    (format!("{} ; {}", pairs.join(" , "), words[asked]), right.clone(), three(&right, others, String::new))
}

fn brackets(random: &mut impl Rng) -> (String, String, [String; 3]) {
    let (text, mut pending) = loop {
        let (mut text, mut pending): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for _ in 0..14 {
            let closed = if random.random_bool(0.35) { pending.pop() } else { None };
            text.push(closed.unwrap_or_else(|| {
                let (left, right) = PAIRS[random.random_range(0..PAIRS.len())];
                pending.push(right);
                left
            }));
        }
        if (3..=6).contains(&pending.len()) {
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
