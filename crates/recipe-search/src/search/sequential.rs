//! Refits the candidates layer by layer, and keeps what helps on documents that the search has not seen.

use layer_ir::Recipe;
use layer_runtime::Runtime;

use super::parents::best_model_of_each_task;
use super::{Event, Search};
use crate::Error;
use crate::bridges::{FitError, SequentialBridge, SequentialSettings, TaughtText, bridge_sequentially_with};
use crate::confirm::score;
use crate::evaluator::RecipeEvaluator;
use crate::results::{Candidate, ModelScores, SequentialRefit};
use crate::scores::Reference;
use crate::space::BridgePlan;

/// What the candidates of a search are refitted on.
pub(super) struct Refitter<'a> {
    runtime: &'a Runtime,
    plan: &'a BridgePlan,
    sequential: SequentialSettings,
    /// The calibration text, each with the best parent of its task as teacher.
    texts: Vec<TaughtText>,
    /// Where the files of the bridges go.
    folder: std::path::PathBuf,
}

impl<'a> Refitter<'a> {
    /// Refits on the text of a plan; `models` are the parents with their scores on the search documents. The files of
    /// bridges go into `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(
        runtime: &'a Runtime,
        plan: &'a BridgePlan,
        sequential: SequentialSettings,
        models: &[ModelScores],
        folder: std::path::PathBuf,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let best = best_model_of_each_task(models);
        let base = runtime.family().base_name();
        let teacher = |task: usize| best.get(task).copied().unwrap_or(base).to_owned();
        let taught = plan.texts.iter();
        let taught = taught.map(|text| TaughtText { tokens: text.tokens.clone(), teacher: teacher(text.task) });
        Ok(Self { runtime, plan, sequential, texts: taught.collect(), folder })
    }

    /// The recipe with every layer from its first gap on refitted; none if it has no gap, or a fit cannot be solved.
    fn refitted(&self, recipe: &Recipe) -> Result<Option<Recipe>, Error> {
        let Self { runtime, plan: BridgePlan { statistics, ridges, .. }, sequential, texts, folder } = self;
        let mut recipe = recipe.clone();
        let fitted = bridge_sequentially_with(runtime, &mut recipe, texts, *statistics, ridges, *sequential, folder);
        match fitted {
            Ok(bridges) => Ok(Some(recipe).filter(|_| bridges.iter().any(changes))),
            Err(Error::Bridge(error)) if matches!(*error, FitError::Singular { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a layer carries anything that was fitted.
fn changes(bridge: &SequentialBridge) -> bool {
    bridge.kept || bridge.o_proj.as_ref().is_some_and(|o_proj| o_proj.kept)
}

impl Search {
    /// Refits each candidate and scores it again. The refit stays where the candidate gains by it on the unseen
    /// documents (where there are none, on the search documents). Neither form was fitted to these documents, so that
    /// the difference favours none of them, and the better one is the better guess however small it is.
    pub(super) fn refit(
        &self,
        candidates: &mut [Candidate],
        refitter: &Refitter<'_>,
        evaluator: &mut RecipeEvaluator,
        reference: &Reference,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        for candidate in candidates {
            watch(Event::Refitting(candidate.name.clone()));
            let Some(recipe) = refitter.refitted(&candidate.recipe)? else { continue };
            let after = score(&recipe.clone().validate(&self.family, self.registry())?, evaluator)?;
            let before = candidate.scores();
            let (gain, _) = reference.difference(after.unseen(), before.unseen());
            let kept = gain > 0.0;
            if kept {
                candidate.recipe = recipe;
                (candidate.search, candidate.confirm) = (after.search.clone(), after.confirm.clone());
            }
            candidate.sequential = Some(SequentialRefit { kept, before, after });
        }
        Ok(())
    }
}
