//! A model that plans and does not compute.

use task_eval::{GenerateRequest, LanguageModel, ModelError, Score, ScoreRequest};

use crate::{Error, RecipeModel, WorkPlan};

/// A model that plans and does not compute. Evaluate it like any model, then ask for the plans.
///
/// ```
/// # use layer_runtime::{Explainer, RecipeModel, open_device};
/// # use task_eval::{LanguageModel, ScoreRequest};
/// # let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/models/llama-mha");
/// let model = RecipeModel::open(checkpoint, open_device("cpu")?)?;
/// let mut explainer = Explainer::new(model);
/// explainer.score(&[ScoreRequest { context: [1, 17].into(), continuation: [4].into() }])?;
/// assert_eq!(explainer.plans()[0].computed_tokens, 2);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct Explainer {
    /// It plans.
    model: RecipeModel,
    /// Of the calls so far.
    plans: Vec<WorkPlan>,
}

impl Explainer {
    /// Plans for a model.
    #[must_use]
    pub fn new(model: RecipeModel) -> Self {
        Self { model, plans: Vec::new() }
    }

    /// The plans of the calls so far, one for each.
    #[must_use]
    pub fn plans(&self) -> &[WorkPlan] {
        &self.plans
    }

    /// Adds the plan of a call on these sequences.
    fn add(&mut self, sequences: &[&[u32]]) -> Result<(), Error> {
        let recipe = self.model.prepared();
        self.plans.push(recipe.work_plan(&recipe.packs(sequences, recipe.shared.options.batch_tokens)?));
        Ok(())
    }
}

impl LanguageModel for Explainer {
    fn max_length(&self) -> usize {
        self.model.max_length()
    }

    /// Answers that every continuation is certain.
    fn score(&mut self, requests: &[ScoreRequest]) -> Result<Vec<Score>, ModelError> {
        let inputs = self.model.prepared().inputs(requests)?;
        self.add(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        Ok(requests.iter().map(|_| Score { log_likelihood: 0.0, greedy: true }).collect())
    }

    /// Plans the prompts and answers nothing.
    fn generate(&mut self, requests: &[GenerateRequest<'_>]) -> Result<Vec<Vec<u32>>, ModelError> {
        self.add(&requests.iter().map(|request| request.context.as_ref()).collect::<Vec<_>>())?;
        Ok(requests.iter().map(|_| Vec::new()).collect())
    }
}
