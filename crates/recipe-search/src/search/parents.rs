//! What the search starts from and is measured against: the models as they are, and the baselines.

use std::collections::BTreeMap;

use layer_ir::{Family, Recipe, ValidRecipe};
use layer_runtime::Runtime;
use zo_search::Point;

use super::{Event, OpenSpace, Search};
use crate::baselines::{Baseline, BaselineMethod, BaselineModel, baselines_of, whole_model};
use crate::bridges::Sink;
use crate::evaluator::{DocumentSet, RecipeEvaluator, Wanted};
use crate::objectives::DocumentLoss;
use crate::results::{ModelScores, Parents, ScoredBaseline, StudyFolder};
use crate::scores::{Reference, Scores};
use crate::space::spread;
use crate::study::Identity;
use crate::test_split::BRIDGED;
use crate::{Error, RecipeSpace};

/// The attention sinks of each model that has some.
type SinksByModel = BTreeMap<String, Vec<Sink>>;

impl Search {
    /// The parents and baselines on all search documents, from the folder if the same ones were scored before.
    pub(super) fn parents(
        &self,
        folder: &StudyFolder,
        identity: &Identity,
        runtime: &Runtime,
        space: &OpenSpace,
        evaluator: &mut RecipeEvaluator,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Parents, Error> {
        let settings = &self.study.baselines;
        let scored = folder.read::<Parents>("parents.json")?;
        if let Some(parents) = scored.filter(|parents| parents.are_of(identity, settings)) {
            teach(&self.family, &best_model_of_each_task(&parents.models), evaluator)?;
            return Ok(parents);
        }
        let all = evaluator.all_search_documents();
        let models = score_models(&self.family, evaluator, all, watch)?;
        let reference = reference_of(&models, evaluator)?;
        let objective = self.objective();
        if objective.loss() == DocumentLoss::Task {
            let silent = reference.loss.iter().zip(evaluator.task_names()).find(|(loss, _)| loss.is_none());
            if let Some((_, task)) = silent {
                return Err(Error::NoLoss { task: task.to_string() });
            }
        }
        teach(&self.family, &best_model_of_each_task(&models), evaluator)?;
        let (mut baselines, sinks) = self.baselines(runtime, space, evaluator, watch)?;
        let value = |scored: &ScoredBaseline| objective.value(&scored.scores, &reference);
        baselines.sort_by(|a, b| value(a).total_cmp(&value(b)));
        let (identity, settings) = (identity.hash.clone(), settings.clone());
        let parents = Parents { identity, settings, models, baselines, sinks, reference };
        folder.write_json("parents.json", &parents)?;
        Ok(parents)
    }

    /// The baselines of every model, scored, and the attention sinks of those models that have some; none in a space
    /// that does not know how many layers its recipes have, or removes none.
    fn baselines(
        &self,
        runtime: &Runtime,
        space: &OpenSpace,
        evaluator: &mut RecipeEvaluator,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(Vec<ScoredBaseline>, SinksByModel), Error> {
        let (mut unscored, mut sinks) = (Vec::new(), BTreeMap::new());
        let Some(kept) = space.plain().layers() else { return Ok((Vec::new(), sinks)) };
        let (settings, layers) = (&self.study.baselines, self.family.base().num_layers());
        let counts = spread(&(layers.saturating_sub(*kept.end())..=layers.saturating_sub(*kept.start())));
        if counts == [0] {
            // The models as they are, which are scored already.
            return Ok((Vec::new(), sinks));
        }
        let methods: Vec<&dyn BaselineMethod> = self.study.rows().baselines.iter().map(|row| &**row).collect();
        let calibration = evaluator.calibration(settings.calibration);
        for name in self.family.names() {
            watch(Event::Scoring(format!("baselines of {name}")));
            let mut model = BaselineModel::new(name, &self.family, runtime, &calibration, settings, self.study.seed);
            if let Some(known) = space.sinks(name) {
                model = model.with_sinks(known);
            }
            unscored.extend(baselines_of(&methods, &mut model, &counts)?);
            if !model.sinks()?.is_empty() {
                sinks.insert(name.to_owned(), model.sinks()?.to_vec());
            }
        }
        Ok((self.score_baselines(unscored, space, evaluator)?, sinks))
    }

    /// Scores baselines, with and without the bridges of the study.
    fn score_baselines(
        &self,
        baselines: Vec<Baseline>,
        space: &OpenSpace,
        evaluator: &mut RecipeEvaluator,
    ) -> Result<Vec<ScoredBaseline>, Error> {
        let valid = |recipe: Recipe| Ok::<_, Error>(recipe.validate(&self.family, self.registry())?);
        let mut recipes = Vec::new();
        for baseline in &baselines {
            let plain = valid(self.baseline_recipe(baseline))?;
            let bridged = space.is_bridged().then(|| valid(self.bridged_baseline(space, baseline)?)).transpose()?;
            recipes.push((plain, bridged));
        }
        let all = evaluator.all_search_documents();
        let wanted = recipes.iter().flat_map(|(plain, bridged)| {
            let bridged = bridged.iter().map(|recipe| Wanted { recipe, bridged: true });
            std::iter::once(Wanted { recipe: plain, bridged: false }).chain(bridged)
        });
        evaluator.score_ahead(&wanted.collect::<Vec<_>>(), all)?;
        let mut scored = Vec::new();
        for (mut baseline, (plain, bridged)) in baselines.into_iter().zip(recipes) {
            let plain = evaluator.score(&plain, all)?;
            scored.push(match bridged {
                Some(bridged) => {
                    baseline.label.push_str(BRIDGED);
                    let scores = evaluator.score(&bridged, all)?;
                    ScoredBaseline { baseline, scores, without_bridges: Some(plain) }
                }
                None => ScoredBaseline { baseline, scores: plain, without_bridges: None },
            });
        }
        Ok(scored)
    }

    /// The parents on the documents kept for the confirmation, as a reference; none where there are no such documents,
    /// or no parent is right on any of a task's.
    pub(super) fn unseen(
        &self,
        evaluator: &mut RecipeEvaluator,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Option<Reference>, Error> {
        if evaluator.documents(DocumentSet::Confirm) == 0 {
            return Ok(None);
        }
        let models = score_models(&self.family, evaluator, DocumentSet::Confirm, watch)?;
        match reference_of(&models, evaluator) {
            Err(Error::NothingToRetain { .. }) => Ok(None),
            reference => reference.map(Some),
        }
    }

    /// The points to begin with: the baselines, the best first, then the designs. `space` is that of the study without
    /// bridges, in which a point costs no fit.
    pub(super) fn initial(&self, space: &dyn RecipeSpace, parents: &Parents) -> Vec<Point> {
        let best = best_of_each_size(&parents.baselines);
        let baselines: Vec<Recipe> = best.iter().map(|scored| self.baseline_recipe(&scored.baseline)).collect();
        // Without baselines, the designs begin with the models themselves.
        let least = if baselines.is_empty() { self.family.names().count() } else { 0 };
        let count = self.study.search.designs().max(least);
        let designs = space.designs(&baselines, &parents.sink_makers()).into_iter().take(count);
        // A recipe may lie outside of the space, such as a variant with its own head in a study that takes it
        // from the base.
        baselines.into_iter().chain(designs).filter_map(|recipe| space.encode(&recipe).ok()).collect()
    }

    /// A baseline's recipe, without the bridges of the study.
    #[must_use]
    pub fn baseline_recipe(&self, baseline: &Baseline) -> Recipe {
        baseline.recipe(&whole_model(&self.family, &baseline.model))
    }
}

/// The best baseline of each number of removed layers, then the second of each, and so on, as many as one number
/// has. With one number: all, the best first.
fn best_of_each_size(baselines: &[ScoredBaseline]) -> Vec<&ScoredBaseline> {
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    let place = |scored: &ScoredBaseline| {
        let place = places.entry(scored.baseline.removal.removed.len()).or_default();
        *place += 1;
        *place
    };
    let order: Vec<usize> = baselines.iter().map(place).collect();
    let mut ranked: Vec<(usize, usize, &ScoredBaseline)> = baselines
        .iter()
        .zip(order)
        .map(|(scored, place)| (place, scored.baseline.removal.removed.len(), scored))
        .collect();
    ranked.sort_by_key(|(place, size, _)| (*place, *size));
    ranked.truncate(places.values().copied().max().unwrap_or(0));
    ranked.into_iter().map(|(_, _, scored)| scored).collect()
}

/// Every model of the family as it is, the base first.
pub(crate) fn score_models(
    family: &Family,
    evaluator: &mut RecipeEvaluator,
    part: DocumentSet,
    watch: &mut dyn FnMut(Event),
) -> Result<Vec<ModelScores>, Error> {
    let others = family.names().filter(|name| *name != family.base_name());
    let mut recipes = Vec::new();
    for name in std::iter::once(family.base_name()).chain(others) {
        recipes.push((name, whole_model(family, name).validate(family, &())?));
    }
    let wanted = recipes.iter().map(|(_, recipe)| Wanted { recipe, bridged: false });
    evaluator.score_ahead(&wanted.collect::<Vec<_>>(), part)?;
    let mut models = Vec::new();
    for (name, recipe) in recipes {
        watch(Event::Scoring(name.to_string()));
        let layers = Some(recipe.layers.len());
        models.push(ModelScores { name: name.to_string(), layers, scores: evaluator.score(&recipe, part)? });
    }
    Ok(models)
}

/// Makes these models, by name in the order of the tasks, their teachers; none: there is no teacher yet.
pub(super) fn teach(
    family: &Family,
    teachers: &[impl AsRef<str>],
    evaluator: &mut RecipeEvaluator,
) -> Result<(), Error> {
    let names: Vec<&str> = teachers.iter().map(AsRef::as_ref).collect();
    let recipe = |name: &&str| Ok(whole_model(family, name).validate(family, &())?);
    evaluator.name_teachers(&names);
    evaluator.set_teachers(&names.iter().map(recipe).collect::<Result<Vec<ValidRecipe>, Error>>()?)
}

/// The name of the model of the highest score on each task, of equal ones the first.
pub(super) fn best_model_of_each_task(models: &[ModelScores]) -> Vec<&str> {
    let tasks = models.first().map_or(0, |model| model.scores.len());
    let best = |task: usize| {
        let better = |best: &&ModelScores, other: &&ModelScores| best.scores[task].score >= other.scores[task].score;
        models.iter().reduce(|best, other| if better(&best, &other) { best } else { other })
    };
    (0..tasks).filter_map(best).map(|model| model.name.as_str()).collect()
}

/// What scored models, the base first, are as a reference for retention.
pub(crate) fn reference_of(models: &[ModelScores], evaluator: &RecipeEvaluator) -> Result<Reference, Error> {
    let scores: Vec<&Scores> = models.iter().map(|model| &model.scores).collect();
    Reference::new(&scores, &evaluator.weights())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_baselines_of_each_size_come_in_turn() {
        let scored = |draw, size| ScoredBaseline {
            baseline: Baseline {
                method: "random".into(),
                label: String::new(),
                model: "base".into(),
                draw,
                removal: (0..size).collect(),
            },
            scores: Vec::new(),
            without_bridges: None,
        };
        let drawn = |baselines: &[ScoredBaseline]| {
            best_of_each_size(baselines).iter().map(|scored| scored.baseline.draw).collect::<Vec<_>>()
        };
        assert_eq!(drawn(&[scored(0, 2), scored(1, 2), scored(2, 2)]), [0, 1, 2]);
        let mixed = [scored(0, 1), scored(1, 1), scored(2, 3), scored(3, 1), scored(4, 3), scored(5, 3)];
        assert_eq!(drawn(&mixed), [0, 2, 1], "as many as one size has");
        assert!(drawn(&[]).is_empty());
    }
}
