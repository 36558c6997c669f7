//! Chooses the result among the best candidates by documents that the search has not seen.
//!
//! The best of many noisy scores is too good to be true. So the candidates are scored again on the documents kept
//! back; those that fall behind the best of them there by more than chance are dropped, and of the rest the search's
//! favourite is taken.

use layer_ir::ValidRecipe;

use crate::Error;
use crate::evaluator::{DocumentSet, RecipeEvaluator, Wanted};
use crate::results::{Candidate, CandidateScores};
use crate::scores::Reference;

/// A candidate stays if it falls behind the best by less than this many standard errors: one-sided p > 0.2.
const TIE: f64 = 0.84;

/// A recipe that may become the result.
pub(crate) struct Nominee {
    /// A trial or a baseline.
    pub name: String,
    /// The trial, if it is one.
    pub trial: Option<u64>,
    /// What is scored.
    pub recipe: ValidRecipe,
    /// Whether it was given the bridges of the study.
    pub bridged: bool,
}

/// Scores the nominees (the search's favourite first) on the search documents and on the unseen ones.
///
/// # Errors
/// When a model cannot be run.
pub(crate) fn score_all(nominees: Vec<Nominee>, evaluator: &mut RecipeEvaluator) -> Result<Vec<Candidate>, Error> {
    let wanted: Vec<Wanted<'_>> =
        nominees.iter().map(|Nominee { recipe, bridged, .. }| Wanted { recipe, bridged: *bridged }).collect();
    score_both_ahead(&wanted, evaluator)?;
    let candidate = |Nominee { name, trial, recipe, .. }| {
        let CandidateScores { search, confirm } = score(&recipe, evaluator)?;
        Ok(Candidate { name, trial, recipe: recipe.recipe().clone(), search, confirm, sequential: None })
    };
    nominees.into_iter().map(candidate).collect()
}

/// Has recipes scored on the search documents and on the unseen ones, as [`RecipeEvaluator::score_ahead`] does.
///
/// # Errors
/// As there.
pub(crate) fn score_both_ahead(wanted: &[Wanted<'_>], evaluator: &mut RecipeEvaluator) -> Result<(), Error> {
    evaluator.score_ahead(wanted, evaluator.all_search_documents())?;
    if evaluator.documents(DocumentSet::Confirm) > 0 {
        evaluator.score_ahead(wanted, DocumentSet::Confirm)
    } else {
        Ok(())
    }
}

/// The scores of a recipe on the search documents and on the unseen ones, if there are some.
///
/// # Errors
/// When the model cannot be run.
pub(crate) fn score(recipe: &ValidRecipe, evaluator: &mut RecipeEvaluator) -> Result<CandidateScores, Error> {
    let search = evaluator.score(recipe, evaluator.all_search_documents())?;
    let unseen = evaluator.documents(DocumentSet::Confirm) > 0;
    let confirm = if unseen { evaluator.score(recipe, DocumentSet::Confirm)? } else { Vec::new() };
    Ok(CandidateScores { search, confirm })
}

/// The chosen one of scored candidates; without unseen documents the first, and none without candidates.
pub(crate) fn confirmed<'a>(scored: &'a [Candidate], reference: &Reference) -> Option<&'a Candidate> {
    let unseen = scored.iter().any(|candidate| !candidate.confirm.is_empty());
    let chosen = if unseen { choose(scored, reference) } else { 0 };
    scored.get(chosen)
}

/// The first candidate (by the search's order) that is not surely worse than the best on the unseen documents.
fn choose(scored: &[Candidate], reference: &Reference) -> usize {
    let retention = |candidate: &Candidate| reference.retention(&candidate.confirm);
    let best = scored.iter().enumerate().max_by(|a, b| retention(a.1).total_cmp(&retention(b.1)).then(b.0.cmp(&a.0)));
    let Some((best, leader)) = best else { return 0 };
    let tied = |candidate: &Candidate| {
        let (behind, error) = reference.difference(&leader.confirm, &candidate.confirm);
        behind <= TIE * error
    };
    scored.iter().position(tied).unwrap_or(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::TaskScore;
    use indexmap::IndexMap;
    use layer_ir::Recipe;

    fn candidate(name: &str, unseen: &[f32]) -> Candidate {
        let scores = |values: &[f32]| vec![TaskScore::of("t", values.to_vec(), &[1.0])];
        Candidate {
            name: name.into(),
            trial: None,
            recipe: Recipe::of_base(IndexMap::new(), "base", 1),
            search: scores(&[1.0, 1.0]),
            confirm: scores(unseen),
            sequential: None,
        }
    }

    fn reference() -> Reference {
        Reference {
            best: vec![1.0],
            base: vec![1.0],
            loss: vec![Some(1.0)],
            probability: vec![None],
            weights: vec![1.0],
        }
    }

    #[test]
    fn a_favourite_that_falls_behind_is_not_chosen() {
        let mut winner = vec![1.0; 40];
        winner[0] = 0.0;
        let favourite: Vec<f32> = (0..40).map(|i| if i % 3 == 0 { 0.0 } else { 1.0 }).collect();
        let scored = [candidate("favourite", &favourite), candidate("winner", &winner)];
        assert_eq!(choose(&scored, &reference()), 1);
    }

    #[test]
    fn a_tie_goes_to_the_favourite_of_the_search() {
        let mut nearly = vec![1.0; 40];
        nearly[3] = 0.0;
        let mut also = vec![1.0; 40];
        also[5] = 0.0;
        also[6] = 0.0;
        let scored = [candidate("favourite", &also), candidate("leader", &nearly)];
        assert_eq!(choose(&scored, &reference()), 0);
    }
}
