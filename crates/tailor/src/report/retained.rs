//! How far what the search found holds on other documents, and what bridges and refits brought.

use recipe_search::{Candidate, Reference, SearchResult, TestScores};

use super::rows::percent;

/// One line: what the tailored model retains of the best parents on the search documents, on those kept for the
/// confirmation and on the test split, each against the parents on the same documents; ± is a standard error.
///
/// Empty for a result of an earlier version, which does not say the first two.
#[must_use]
pub fn retained_line(result: &SearchResult, test: &TestScores) -> String {
    let Some(retained) = result.retention else { return String::new() };
    let with_error = |share: f64, error: Option<f64>| {
        percent(share) + &error.map_or_else(String::new, |error| format!(" \u{b1} {}", percent(error)))
    };
    let confirm = retained.confirm.map(|share| with_error(share, retained.confirm_error));
    let test_error = test.reference.retention_error(test.delivered());
    format!(
        "Of the best parents: search documents {}, confirm {}, test {}.",
        with_error(retained.search, retained.search_error),
        confirm.unwrap_or_else(|| "not scored".to_owned()),
        with_error(test.reference.retention(test.delivered()), Some(test_error).filter(|error| error.is_finite())),
    )
}

/// One line: how many candidates cannot be told apart from the best one by the search documents, as they fall behind it
/// by no more than the standard error of the documents' paired differences. Empty for a single candidate.
#[must_use]
pub fn indistinct_line(candidates: &[Candidate], reference: &Reference) -> String {
    let retention = |candidate: &Candidate| reference.retention(&candidate.search);
    let best = candidates.iter().max_by(|a, b| retention(a).total_cmp(&retention(b)));
    let Some(best) = best.filter(|_| candidates.len() > 1) else { return String::new() };
    let tied = |candidate: &&Candidate| {
        let (behind, error) = reference.difference(&best.search, &candidate.search);
        candidate.name != best.name && behind <= error
    };
    format!(
        "The search documents cannot tell {} of the other {} candidates from the best of them, {}.",
        candidates.iter().filter(tied).count(),
        candidates.len() - 1,
        best.name
    )
}

/// What a sequential refit brought a candidate on documents that the search has not seen, in points of retention with
/// the standard error of the paired difference, and whether it stays; empty where none was tried.
#[must_use]
pub fn refit_gain(candidate: &Candidate, reference: &Reference) -> String {
    let Some(refit) = &candidate.sequential else { return String::new() };
    let (gain, error) = reference.difference(refit.after.unseen(), refit.before.unseen());
    let stays = if refit.kept { "stays" } else { "left out" };
    format!("{:+.1} ± {:.1} points, {stays}", 100.0 * gain, 100.0 * error)
}

/// What bridges and the sequential refit brought the tailored model: sentences, empty where it has neither.
#[must_use]
pub fn bridge_summary(result: &SearchResult, test: &TestScores, reference: &Reference) -> String {
    let mut sentences = Vec::new();
    let own = test.reference.retention(&test.tailored);
    let steps = test.steps.iter().map(|step| (step.name.as_str(), test.reference.retention(&step.scores)));
    let mut stages: Vec<(&str, f64)> = steps.collect();
    if !stages.is_empty() {
        stages.push(("as it is", own));
        let stages: Vec<String> = stages.iter().map(|(name, kept)| format!("{name} {}", percent(*kept))).collect();
        sentences.push(format!("Bridges: on the test split it keeps {}.", stages.join(", ")));
    }
    let tried = result.confirmation.iter().filter_map(|candidate| candidate.sequential.as_ref());
    let (tried, kept) = tried.fold((0, 0), |(tried, kept), refit| (tried + 1, kept + usize::from(refit.kept)));
    if tried > 0 {
        let gain = refit_gain(&result.best, reference);
        let own = if gain.is_empty() { String::new() } else { format!("; {}: {gain}", result.best.name) };
        sentences
            .push(format!("Refitting layer by layer helped {kept} of {tried} candidates on unseen documents{own}."));
    }
    sentences.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use recipe_search::{Scores, TaskScore};

    #[test]
    fn candidates_within_the_error_of_their_difference_cannot_be_told_apart() {
        let scores = |right: &[u32]| -> Scores {
            let documents = (0..40).map(|document| f32::from(u8::from(right.contains(&document)))).collect();
            vec![TaskScore::of("sums", documents, &[])]
        };
        let candidate = |name: &str, right: &[u32]| Candidate {
            name: name.into(),
            trial: None,
            recipe: layer_ir::Recipe::of_base(std::iter::empty().collect(), "base", 1),
            search: scores(right),
            confirm: Vec::new(),
            sequential: None,
        };
        let reference = Reference {
            best: vec![1.0],
            base: vec![1.0],
            loss: vec![None],
            probability: vec![None],
            weights: vec![1.0],
        };
        // `a` is wrong on two documents of 40 that `b` is right on, and right on another one: 0.025 behind, the error
        // is 0.044. `c` is wrong on four: 0.1 behind, the error is 0.048.
        let all: Vec<u32> = (0..31).collect();
        let others: Vec<u32> = all.iter().copied().filter(|document| ![3, 4].contains(document)).collect();
        let candidates = [candidate("a", &others), candidate("b", &all[..30]), candidate("c", &all[..26])];
        let line = indistinct_line(&candidates, &reference);
        assert_eq!(line, "The search documents cannot tell 1 of the other 2 candidates from the best of them, b.");
        assert!(indistinct_line(&candidates[..1], &reference).is_empty());
    }
}
