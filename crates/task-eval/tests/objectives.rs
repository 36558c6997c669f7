//! Objectives without labels: the laws of divergence and perplexity, and torch's numbers
//! (`tests/golden/divergence/make.py`).

#[path = "support/bigram.rs"]
mod bigram;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigram::Bigram;
use proptest::prelude::*;
use serde_json::Value;
use task_eval::{
    Calibration, LanguageModel, LogitsModel, ModelError, ObjectiveError, Score, ScoreRequest, Teacher,
    negative_log_likelihoods, negative_log_likelihoods_of, perplexity,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const VOCABULARY: usize = 24;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path)
}

fn calibration(texts: &[&[u32]]) -> Result<Calibration, ObjectiveError> {
    Calibration::new(texts.iter().map(|text| Arc::from(*text)).collect())
}

fn close(what: &str, ours: &[f64], theirs: &[f64], relative: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (place, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let difference = (ours - theirs).abs() / theirs.abs();
        assert!(difference <= relative, "{what}, text {place}: {ours} instead of {theirs}");
    }
}

/// To the digits of an f32, which the ln p in a teacher are.
#[test]
fn divergences_and_likelihoods_are_torchs() -> Outcome {
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(golden("divergence/cases.json"))?)?;
    for (place, case) in cases.as_array().ok_or("no cases")?.iter().enumerate() {
        let model = |key: &str| -> Outcome<Bigram> { Ok(Bigram { after: serde_json::from_value(case[key].clone())? }) };
        let texts: Vec<Arc<[u32]>> = serde_json::from_value(case["texts"].clone())?;
        let (mut teacher, mut student, texts) = (model("teacher")?, model("student")?, Calibration::new(texts)?);
        for (k, expected) in case["top"].as_object().ok_or("no top")? {
            let expected: Vec<f64> = serde_json::from_value(expected.clone())?;
            let ours = Teacher::of(&mut teacher, &texts, k.parse()?)?.divergence(&mut student)?;
            close(&format!("case {place}, the {k} most likely"), &ours, &expected, 2e-6);
        }
        let full: Vec<f64> = serde_json::from_value(case["full"].clone())?;
        let ours = Teacher::of(&mut teacher, &texts, usize::MAX)?.divergence(&mut student)?;
        close(&format!("case {place}, all tokens"), &ours, &full, 2e-6);
        let nll: Vec<f64> = serde_json::from_value(case["nll"].clone())?;
        close(&format!("case {place}, likelihood"), &negative_log_likelihoods(&mut student, &texts)?, &nll, 1e-12);
    }
    Ok(())
}

/// KL(p || q) of one position in the plainest way, in f64.
fn whole_divergence(teacher: &[f32], student: &[f32]) -> f64 {
    let softmax = |logits: &[f32]| -> Vec<f64> {
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        logits.iter().map(|logit| f64::from(*logit).exp() / sum).collect()
    };
    softmax(teacher).iter().zip(softmax(student)).map(|(p, q)| p * (p / q).ln()).sum()
}

fn texts() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..VOCABULARY as u32, 2..9), 1..5)
}

fn from_tokens(texts: &[Vec<u32>]) -> Result<Calibration, ObjectiveError> {
    Calibration::new(texts.iter().map(|text| text.as_slice().into()).collect())
}

fn failed(error: ObjectiveError) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

proptest! {
    #[test]
    fn a_divergence_is_never_negative_and_grows_with_k_up_to_the_whole(texts in texts(), seeds: (u64, u64)) {
        let (mut teacher, mut student) = (Bigram::random(VOCABULARY, seeds.0), Bigram::random(VOCABULARY, seeds.1));
        let calibration = from_tokens(&texts).map_err(failed)?;
        let mut before = vec![0.0; texts.len()];
        for k in 1..=VOCABULARY {
            let taught = Teacher::of(&mut teacher, &calibration, k).map_err(failed)?;
            let values = taught.divergence(&mut student).map_err(failed)?;
            for (value, before) in values.iter().zip(&before) {
                prop_assert!(*value >= before - 1e-6, "{value} at k = {k}, {before} below");
            }
            before = values;
        }
        for (value, text) in before.iter().zip(&texts) {
            let after = |model: &Bigram, token: u32| model.after[token as usize].clone();
            let rows = text.iter().map(|&token| whole_divergence(&after(&teacher, token), &after(&student, token)));
            let whole = rows.sum::<f64>() / text.len() as f64;
            prop_assert!((value - whole).abs() <= 1e-6 * whole.max(1.0), "{value} instead of {whole}");
        }
    }

    #[test]
    fn a_model_does_not_diverge_from_itself(texts in texts(), seed: u64, k in 1..=VOCABULARY) {
        let mut model = Bigram::random(VOCABULARY, seed);
        let taught = Teacher::of(&mut model, &from_tokens(&texts).map_err(failed)?, k).map_err(failed)?;
        for value in taught.divergence(&mut model).map_err(failed)? {
            prop_assert!((0.0..1e-12).contains(&value), "{value:e}");
        }
    }

    #[test]
    fn a_constant_added_to_logits_changes_nothing(
        texts in texts(), seed: u64, k in 1..=VOCABULARY, shift in -500..500_i16,
    ) {
        // Logits in sixteenths and a whole number: their sum is exact.
        let shifted = |model: &Bigram| {
            let row = |row: &Vec<f32>| row.iter().map(|logit| logit + f32::from(shift)).collect();
            Bigram { after: model.after.iter().map(row).collect() }
        };
        let (mut teacher, mut student) = (Bigram::random(VOCABULARY, seed), Bigram::random(VOCABULARY, !seed));
        let calibration = from_tokens(&texts).map_err(failed)?;
        let plain = Teacher::of(&mut teacher, &calibration, k).map_err(failed)?;
        let moved = Teacher::of(&mut shifted(&teacher), &calibration, k).map_err(failed)?;
        let values = plain.divergence(&mut student).map_err(failed)?;
        for (value, other) in values.iter().zip(moved.divergence(&mut shifted(&student)).map_err(failed)?) {
            prop_assert!((value - other).abs() <= 1e-6 * value.max(1.0), "{value} and {other}");
        }
    }

    #[test]
    fn some_texts_have_the_values_that_they_have_among_all(
        texts in texts(), seed: u64, places in prop::collection::vec(0..4_usize, 0..6),
    ) {
        let (mut teacher, mut student) = (Bigram::random(VOCABULARY, seed), Bigram::random(VOCABULARY, !seed));
        let calibration = from_tokens(&texts).map_err(failed)?;
        let taught = Teacher::of(&mut teacher, &calibration, 5).map_err(failed)?;
        let places: Vec<usize> = places.into_iter().filter(|&place| place < texts.len()).collect();
        let of = |all: Vec<f64>| -> Vec<f64> { places.iter().map(|&place| all[place]).collect() };
        let all = of(taught.divergence(&mut student).map_err(failed)?);
        prop_assert_eq!(taught.divergence_of(&mut student, &places).map_err(failed)?, all);
        let all = of(negative_log_likelihoods(&mut student, &calibration).map_err(failed)?);
        prop_assert_eq!(negative_log_likelihoods_of(&mut student, &calibration, &places).map_err(failed)?, all);
    }

    #[test]
    fn the_perplexity_of_cut_texts_is_that_of_all_their_tokens(texts in texts(), seed: u64) {
        let mut model = Bigram::random(VOCABULARY, seed);
        let calibration = from_tokens(&texts).map_err(failed)?;
        let values = negative_log_likelihoods(&mut model, &calibration).map_err(failed)?;
        let ln_p = |pair: &[u32]| {
            let row = &model.after[pair[0] as usize];
            f64::from(row[pair[1] as usize]) - row.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln()
        };
        let each: Vec<f64> = texts.iter().flat_map(|text| text.windows(2)).map(ln_p).collect();
        let expected = (-each.iter().sum::<f64>() / each.len() as f64).exp();
        let found = perplexity(&calibration, &values).map_err(failed)?;
        prop_assert!((found / expected - 1.0).abs() < 1e-12, "{found} instead of {expected}");
    }
}

#[test]
fn a_perplexity_by_hand() -> Outcome {
    // After 0 come 0 and 1 with 1/4 and 3/4; after 1 with 1/2 each.
    let mut model = Bigram { after: vec![vec![0.25_f32.ln(), 0.75_f32.ln()], vec![0.0; 2]] };
    let texts = calibration(&[&[0, 0, 1, 1], &[1, 0]])?;
    let each = negative_log_likelihoods(&mut model, &texts)?;
    let expected = [-(0.25_f64 * 0.75 * 0.5).ln() / 3.0, -(0.5_f64).ln()];
    close("nats per token", &each, &expected, 1e-7);
    let found = perplexity(&texts, &each)?;
    assert!(
        (found - (0.25_f64 * 0.75 * 0.5 * 0.5).powf(-0.25)).abs() < 1e-6,
        "the fourth root over four tokens: {found}"
    );
    Ok(())
}

#[test]
fn a_teacher_that_was_stored_is_the_same() -> Outcome {
    let mut model = Bigram::random(VOCABULARY, 3);
    // Nothing is left beside one token, and one token is impossible.
    model.after[2] = vec![f32::NEG_INFINITY; VOCABULARY];
    model.after[2][7] = 1.0;
    model.after[4][0] = f32::NEG_INFINITY;
    let texts = calibration(&[&[1, 2, 3], &[4]])?;
    for k in [1, 5, VOCABULARY] {
        let teacher = Teacher::of(&mut model, &texts, k)?;
        let stored = serde_json::to_string(&teacher)?;
        assert_eq!(serde_json::from_str::<Teacher>(&stored)?, teacher);
    }
    Ok(())
}

#[test]
fn a_stored_teacher_that_was_changed_is_refused() -> Outcome {
    let teacher = Teacher::of(&mut Bigram::random(VOCABULARY, 3), &calibration(&[&[1, 2, 3], &[4, 1]])?, 4)?;
    let stored = serde_json::to_value(&teacher)?;
    let changes: [(&str, Value); 4] = [
        ("/texts/1", serde_json::json!([4])),
        ("/predictions/1/0/kept/3/0", serde_json::json!(VOCABULARY)),
        ("/predictions/1/0/kept/0/0", serde_json::json!(23)),
        ("/predictions/1", serde_json::json!([])),
    ];
    for (place, value) in changes {
        let mut changed = stored.clone();
        *changed.pointer_mut(place).ok_or(place)? = value;
        let error = serde_json::from_value::<Teacher>(changed).err().ok_or(place)?.to_string();
        assert!(error.contains("the stored teacher is damaged: its text 1"), "{place}: {error}");
    }
    let error = serde_json::from_str::<Calibration>("[[1], []]").err().ok_or("an empty text")?.to_string();
    assert!(error.contains("calibration text 1 is empty"), "{error}");
    Ok(())
}

/// Answers as a bigram, but for what `spoil` does to its readings.
struct Spoilt<F> {
    model: Bigram,
    spoil: F,
}

type Read<'a> = &'a mut dyn FnMut(usize, usize, &[f32]);

impl<F: FnMut(usize, usize, &[f32], Read<'_>)> LogitsModel for Spoilt<F> {
    fn read_logits(&mut self, texts: &[Arc<[u32]>], read: Read<'_>) -> Result<(), ModelError> {
        let Self { model, spoil } = self;
        model.read_logits(texts, &mut |text, position, logits| spoil(text, position, logits, read))
    }
}

impl<F> LanguageModel for Spoilt<F> {
    fn max_length(&self) -> usize {
        3
    }

    fn score(&mut self, _: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        Ok(Vec::new())
    }
}

/// The complaint about a student whose readings are spoilt, on text 1 of two.
fn complaint(spoil: impl FnMut(usize, usize, &[f32], Read<'_>)) -> Outcome<String> {
    let model = Bigram::random(VOCABULARY, 1);
    let teacher = Teacher::of(&mut model.clone(), &calibration(&[&[1], &[2, 3]])?, 2)?;
    let error = teacher.divergence_of(&mut Spoilt { model, spoil }, &[1]).err().ok_or("no complaint")?;
    Ok(error.to_string())
}

#[test]
fn a_model_that_breaks_the_laws_is_told_where() -> Outcome {
    let bad = |value: f32| {
        move |text, position, logits: &[f32], read: Read<'_>| {
            let mut logits = logits.to_vec();
            logits[5] = value;
            read(text, position, &logits);
        }
    };
    for value in [f32::NAN, f32::INFINITY] {
        let found = complaint(bad(value))?;
        assert!(found.starts_with("calibration text 1, position 1: the model's logits are no distribution"), "{found}");
    }
    let found = complaint(|text, position, logits, read| read(text, position, &logits[1..]))?;
    assert!(found.contains("gives 23 logits where 24 are expected"), "{found}");
    let found = complaint(|text, position, logits, read| (0..2).for_each(|_| read(text, position, logits)))?;
    assert!(found.starts_with("the model reads again position 1 of text 0 of the call"), "{found}");
    let found = complaint(|_, _, _, _| ())?;
    assert!(found.starts_with("the model does not read position 0 of text 0"), "{found}");
    let found = complaint(|text, position, logits, read| read(text, position + 1, logits))?;
    assert!(found.starts_with("the model reads an unknown place, position 2 of text 0"), "{found}");
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_refused() -> Outcome {
    let mut model = Bigram::random(VOCABULARY, 1);
    let long = calibration(&[&[1], &[1; 97]])?;
    let complaints = [
        Teacher::of(&mut model, &long, 4).err().map(|error| error.to_string()),
        Teacher::of(&mut model, &calibration(&[&[1]])?, 0).err().map(|error| error.to_string()),
        Teacher::of(&mut model, &calibration(&[&[99]])?, 1).err().map(|error| error.to_string()),
        negative_log_likelihoods(&mut model, &calibration(&[&[1, 2], &[1]])?).err().map(|error| error.to_string()),
        negative_log_likelihoods_of(&mut model, &long, &[2]).err().map(|error| error.to_string()),
        perplexity(&long, &[1.0]).err().map(|error| error.to_string()),
        Calibration::new(Vec::new()).err().map(|error| error.to_string()),
    ];
    let parts = [
        "text 1 has 97 tokens, but the model sees 96; make the calibration with",
        "keeps 0 tokens",
        "the model failed: token outside the vocabulary",
        "text 1 has one token alone",
        "there are 2 calibration texts, so there is no text 2",
        "1 values for 2 calibration texts",
        "no calibration text; give at least one",
    ];
    for (complaint, part) in complaints.into_iter().zip(parts) {
        let complaint = complaint.ok_or(part)?;
        assert!(complaint.contains(part), "{complaint}");
    }
    let mut silent = Spoilt { model, spoil: |_: usize, _: usize, _: &[f32], _: Read<'_>| () };
    let error = negative_log_likelihoods(&mut silent, &calibration(&[&[1, 2]])?).err().ok_or("no complaint")?;
    assert!(matches!(error, ObjectiveError::WrongCount { asked: 1, answered: 0 }), "{error}");
    Ok(())
}
