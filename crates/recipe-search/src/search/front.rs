//! The Pareto front of a study with several objectives: which trials no other one beats, and what they keep on
//! unseen documents.

use std::cmp::Ordering;

use layer_ir::{Cost, ValidRecipe};
use zo_search::{Outcome, Study, Trial, pareto};

use super::{Event, OpenSpace, Search};
use crate::Error;
use crate::confirm::score_both_ahead;
use crate::evaluator::{DocumentSet, RecipeEvaluator, Wanted};
use crate::results::{FrontMember, StudyFolder};
use crate::scores::Reference;

/// The folder of the front's recipes.
const FOLDER: &str = "front";

impl Search {
    /// The front of a study with several objectives, its recipes written into the folder; empty for a study with one.
    pub(super) fn front(
        &self,
        study: &Study,
        folder: &StudyFolder,
        space: &OpenSpace,
        evaluator: &mut RecipeEvaluator,
        reference: &Reference,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Vec<FrontMember>, Error> {
        if self.study.search.objectives.is_empty() {
            return Ok(Vec::new());
        }
        let full = study.trials().iter().filter(|record| record.trial.fidelity.is_full());
        let results: Vec<(&Trial, &Outcome)> =
            full.filter_map(|record| Some((&record.trial, record.outcome.as_ref()?))).collect();
        let unbeaten = unbeaten(&results);
        watch(Event::Confirming(unbeaten.len()));
        let mut recipes = Vec::new();
        for (trial, _) in &unbeaten {
            recipes.push(space.space().decode(&trial.point)?.validate(&self.family, self.registry())?);
        }
        let wanted = |recipe| Wanted { recipe, bridged: space.is_bridged() };
        let wanted: Vec<Wanted<'_>> = recipes.iter().map(wanted).collect();
        score_both_ahead(&wanted, evaluator)?;
        let mut front: Vec<(FrontMember, ValidRecipe, Option<f64>)> = Vec::with_capacity(unbeaten.len());
        for ((trial, outcome), recipe) in unbeaten.into_iter().zip(recipes) {
            let member = self.member(trial, outcome, &recipe, evaluator, reference)?;
            front.push((member, recipe, outcome.objective()));
        }
        let by_objective = |a: &Option<f64>, b: &Option<f64>| a.partial_cmp(b).unwrap_or(Ordering::Equal);
        front.sort_by(|(a, _, own), (b, _, other)| {
            a.removed.cmp(&b.removed).then(by_objective(own, other)).then(a.trial.cmp(&b.trial))
        });
        folder.fresh(FOLDER)?;
        let files = files(&front.iter().map(|(member, ..)| (member.removed, member.trial)).collect::<Vec<_>>());
        for ((member, recipe, _), file) in front.iter_mut().zip(files) {
            let mut recipe = recipe.recipe().clone();
            folder.localise(&mut recipe, FOLDER.as_ref())?;
            folder.write(&file, &recipe.to_yaml()?)?;
            member.file = file;
        }
        Ok(front.into_iter().map(|(member, ..)| member).collect())
    }

    /// A trial of the front, its recipe scored on all search documents and on those of the confirmation; without its
    /// file, whose name depends on the other members.
    fn member(
        &self,
        trial: &Trial,
        outcome: &Outcome,
        recipe: &ValidRecipe,
        evaluator: &mut RecipeEvaluator,
        reference: &Reference,
    ) -> Result<FrontMember, Error> {
        let (base, layers) = (self.family.base(), recipe.layers.len());
        let search = evaluator.score(recipe, evaluator.all_search_documents())?;
        let unseen = evaluator.documents(DocumentSet::Confirm) > 0;
        let confirm = unseen.then(|| evaluator.score(recipe, DocumentSet::Confirm)).transpose()?;
        Ok(FrontMember {
            trial: trial.id.0,
            removed: base.num_layers().saturating_sub(layers),
            parameters: Cost::of_recipe(base, recipe, base.dtype()).parameters,
            file: String::new(),
            objectives: outcome.objectives.clone(),
            retention: reference.retention(&search),
            confirmed: confirm.map(|scores| reference.retention(&scores)),
        })
    }
}

/// The files of the members, of which `front` has the number of removed layers, ascending, and the trial.
///
/// `K.yaml` is the first one with `K` layers removed, `K-trial-N.yaml` another one. Where none removes a layer, all are
/// `trial-N.yaml`.
fn files(front: &[(usize, u64)]) -> Vec<String> {
    let is_by_size = front.iter().any(|(removed, _)| *removed > 0);
    let file = |(place, (removed, trial)): (usize, &(usize, u64))| {
        let is_first = place == 0 || front[place - 1].0 != *removed;
        match (is_by_size, is_first) {
            (false, _) => format!("{FOLDER}/trial-{trial}.yaml"),
            (true, true) => format!("{FOLDER}/{removed}.yaml"),
            (true, false) => format!("{FOLDER}/{removed}-trial-{trial}.yaml"),
        }
    };
    front.iter().enumerate().map(file).collect()
}

/// The results that no other one beats; of those that are equal in all objectives, the first.
fn unbeaten<'a>(results: &[(&'a Trial, &'a Outcome)]) -> Vec<(&'a Trial, &'a Outcome)> {
    let outcomes: Vec<&Outcome> = results.iter().map(|(_, outcome)| *outcome).collect();
    let mut unbeaten: Vec<(&Trial, &Outcome)> = Vec::new();
    for ((trial, outcome), rank) in results.iter().zip(pareto::ranks(&outcomes)) {
        let known = unbeaten.iter().any(|(_, known)| known.objectives == outcome.objectives);
        if outcome.result().is_some() && rank == Some(0) && !known {
            unbeaten.push((trial, outcome));
        }
    }
    unbeaten
}

#[cfg(test)]
mod tests {
    use zo_search::{FailureKind, Fidelity, Point, TrialId};

    use super::*;

    #[test]
    fn files_are_named_by_removed_layers_where_some_are_removed() {
        assert_eq!(files(&[(0, 3), (2, 5), (2, 4)]), ["front/0.yaml", "front/2.yaml", "front/2-trial-4.yaml"]);
        assert_eq!(files(&[(0, 3), (0, 5)]), ["front/trial-3.yaml", "front/trial-5.yaml"]);
        assert!(files(&[]).is_empty());
    }

    #[test]
    fn the_front_holds_what_nothing_beats_once() {
        let trial = |id| Trial::new(TrialId(id), Point::new(), Fidelity::FULL, "test");
        let trials: Vec<Trial> = (0..6).map(trial).collect();
        let outcomes = [
            Outcome::scores([0.3, 0.9]),
            Outcome::scores([0.4, 0.8]),
            Outcome::scores([0.4, 0.9]),
            Outcome::scores([0.3, 0.9]),
            Outcome::failed(FailureKind::Crash, "no"),
            Outcome::scores([f64::NAN, 0.1]),
        ];
        let results: Vec<(&Trial, &Outcome)> = trials.iter().zip(&outcomes).collect();
        let ids: Vec<u64> = unbeaten(&results).iter().map(|(trial, _)| trial.id.0).collect();
        assert_eq!(ids, [0, 1]);
    }
}
