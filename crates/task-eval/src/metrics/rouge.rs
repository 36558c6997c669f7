//! `rouge1`, `rouge2`, `rougeL`, `rougeLsum`: ROUGE (Lin, *ROUGE: a package for automatic evaluation of summaries*,
//! 2004), the F-measure.
//!
//! ```text
//! F = 2 P R / (P + R)     P: what answer and gold share / what the answer has; R: the same / what the gold has
//! ```
//!
//! | metric | what is shared |
//! |---|---|
//! | `rouge1`, `rouge2` | words, pairs of words, as often as both have them |
//! | `rougeL` | the longest common subsequence of words |
//! | `rougeLsum` | line by line of the gold, the union of its subsequences with the answer's lines |
//!
//! From 0 to 1; more is better; of several golds the one that is reached best. The numbers of the package
//! `rouge-score` 0.1.2: words are runs of ASCII letters and digits in lower case, as stems with `use_stemmer`, if
//! longer than three. The task's number is the mean (Hugging Face's `evaluate` has the middle of a bootstrap, which is
//! the mean but for chance).

use tailor_registry::{Entry, Parameter, Settings};

use super::corpus::counted;
use super::porter::stem;
use super::{AnswerKind, Metric, Observation, ObservationKind, Observer};
use crate::error::SetupError;

/// A text as ROUGE sees it.
struct Summary {
    /// The words of each line that is not empty.
    lines: Vec<Vec<String>>,
    /// All words.
    words: Vec<String>,
}

/// What P and R are shares of.
struct Shared {
    /// Of both.
    both: usize,
    /// Of the answer.
    answer: usize,
    /// Of the gold.
    gold: usize,
}

/// One row for each way to count what is shared.
#[derive(Debug)]
pub(super) struct Rouge {
    pub name: &'static str,
    pub summary: &'static str,
    shared: fn(&Summary, &Summary) -> Shared,
}

/// The keys that a task file may have beside the metric's name.
const PARAMETERS: &[Parameter] =
    &[Parameter::flag("use_stemmer", false, "Words longer than three letters are stemmed.")];

impl Entry for Rouge {
    fn name(&self) -> &str {
        self.name
    }

    fn summary(&self) -> &str {
        self.summary
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

pub(super) const ROUGE_1: Rouge = Rouge {
    name: "rouge1",
    summary: "The F-measure of the words that an answer shares with a right one, from 0 to 1.",
    shared: |answer, gold| ngrams(answer, gold, 1),
};

pub(super) const ROUGE_2: Rouge =
    Rouge { name: "rouge2", summary: "As rouge1, of pairs of words.", shared: |answer, gold| ngrams(answer, gold, 2) };

pub(super) const ROUGE_L: Rouge =
    Rouge { name: "rougeL", summary: "As rouge1, of the longest common subsequence.", shared: subsequence };

pub(super) const ROUGE_L_SUM: Rouge =
    Rouge { name: "rougeLsum", summary: "As rougeL, line by line of the right answer.", shared: by_lines };

impl Metric for Rouge {
    fn observes(&self) -> &[(AnswerKind, ObservationKind)] {
        &[(AnswerKind::Text, ObservationKind::Number)]
    }

    fn observer(&self, settings: &Settings) -> Result<Observer, SetupError> {
        let (shared, stems) = (self.shared, settings.flag("use_stemmer")?);
        Ok(Box::new(move |answers| {
            let (answer, golds) = answers.text()?;
            let answer = Summary::new(answer, stems);
            let of = |gold: &String| f_measure(&shared(&answer, &Summary::new(gold, stems)));
            Ok(Observation::Number(golds.iter().map(of).fold(0.0, f64::max)))
        }))
    }
}

impl Summary {
    fn new(text: &str, stems: bool) -> Self {
        let lines = text.split('\n').filter(|line| !line.is_empty()).map(|line| words(line, stems)).collect();
        Self { lines, words: words(text, stems) }
    }
}

/// Runs of ASCII letters and digits, in lower case.
fn words(text: &str, stems: bool) -> Vec<String> {
    let lower = text.to_lowercase();
    let runs = lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|run| !run.is_empty());
    runs.map(|run| if stems && run.len() > 3 { stem(run) } else { run.to_owned() }).collect()
}

/// 0 where nothing is shared.
fn f_measure(shared: &Shared) -> f64 {
    let share = |of: usize| shared.both as f64 / of.max(1) as f64;
    let (precision, recall) = (share(shared.answer), share(shared.gold));
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

/// Runs of `order` words.
fn ngrams(answer: &Summary, gold: &Summary, order: usize) -> Shared {
    let [in_answer, in_gold] = [answer, gold].map(|text| counted(text.words.windows(order)));
    let both = in_gold.iter().map(|(run, &count)| count.min(in_answer.get(run).copied().unwrap_or(0))).sum();
    Shared { both, answer: in_answer.values().sum(), gold: in_gold.values().sum() }
}

/// The longest common subsequence. Cost: the product of the lengths.
fn subsequence(answer: &Summary, gold: &Summary) -> Shared {
    let table = lengths(&gold.words, &answer.words);
    let both = table.last().and_then(|row| row.last()).copied().unwrap_or(0);
    Shared { both, answer: answer.words.len(), gold: gold.words.len() }
}

/// For each line of the gold the words that are in a longest common subsequence with some line of the answer; each
/// counts as often as both texts have it.
fn by_lines(answer: &Summary, gold: &Summary) -> Shared {
    let all = |text: &Summary| counted(text.lines.iter().flatten().cloned());
    let (mut left_answer, mut left_gold) = (all(answer), all(gold));
    let mut take = |word: &String| match (left_answer.get_mut(word), left_gold.get_mut(word)) {
        (Some(of_answer @ 1..), Some(of_gold @ 1..)) => {
            *of_answer -= 1;
            *of_gold -= 1;
            true
        }
        _ => false,
    };
    let mut both = 0;
    for line in &gold.lines {
        let mut in_some = vec![false; line.len()];
        for other in &answer.lines {
            places(line, other).into_iter().for_each(|place| in_some[place] = true);
        }
        both += line.iter().zip(in_some).filter(|(word, is_in)| *is_in && take(word)).count();
    }
    let count = |text: &Summary| text.lines.iter().map(Vec::len).sum();
    Shared { both, answer: count(answer), gold: count(gold) }
}

/// The lengths of the longest common subsequences of all beginnings, `[gold + 1][answer + 1]`.
fn lengths(gold: &[String], answer: &[String]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; answer.len() + 1]; gold.len() + 1];
    for (i, word) in gold.iter().enumerate() {
        for (j, other) in answer.iter().enumerate() {
            table[i + 1][j + 1] = if word == other { table[i][j] + 1 } else { table[i][j + 1].max(table[i + 1][j]) };
        }
    }
    table
}

/// The places in the gold of one of the longest common subsequences: the one that the package finds, back from the end.
fn places(gold: &[String], answer: &[String]) -> Vec<usize> {
    let table = lengths(gold, answer);
    let (mut i, mut j, mut places) = (gold.len(), answer.len(), Vec::new());
    while i > 0 && j > 0 {
        if gold[i - 1] == answer[j - 1] {
            (i, j) = (i - 1, j - 1);
            places.push(i);
        } else if table[i][j - 1] > table[i - 1][j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Answers;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    const ALL: [Rouge; 4] = [ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_L_SUM];

    fn score(metric: &Rouge, stems: bool, answer: &str, golds: &[String]) -> Result<f64, Box<dyn std::error::Error>> {
        let given = Map::from_iter([("use_stemmer".to_owned(), Value::from(stems))]);
        let settings = Settings::check("rouge".to_owned(), PARAMETERS, &given)?;
        Ok(metric.observer(&settings)?(&Answers::Text { answer, golds, passed: &[] })?.value())
    }

    /// `tests/golden/rouge/cases.json`: the package's F-measures, with one gold or several, with stems or without.
    #[test]
    fn scores_are_those_of_rouge_score() -> Result<(), Box<dyn std::error::Error>> {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/golden/rouge/cases.json"))?;
        assert!(cases.len() >= 100);
        for (place, case) in cases.iter().enumerate() {
            let golds: Vec<String> = serde_json::from_value(case["golds"].clone())?;
            let stems = case["use_stemmer"].as_bool().ok_or("no flag")?;
            let answer = case["answer"].as_str().ok_or("no answer")?;
            for metric in &ALL {
                let (ours, theirs) =
                    (score(metric, stems, answer, &golds)?, case[metric.name].as_f64().ok_or("no score")?);
                assert!((ours - theirs).abs() <= 1e-12, "{} of case {place}: {ours} for {theirs}", metric.name);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_text_agrees_with_itself_and_a_swap_changes_nothing(
            a in "[a-c ]{0,12}(\n[a-c ]{0,8})?", b in "[a-c ]{0,12}(\n[a-c ]{0,8})?", stems: bool,
        ) {
            let ours = |metric: &Rouge, a: &str, b: &str| score(metric, stems, a, &[b.to_owned()]).unwrap_or(f64::NAN);
            for metric in [ROUGE_1, ROUGE_2, ROUGE_L] {
                let found = ours(&metric, &a, &b);
                prop_assert!((0.0..=1.0).contains(&found));
                prop_assert!((found - ours(&metric, &b, &a)).abs() < 1e-12, "{}", metric.name);
            }
            prop_assert!((0.0..=1.0).contains(&ours(&ROUGE_L_SUM, &a, &b)));
            let has_words = !words(&a, stems).is_empty();
            for metric in [ROUGE_1, ROUGE_L, ROUGE_L_SUM] {
                prop_assert_eq!(ours(&metric, &a, &a), f64::from(u8::from(has_words)));
            }
        }

        /// A common subsequence is one of the words in common, and of one line both variants of ROUGE-L are the same.
        #[test]
        fn longer_agreements_are_rarer(a in "[a-c ]{0,16}", b in "[a-c ]{0,16}") {
            let ours = |metric: &Rouge| score(metric, false, &a, std::slice::from_ref(&b)).unwrap_or(f64::NAN);
            prop_assert!(ours(&ROUGE_L) <= ours(&ROUGE_1) + 1e-12);
            prop_assert!((ours(&ROUGE_L) - ours(&ROUGE_L_SUM)).abs() < 1e-12);
        }
    }
}
