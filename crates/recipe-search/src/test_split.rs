//! Scores on the test split, which neither the search nor the choice of its result has seen.

use std::path::Path;

use indexmap::IndexMap;
use layer_ir::Family;
use task_eval::ModelTokenizer;

use crate::Error;
use crate::baselines::whole_model;
use crate::evaluator::{DocumentSet, Split};
use crate::results::{FinishedSearch, FrontScores, ModelScores, StudyFolder, TestScores};
use crate::scores::Scores;
use crate::search::{Event, Search, reference_of, runtime, score_models};

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
        let known = folder.read::<TestScores>("test.json")?;
        let known = known.filter(|known| known.recipe == result.best.recipe.key(self.registry()) && same_front(known));
        let mut scores = match known {
            Some(known) => known,
            None => self.score_all(finished, watch)?,
        };
        if let Some(path) = written {
            watch(Event::Scoring(path.display().to_string()));
            let (name, written) = (path.display().to_string(), self.score_written(path)?);
            scores.written = Some(ModelScores { name, layers: None, scores: written });
        }
        folder.write_json("test.json", &scores)?;
        Ok(scores)
    }

    fn score_all(&self, finished: &FinishedSearch, watch: &mut dyn FnMut(Event)) -> Result<TestScores, Error> {
        let FinishedSearch { result, parents, history } = finished;
        let mut evaluator = self.evaluator(Split::Test)?;
        let models = score_models(self.family(), &mut evaluator, ALL, watch)?;
        let reference = reference_of(&models, &evaluator)?;
        let mut baselines = Vec::new();
        for scored in &parents.baselines {
            let name = scored.baseline.label.clone();
            watch(Event::Scoring(name.clone()));
            let recipe = self.baseline_recipe(&scored.baseline).validate(self.family(), self.registry())?;
            let layers = Some(recipe.layers.len());
            baselines.push(ModelScores { name, layers, scores: evaluator.score(&recipe, ALL)? });
        }
        let (space, mut front) = (self.space()?, Vec::new());
        for member in &result.front {
            watch(Event::Scoring(format!("trial {} of the front", member.trial)));
            let record = history.trials().iter().find(|record| record.trial.id.0 == member.trial);
            let record = record.ok_or(Error::NoTrialOfFront { trial: member.trial })?;
            let recipe = space.decode(&record.trial.point)?.validate(self.family(), self.registry())?;
            front.push(FrontScores { trial: member.trial, scores: evaluator.score(&recipe, ALL)? });
        }
        watch(Event::Scoring("the tailored model".into()));
        let recipe = &result.best.recipe;
        let tailored = evaluator.score(&recipe.clone().validate(self.family(), self.registry())?, ALL)?;
        Ok(TestScores {
            recipe: recipe.key(self.registry()),
            models,
            baselines,
            tailored,
            written: None,
            front,
            reference,
        })
    }

    /// The scores of a written checkpoint on the test split, loaded as anybody would: by itself, with its own
    /// tokenizer.
    fn score_written(&self, path: &Path) -> Result<Scores, Error> {
        let models: IndexMap<String, &Path> = [("tailored".to_string(), path)].into_iter().collect();
        let family = Family::open(&models, "tailored")?;
        let runtime = runtime(self.study(), family.clone(), merge_ops::Registry::standard())?;
        let mut evaluator = self.evaluator_on(Split::Test, &ModelTokenizer::load(path)?, runtime)?;
        evaluator.score(&whole_model(&family, "tailored").validate(&family, &())?, ALL)
    }
}
