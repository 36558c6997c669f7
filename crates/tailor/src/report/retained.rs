//! How far what the search found holds on other documents, and what bridges and refits brought.

use recipe_search::{Candidate, Reference, SearchResult, TestScores};

use super::rows::percent;

/// One line: what the tailored model retains of the best parents on the search documents, on those kept for the
/// confirmation and on the test split, each against the parents on the same documents.
///
/// Empty for a result of an earlier version, which does not say the first two.
#[must_use]
pub fn retained_line(result: &SearchResult, test: &TestScores) -> String {
    let Some(retained) = result.retention else { return String::new() };
    let confirm = retained.confirm.map_or_else(|| "not scored".to_owned(), percent);
    format!(
        "Of the best parents: search documents {}, confirm {confirm}, test {}.",
        percent(retained.search),
        percent(test.reference.retention(test.delivered()))
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
