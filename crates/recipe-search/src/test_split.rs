//! Scores on the test split, which neither the search nor the choice of its result has seen.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use layer_ir::{Family, Recipe};
use serde_json::json;
use task_eval::ModelTokenizer;

use crate::Error;
use crate::baselines::{TestedBaselines, whole_model};
use crate::evaluator::{DocumentSet, RecipeEvaluator, Split};
use crate::results::{
    Candidate, FinishedSearch, FrontScores, ModelScores, Parents, Retained, ScoredBaseline, SearchResult, StudyFolder,
    TestScores, TrainedScores, weight_files,
};
use crate::scores::Scores;
use crate::search::{Event, OpenSpace, Search, reference_of, runtime, score_models};
use crate::space::without_bridges;

/// What is added to the name of a model with a bridge over each gap, and of one without.
pub(crate) const BRIDGED: &str = ", bridged";
const WITHOUT_BRIDGES: &str = ", without bridges";

/// All documents of a split that is not cut.
const ALL: DocumentSet = DocumentSet::Search { rung: 0 };

impl Search {
    /// Scores the family, the baselines and the result of the finished study in `folder` on the test split, unless
    /// its `test.json` has these scores; with the folder of a `written` checkpoint of the result, loads and scores
    /// that too.
    ///
    /// # Errors
    /// [`Error::NoResult`] before the search has come to its result; whatever the models and tasks say.
    pub fn test(
        &self,
        folder: &StudyFolder,
        finished: &FinishedSearch,
        written: Option<&Path>,
        watch: &mut dyn FnMut(Event),
    ) -> Result<TestScores, Error> {
        let result = &finished.result;
        let same_front = |known: &TestScores| {
            known.front.iter().map(|scored| scored.trial).eq(result.front.iter().map(|member| member.trial))
        };
        let evaluator = self.evaluator(Split::Test)?;
        let documents = self.test_digest(&evaluator);
        let known = folder.read::<TestScores>("test.json")?;
        let known = known.filter(|known| {
            known.recipe == result.best.recipe.key(self.registry()) && known.documents == documents && same_front(known)
        });
        let mut scores = match known {
            Some(known) => known,
            None => TestScores { documents, ..self.score_all(folder, evaluator, finished, watch)? },
        };
        if let Some(path) = written {
            watch(Event::Scoring(path.display().to_string()));
            let (name, written) = (path.display().to_string(), self.score_written(path)?.1);
            scores.written = Some(ModelScores { name, layers: None, scores: written });
        }
        folder.write_json("test.json", &scores)?;
        // The baselines' bridges were made again.
        folder.remove_unused_bridges(result)?;
        let test = Some(scores.reference.retention(scores.delivered()));
        if let Some(retention) = result.retention.filter(|retention| retention.test != test) {
            let retention = Some(Retained { test, ..retention });
            folder.write_result(&SearchResult { retention, ..result.clone() })?;
        }
        Ok(scores)
    }

    /// Scores checkpoints that were trained from the study's recipes on the test split, each by itself with its own
    /// tokenizer, unless the study's `test.json` has the scores of the same weights; one whose folder is gone has none.
    ///
    /// # Errors
    /// Whatever the models and tasks say; [`Error::Io`] for `test.json`.
    pub fn test_trained(
        &self,
        folder: &StudyFolder,
        test: TestScores,
        trained: &[PathBuf],
        watch: &mut dyn FnMut(Event),
    ) -> Result<TestScores, Error> {
        let mut scored = Vec::new();
        for path in trained.iter().filter(|path| path.join("config.json").is_file()) {
            let files = weight_files([path.as_path()]);
            let known = test.trained.iter().find(|known| known.path == *path && known.files == files);
            scored.push(match known {
                Some(known) => known.clone(),
                None => {
                    watch(Event::Scoring(path.display().to_string()));
                    let (layers, scores) = self.score_written(path)?;
                    TrainedScores { path: path.clone(), files, layers, scores }
                }
            });
        }
        if scored == test.trained {
            return Ok(test);
        }
        let test = TestScores { trained: scored, ..test };
        folder.write_json("test.json", &test)?;
        Ok(test)
    }

    /// A hash of the test documents and of which baselines are scored on them.
    fn test_digest(&self, evaluator: &RecipeEvaluator) -> String {
        let tasks: Vec<_> = evaluator.document_digests().collect();
        let text = json!([tasks, self.study().baselines.test]).to_string();
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }

    fn score_all(
        &self,
        folder: &StudyFolder,
        mut evaluator: RecipeEvaluator,
        finished: &FinishedSearch,
        watch: &mut dyn FnMut(Event),
    ) -> Result<TestScores, Error> {
        let FinishedSearch { result, parents, history } = finished;
        let models = score_models(self.family(), &mut evaluator, ALL, watch)?;
        let reference = reference_of(&models, &evaluator)?;
        let space = self.open_space(folder, watch)?;
        let baselines = self.test_recipes_of_baselines(&space, result, parents)?;
        let baselines = self.score_named(baselines, &mut evaluator, watch)?;
        let steps = self.score_named(steps(&space, result)?, &mut evaluator, watch)?;
        let mut front = Vec::new();
        for member in &result.front {
            watch(Event::Scoring(format!("trial {} of the front", member.trial)));
            let record = history.trials().iter().find(|record| record.trial.id.0 == member.trial);
            let record = record.ok_or(Error::NoTrialOfFront { trial: member.trial })?;
            let recipe = space.space().decode(&record.trial.point)?.validate(self.family(), self.registry())?;
            front.push(FrontScores { trial: member.trial, scores: evaluator.score(&recipe, ALL)? });
        }
        watch(Event::Scoring("the tailored model".into()));
        let recipe = &result.best.recipe;
        let tailored = evaluator.score(&recipe.clone().validate(self.family(), self.registry())?, ALL)?;
        Ok(TestScores {
            recipe: recipe.key(self.registry()),
            documents: String::new(),
            models,
            baselines,
            tailored,
            steps,
            written: None,
            front,
            trained: Vec::new(),
            reference,
        })
    }

    /// The recipes of the baselines that are tested, by their names. In a study with bridges, the best one without
    /// bridges by the search documents comes too, and the candidate that was refitted layer by layer.
    fn test_recipes_of_baselines(
        &self,
        space: &OpenSpace,
        result: &SearchResult,
        parents: &Parents,
    ) -> Result<Vec<(String, Recipe)>, Error> {
        let mut recipes = Vec::new();
        for scored in tested(&parents.baselines, self.study().baselines.test) {
            recipes.push((scored.baseline.label.clone(), self.bridged_baseline(space, &scored.baseline)?));
        }
        let plain = |scored: &ScoredBaseline| {
            let retained = parents.reference.retention(scored.without_bridges.as_ref()?);
            Some((retained, scored.baseline.clone()))
        };
        let best = parents.baselines.iter().filter_map(plain).max_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some((_, baseline)) = best {
            let name = baseline.label.replace(BRIDGED, WITHOUT_BRIDGES);
            recipes.push((name, self.baseline_recipe(&baseline)));
        }
        let refitted = |candidate: &&Candidate| candidate.sequential.as_ref().is_some_and(|refit| refit.kept);
        for candidate in result.confirmation.iter().filter(|candidate| candidate.trial.is_none()).filter(refitted) {
            recipes.push((format!("{}, refitted layer by layer", candidate.name), candidate.recipe.clone()));
        }
        Ok(recipes)
    }

    /// The scores of some recipes, by their names.
    fn score_named(
        &self,
        recipes: Vec<(String, Recipe)>,
        evaluator: &mut RecipeEvaluator,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Vec<ModelScores>, Error> {
        let score = |(name, recipe): (String, Recipe)| {
            watch(Event::Scoring(name.clone()));
            let recipe = recipe.validate(self.family(), self.registry())?;
            Ok(ModelScores { name, layers: Some(recipe.layers.len()), scores: evaluator.score(&recipe, ALL)? })
        };
        recipes.into_iter().map(score).collect()
    }

    /// The layers of a written checkpoint and its scores on the test split, loaded as anybody would: by itself, with
    /// its own tokenizer.
    fn score_written(&self, path: &Path) -> Result<(usize, Scores), Error> {
        let models: IndexMap<String, &Path> = [("tailored".to_string(), path)].into_iter().collect();
        let family = Family::open(&models, "tailored")?;
        let runtime = runtime(self.study(), family.clone(), merge_ops::Registry::standard(), false)?;
        let text = self.study().evaluation.bos.of(ModelTokenizer::load(path)?);
        let mut evaluator = self.evaluator_on(Split::Test, &text, runtime)?;
        let scores = evaluator.score(&whole_model(&family, "tailored").validate(&family, &())?, ALL)?;
        Ok((family.base().num_layers(), scores))
    }
}

/// The baselines that are scored on the test split, of all, the best first.
fn tested(baselines: &[ScoredBaseline], which: TestedBaselines) -> impl Iterator<Item = &ScoredBaseline> {
    let mut seen = HashSet::new();
    baselines.iter().filter(move |scored| {
        let baseline = &scored.baseline;
        which == TestedBaselines::All || seen.insert((baseline.method.as_str(), baseline.removal.removed.len()))
    })
}

/// The chosen recipe without any bridge, and before it was refitted layer by layer, where these are others.
fn steps(space: &OpenSpace, result: &SearchResult) -> Result<Vec<(String, Recipe)>, Error> {
    let (recipe, mut steps) = (&result.best.recipe, Vec::new());
    let plain = without_bridges(recipe);
    if plain == *recipe {
        return Ok(steps);
    }
    let bridged = space.bridged(plain.clone())?;
    let is_step = bridged != plain && bridged != *recipe;
    steps.push((format!("tailored{WITHOUT_BRIDGES}"), plain));
    if is_step {
        steps.push((format!("tailored{BRIDGED}"), bridged));
    }
    Ok(steps)
}
