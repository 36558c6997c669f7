//! The recipe search on a family, live or from the table of recorded evaluations.
//!
//! The objective is 1 - retention of the best parents on the search documents (the study's, all at once: no rungs),
//! what counts in the end the retention on the test split. Two spaces for the same recipes:
//! - [`RecipeProblem::OURS`]: the study's, that is Tailor's own;
//! - [`RecipeProblem::REFERENCE`]: auto-merge-llm's. Every kept layer has a merge coefficient, needed or not, and an
//!   output scale from 0 to 2 that the decoder reads and ignores; embedding and head follow the first and the last
//!   layer. The one thing of the reference that is left out is to its favour: merged layers read the base at their own
//!   index, not at that in the output.

use std::collections::BTreeSet;
use std::path::Path;

use layer_ir::ValidRecipe;
use recipe_search::{
    DocumentSet, OuterSetting, PruneSettings, PruneSpace, RecipeEvaluator, RecipeSpace, Reference, Scores, Search,
    Split, StudyFile, baselines, removal_orders,
};
use zo_search::{AdditiveGpSearch, Point, Space, Trial};

use super::recipe_table::{RecipeTable, Row};
use super::{Evaluated, Problem, Start};
use crate::Outcome;

/// All documents that the search sees.
const ALL: DocumentSet = DocumentSet::Search { rung: 0 };
/// The merge coefficients of the reference's initial grid, in its order.
const COEFFICIENTS: [f64; 6] = [0.3, 0.5, 0.6, 0.7, 0.8, 1.0];

/// The recipe search on a family.
pub struct RecipeProblem {
    /// The study and its models.
    search: Search,
    /// Decodes points of Tailor's own kind.
    recipes: PruneSpace,
    /// The reference's space, if that is searched.
    reference_space: Option<Space>,
    /// How many layers go at most.
    most_removed: usize,
    /// What was evaluated before, by us or others.
    table: RecipeTable,
    /// The documents that a search sees.
    validation: Side,
    /// Those that none sees.
    test: Side,
}

/// One split: its evaluator, once it is needed, and what retention is relative to.
struct Side {
    split: Split,
    /// Its name in the table.
    name: &'static str,
    /// Made when a recipe is not in the table, as that takes a moment and memory.
    evaluator: Option<RecipeEvaluator>,
    /// The parents' scores, once they are known.
    reference: Option<Reference>,
}

impl RecipeProblem {
    /// The name of the problem in Tailor's space.
    pub const OURS: &str = "recipe";
    /// The name of the problem in the reference's space.
    pub const REFERENCE: &str = "recipe-reference";

    /// The problem of a study, with the file of recorded evaluations.
    ///
    /// # Errors
    /// When study, family or table cannot be read.
    pub fn open(study: &Path, table: &Path, as_the_reference: bool) -> Outcome<Self> {
        let mut study = StudyFile::read(study)?;
        study.search.rungs = vec![1.0];
        let search = Search::new(study.check()?)?;
        let settings = PruneSettings::read(&search.study().space)?;
        let settings = match as_the_reference {
            true => PruneSettings { outer: OuterSetting::Follow, scales: None, ..settings },
            false => settings,
        };
        let recipes = PruneSpace::new(search.family(), &settings)?;
        let (layers, variants) = (search.family().base().num_layers(), search.study().models.variants.len());
        let reference_space =
            as_the_reference.then(|| reference_space(layers, settings.remove.most(), variants, settings.coefficient));
        let side = |split, name| Side { split, name, evaluator: None, reference: None };
        Ok(Self {
            search,
            recipes,
            reference_space: reference_space.transpose()?,
            most_removed: settings.remove.most(),
            table: RecipeTable::open(table)?,
            validation: side(Split::Validation, "validation"),
            test: side(Split::Test, "test"),
        })
    }

    /// The recipe that a point of the searched space stands for.
    fn recipe(&self, point: &Point) -> Outcome<ValidRecipe> {
        let point = if self.reference_space.is_some() { self.without_what_is_dead(point) } else { point.clone() };
        Ok(self.recipes.decode(&point)?.validate(self.search.family(), self.search.registry())?)
    }

    /// A point of the reference's space as one of ours: the values that mean nothing go.
    fn without_what_is_dead(&self, point: &Point) -> Point {
        let needed = |name: &str| match name.split_once('.') {
            Some((layer, "coefficient")) => point
                .mask(&format!("{layer}.sources"))
                .is_ok_and(|mask| mask.iter().filter(|chosen| **chosen).count() >= 2),
            Some((_, "scale")) => false,
            _ => true,
        };
        let kept = point.iter().filter(|(name, _)| needed(name));
        kept.fold(Point::new(), |ours, (name, value)| ours.with(name, value.clone()))
    }

    /// A uniform design: the same sources and coefficient on all kept layers.
    fn uniform(&self, removed: &[usize], mask: &[bool], coefficient: f64) -> Point {
        let chosen: Vec<&String> =
            self.search.study().models.variants.keys().zip(mask).filter(|(_, c)| **c).map(|(name, _)| name).collect();
        let in_reference = self.reference_space.is_some();
        let mut point = Point::new().with_subset("remove", removed);
        for layer in (0..self.search.family().base().num_layers()).filter(|layer| !removed.contains(layer)) {
            point = point.with_mask(format!("layer_{layer}.sources"), mask);
            if in_reference || chosen.len() >= 2 {
                point = point.with_float(format!("layer_{layer}.coefficient"), coefficient);
            }
            if in_reference {
                point = point.with_float(format!("layer_{layer}.scale"), 1.0);
            }
        }
        let outer = match chosen.as_slice() {
            [] => StudyFile::BASE,
            [only] => only,
            _ => "mean",
        };
        let has_outer = self.space().dimensions().iter().any(|dimension| dimension.name == "head");
        if has_outer { point.with_categorical("embedding", outer).with_categorical("head", outer) } else { point }
    }

    /// What the reference begins with: for each of its three removal orders the bare base, then every coefficient with
    /// every set of candidates. In its own space these are 129 points; in ours those of them that differ.
    fn reference_start(&self) -> Start {
        let masks = masks(self.search.study().models.variants.len());
        let (mut points, mut orders): (Vec<Point>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
        for order in removal_orders(self.search.family().base().num_layers()) {
            let removed = &order.layers[..self.most_removed];
            let grid = COEFFICIENTS.iter().flat_map(|coefficient| masks[1..].iter().map(move |m| (m, *coefficient)));
            for (mask, coefficient) in std::iter::once((&masks[0], 1.0)).chain(grid) {
                let point = self.uniform(removed, mask, coefficient);
                if !points.contains(&point) {
                    points.push(point);
                    orders.push(removed.to_vec());
                }
            }
        }
        Start { points, options: serde_json::json!({ "orders": orders }) }
    }
}

/// All sets of candidates, the smaller first, then in the order of the models; the empty one first.
fn masks(variants: usize) -> Vec<Vec<bool>> {
    let mut masks: Vec<Vec<bool>> =
        (0..1_usize << variants).map(|bits| (0..variants).map(|i| bits >> i & 1 == 1).collect()).collect();
    masks.sort_by_key(|mask| (mask.iter().filter(|c| **c).count(), mask.iter().map(|c| !c).collect::<Vec<_>>()));
    masks
}

/// The reference's space: `remove` of `layers` layers go, and of each other one there are a mask over the variants, a
/// coefficient from `low` to `high` and a scale.
fn reference_space(layers: usize, remove: usize, variants: usize, [low, high]: [f64; 2]) -> Outcome<Space> {
    let mut space = Space::new().subset("remove", layers, remove);
    for layer in 0..layers {
        let name = |what: &str| format!("layer_{layer}.{what}");
        space = space
            .mask(name("sources"), variants)
            .when_outside("remove", layer)
            .float(name("coefficient"), low..=high)
            .when_outside("remove", layer)
            .float(name("scale"), 0.0..=2.0)
            .when_outside("remove", layer);
    }
    Ok(space.build()?)
}

/// What each document costs: the mean over all is 1 - retention. Those of every fraction stand before those beyond it.
fn instances(scores: &Scores, reference: &Reference) -> Vec<f64> {
    let total: usize = scores.iter().map(|task| task.documents.len()).sum();
    let mut placed: Vec<(f64, usize, f64)> = Vec::with_capacity(total);
    for (index, task) in scores.iter().enumerate() {
        let count = task.documents.len() as f64;
        let worth = reference.weights[index] / reference.best[index] * total as f64 / count;
        let place = |(at, value): (usize, &f32)| (at as f64 / count, index, 1.0 - worth * f64::from(*value));
        placed.extend(task.documents.iter().enumerate().map(place));
    }
    placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    placed.into_iter().map(|(.., cost)| cost).collect()
}

impl Side {
    /// The scores of a recipe, computed.
    fn judged(&mut self, search: &Search, recipe: &ValidRecipe) -> Outcome<Scores> {
        if self.evaluator.is_none() {
            self.evaluator = Some(search.evaluator(self.split)?);
        }
        let evaluator = self.evaluator.as_mut().ok_or("no evaluator")?;
        Ok(evaluator.score(recipe, ALL)?)
    }

    /// The row of a recipe, from the table or the evaluator.
    fn row(&mut self, search: &Search, table: &mut RecipeTable, recipe: &ValidRecipe) -> Outcome<Row> {
        let key = recipe.key();
        if let Some(known) = table.get(&key, self.name)? {
            return Ok(known);
        }
        let scores = self.judged(search, recipe)?;
        let retention = self.reference.as_ref().map(|reference| reference.retention(&scores));
        let row = Row::new(key, self.name, &scores, retention)?;
        table.record(row.clone())?;
        Ok(row)
    }

    /// The parents' scores, the base first.
    fn reference(&mut self, search: &Search, table: &mut RecipeTable) -> Outcome<Reference> {
        if let Some(known) = &self.reference {
            return Ok(known.clone());
        }
        let family = search.family();
        let others = family.names().filter(|name| *name != family.base_name());
        let mut parents = Vec::new();
        for model in std::iter::once(family.base_name()).chain(others) {
            let recipe = baselines::whole_model(family, model).validate(family, &())?;
            parents.push(self.row(search, table, &recipe)?.scores(1.0));
        }
        let weights: Vec<f64> = search.study().tasks.iter().map(|task| task.weight).collect();
        let reference = Reference::new(&parents.iter().collect::<Vec<_>>(), &weights)?;
        self.reference = Some(reference.clone());
        Ok(reference)
    }
}

impl Problem for RecipeProblem {
    fn space(&self) -> &Space {
        self.reference_space.as_ref().unwrap_or_else(|| self.recipes.space())
    }

    fn evaluate(&mut self, trial: &Trial) -> Outcome<Evaluated> {
        let recipe = self.recipe(&trial.point)?;
        let reference = self.validation.reference(&self.search, &mut self.table)?;
        let row = self.validation.row(&self.search, &mut self.table, &recipe)?;
        let scores = row.scores(trial.fidelity.fraction());
        let mut instances = instances(&row.scores(1.0), &reference);
        instances.truncate(scores.iter().map(|task| task.documents.len()).sum());
        Ok(Evaluated { cost: 1.0 - reference.retention(&scores), instances })
    }

    fn tailor_search(&self, seed: u64) -> AdditiveGpSearch {
        match &self.reference_space {
            Some(space) => AdditiveGpSearch::new(space.clone(), seed),
            None => AdditiveGpSearch::new(self.recipes.space().clone(), seed).with_structure(self.recipes.structure()),
        }
    }

    fn test(&mut self, point: &Point) -> Outcome<Option<f64>> {
        let recipe = self.recipe(point)?;
        let reference = self.test.reference(&self.search, &mut self.table)?;
        let scores = self.test.row(&self.search, &mut self.table, &recipe)?.scores(1.0);
        Ok(Some(1.0 - reference.retention(&scores)))
    }

    fn start(&self, name: &str) -> Outcome<Start> {
        match name {
            "" => Ok(Start::none()),
            "reference" => Ok(self.reference_start()),
            "designs" if self.reference_space.is_none() => {
                let designs =
                    self.recipes.designs(&[], &BTreeSet::new()).into_iter().take(self.search.study().search.designs());
                let points = designs.filter_map(|recipe| self.recipes.encode(&recipe).ok()).collect();
                Ok(Start { points, ..Start::none() })
            }
            _ => Err(format!("{name}: no start of this problem; reference, designs").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_candidates_come_in_the_order_of_the_reference() {
        let text = |mask: &Vec<bool>| mask.iter().map(|c| if *c { '1' } else { '0' }).collect::<String>();
        let masks: Vec<String> = masks(3).iter().map(text).collect();
        assert_eq!(masks, ["000", "100", "010", "001", "110", "101", "011", "111"]);
    }

    #[test]
    fn the_reference_begins_with_129_points_of_its_space() -> Outcome {
        let folder = tempfile::tempdir()?;
        let study = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart.toml");
        let problem = RecipeProblem::open(&study, &folder.path().join("table.jsonl"), true)?;
        let start = problem.start("reference")?;
        assert_eq!(start.points.len(), 129);
        assert!(start.points.iter().all(|point| problem.space().contains(point)));
        let ours = RecipeProblem::open(&study, &folder.path().join("table.jsonl"), false)?;
        assert_eq!(ours.start("reference")?.points.len(), 84);
        Ok(())
    }
}
