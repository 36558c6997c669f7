//! Laws of what a program can add, tried on examples: for the tests of your own objectives and spaces, as for ours.

use std::collections::BTreeSet;

use layer_ir::Recipe;
use rand::{Rng, RngExt as _, SeedableRng, rngs::ChaCha8Rng};

use crate::objectives::Objective;
use crate::scores::{Reference, Scores, TaskScore};
use crate::space::RecipeSpace;

/// A law of [`Objective`] that does not hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenObjective {
    /// Racing and ranking would disagree.
    #[error(
        "objective `{name}`: what the documents add has the mean {mean}, the objective is {objective}; is `relative` \
         affine in its mean?"
    )]
    MeanOfDocuments {
        /// The objective's name.
        name: String,
        /// The mean over each task's documents, summed over the tasks.
        mean: f64,
        /// The objective.
        objective: f64,
    },
    /// The shares are no weights.
    #[error(
        "objective `{name}`: the shares are {shares:?}; they must be one for each of {tasks} tasks, none negative, of \
         sum 1"
    )]
    Shares {
        /// The objective's name.
        name: String,
        /// The shares.
        shares: Vec<f64>,
        /// How many tasks there are.
        tasks: usize,
    },
}

/// Tries the laws of an objective on 64 made-up models and studies of one to four tasks.
///
/// # Errors
/// The first law that does not hold.
pub fn check_objective(objective: &dyn Objective) -> Result<(), BrokenObjective> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    for example in 0..64 {
        let tasks = 1 + example % 4;
        let (scores, reference) = (scores(&mut random, tasks), reference(&mut random, tasks));
        let name = || objective.name().to_string();
        let parts = objective.contributions(&scores, &reference);
        let mean: f64 = parts.iter().map(|documents| documents.iter().sum::<f64>() / documents.len() as f64).sum();
        let value = objective.value(&scores, &reference);
        // NaN is never near.
        let apart = (mean - value).abs();
        if apart.is_nan() || apart > 1e-9 * (1.0 + value.abs()) {
            return Err(BrokenObjective::MeanOfDocuments { name: name(), mean, objective: value });
        }
        let terms: Vec<f64> = (0..tasks).map(|_| random.random_range(-2.0..2.0)).collect();
        let shares = objective.shares(&terms, &reference.weights);
        let sum: f64 = shares.iter().sum();
        if shares.len() != tasks
            || shares.iter().any(|share| share.is_nan() || *share < 0.0)
            || (sum - 1.0).abs() > 1e-9
        {
            return Err(BrokenObjective::Shares { name: name(), shares, tasks });
        }
    }
    Ok(())
}

/// A law of [`RecipeSpace`] that does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenSpace {
    /// The space refuses one of its own points or recipes.
    #[error("the space refuses what is its own: {0}")]
    Refused(#[from] crate::Error),
    /// A recipe's point stands for another recipe.
    #[error("the recipe {recipe} is encoded as a point that stands for the recipe {decoded}")]
    OtherRecipe {
        /// The key of the recipe.
        recipe: String,
        /// The key of the recipe that its point stands for.
        decoded: String,
    },
    /// A recipe has more or fewer layers than the space says.
    #[error("a recipe has {layers} layers, which is outside of what the space says")]
    Layers {
        /// How many layers it has.
        layers: usize,
    },
}

/// Tries the laws of a space on 64 points drawn at random, and on its designs.
///
/// # Errors
/// The first law that does not hold.
pub fn check_space(space: &dyn RecipeSpace) -> Result<(), BrokenSpace> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..64 {
        let point = space.space().sample(&mut random).map_err(crate::Error::from)?;
        check_recipe(space, &space.decode(&point)?)?;
    }
    space.designs(&[], &BTreeSet::new()).iter().try_for_each(|recipe| check_recipe(space, recipe))
}

fn check_recipe(space: &dyn RecipeSpace, recipe: &Recipe) -> Result<(), BrokenSpace> {
    let decoded = space.decode(&space.encode(recipe)?)?;
    let methods = merge_ops::Registry::standard();
    let (decoded, given) = (decoded.key(&methods), recipe.key(&methods));
    if decoded != given {
        return Err(BrokenSpace::OtherRecipe { recipe: given, decoded });
    }
    let layers = recipe.layers.len();
    if space.layers().is_some_and(|said| !said.contains(&layers)) {
        Err(BrokenSpace::Layers { layers })
    } else {
        Ok(())
    }
}

fn scores(random: &mut impl Rng, tasks: usize) -> Scores {
    let task = |task: usize| {
        let documents = random.random_range(2..40);
        let metric = (0..documents).map(|_| f32::from(u8::from(random.random_bool(0.6)))).collect();
        let losses: Vec<f32> = (0..documents).map(|_| random.random_range(0.01..3.0)).collect();
        TaskScore::of(&format!("task {task}"), metric, &losses)
    };
    (0..tasks).map(task).collect()
}

fn reference(random: &mut impl Rng, tasks: usize) -> Reference {
    let weights: Vec<f64> = (0..tasks).map(|_| random.random_range(0.1..2.0)).collect();
    let total: f64 = weights.iter().sum();
    let mut between =
        |low: f64, high: f64| -> Vec<f64> { (0..tasks).map(|_| random.random_range(low..high)).collect() };
    Reference {
        best: between(0.3, 1.0),
        base: between(0.1, 0.3),
        loss: between(0.1, 2.0).into_iter().map(Some).collect(),
        probability: between(0.3, 1.0).into_iter().map(Some).collect(),
        weights: weights.into_iter().map(|weight| weight / total).collect(),
    }
}

#[cfg(test)]
mod tests {
    use tailor_registry::{Choice, Entry};

    use super::*;
    use crate::objectives::{Observation, TaskReference};
    use crate::standard_objectives;
    use crate::study::rows::objective;

    #[test]
    fn every_objective_of_the_table_keeps_the_laws() -> Result<(), BrokenObjective> {
        standard_objectives().iter().try_for_each(check_objective)
    }

    #[test]
    fn the_parameters_of_an_objective_count() -> Result<(), Box<dyn std::error::Error>> {
        let table = standard_objectives();
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let (scores, reference) = (scores(&mut random, 3), reference(&mut random, 3));
        let value = |choice: Choice| -> Result<f64, crate::Error> {
            let objective = objective(&table, &choice, "study.toml".as_ref())?;
            assert!(check_objective(&*objective).is_ok());
            Ok(objective.value(&scores, &reference))
        };
        let (retention, loss) = (value("retention".into())?, value("loss".into())?);
        let mixed = |share: f64| value(Choice::new("mixed").with("loss_share", share));
        assert!((mixed(0.25)? - (0.75 * retention + 0.25 * loss)).abs() < 1e-12);
        assert_eq!(mixed(0.5)?, value("mixed".into())?);
        let refusal = mixed(2.0).unwrap_err().to_string();
        assert!(refusal.contains("`search.objective`: objective `mixed`: `loss_share` is 2"), "{refusal}");
        let refusal = value("retentoin".into()).unwrap_err().to_string();
        assert!(refusal.contains("no objective is named `retentoin`; there are `retention`, `loss`"), "{refusal}");
        Ok(())
    }

    #[test]
    fn an_objective_whose_documents_say_something_else_is_found() {
        struct Squared;
        impl Entry for Squared {
            fn name(&self) -> &str {
                "squared"
            }
            fn summary(&self) -> &str {
                "The square of what is lost."
            }
        }
        impl Objective for Squared {
            fn document(&self, observed: Observation, _: TaskReference) -> f64 {
                observed.metric
            }
            fn relative(&self, mean: f64, best: TaskReference) -> f64 {
                (1.0 - mean / best.metric).powi(2)
            }
        }
        assert!(matches!(check_objective(&Squared), Err(BrokenObjective::MeanOfDocuments { .. })));
    }
}
