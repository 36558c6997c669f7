//! The Pareto front of a study with several objectives: which trials no other one beats, and what they keep on
//! unseen documents.

use layer_ir::{Cost, ValidRecipe};
use zo_search::{Outcome, Study, Trial, pareto};

use super::{Event, Search};
use crate::evaluator::{DocumentSet, RecipeEvaluator};
use crate::results::{FrontMember, StudyFolder};
use crate::scores::Reference;
use crate::{Error, RecipeSpace};

/// The folder of the front's recipes.
const FOLDER: &str = "front";

impl Search {
    /// The front of a study with several objectives, its recipes written into the folder; empty for a study with one.
    pub(super) fn front(
        &self,
        study: &Study,
        folder: &StudyFolder,
        space: &dyn RecipeSpace,
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
        let mut front = Vec::with_capacity(unbeaten.len());
        for (trial, outcome) in unbeaten {
            let recipe = space.decode(&trial.point)?.validate(&self.family, self.registry())?;
            front.push((self.member(trial, outcome, &recipe, evaluator, reference)?, recipe));
        }
        let objective = |member: &FrontMember| member.objectives.first().copied().unwrap_or(f64::NAN);
        front.sort_by(|(a, _), (b, _)| {
            a.removed.cmp(&b.removed).then(objective(a).total_cmp(&objective(b))).then(a.trial.cmp(&b.trial))
        });
        folder.fresh(FOLDER)?;
        let mut members: Vec<FrontMember> = Vec::with_capacity(front.len());
        for (mut member, recipe) in front {
            let (removed, trial) = (member.removed, member.trial);
            let is_first = members.last().is_none_or(|last| last.removed != removed);
            let name = if is_first { removed.to_string() } else { format!("{removed}-trial-{trial}") };
            member.file = format!("{FOLDER}/{name}.yaml");
            folder.write(&member.file, &recipe.to_yaml()?)?;
            members.push(member);
        }
        Ok(members)
    }

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
