//! Strategies: one file each, and what several of them share.
//!
//! | family | strategies |
//! |---|---|
//! | without memory | [`RandomSearch`], [`SobolSearch`] |
//! | evolution | [`Evolution`], [`MuLambda`], [`EvoPress`], [`Nsga2`] |
//! | distributions | [`CmaEs`], [`Tpe`] |
//! | regression | [`Smac`], [`ParEgo`], [`AdditiveGpSearch`] |

mod kind;
mod structure;

mod random_search;
mod sobol_search;

mod evo_press;
mod evolution;
mod generations;
mod mu_lambda;
mod nsga2;

mod cma_es;
mod tpe;

mod additive_gp;
mod par_ego;
mod smac;

pub use kind::{StrategyKind, StrategySetup};
pub use structure::SpaceStructure;

pub use additive_gp::AdditiveGpSearch;
pub use cma_es::CmaEs;
pub use evo_press::EvoPress;
pub use evolution::{Evolution, Survival};
pub use mu_lambda::MuLambda;
pub use nsga2::Nsga2;
pub use par_ego::ParEgo;
pub use random_search::RandomSearch;
pub use smac::Smac;
pub use sobol_search::SobolSearch;
pub use tpe::Tpe;

use tailor_registry::Registry;

use crate::row::Row;
use kind::Strategy;

/// All strategies. A new one is a file of this folder with its row, and its lines here.
const ROWS: [Row<Strategy>; 12] = [
    additive_gp::ROW,
    random_search::ROW,
    sobol_search::ROW,
    evolution::ROW,
    evolution::REGULARISED_ROW,
    mu_lambda::ROW,
    evo_press::ROW,
    tpe::ROW,
    smac::ROW,
    cma_es::ROW,
    nsga2::ROW,
    par_ego::ROW,
];

/// Every strategy of this crate by name: `strategies().choose(&"tpe".into())`.
///
/// ```
/// use tailor_registry::Choice;
/// use zo_search::{Space, StrategySetup, strategies};
///
/// let table = strategies();
/// let (kind, parameters) = table.choose(&Choice::new("evolution").with("population", 20))?;
/// let mut search = kind.build(StrategySetup::new(Space::new().float("x", 0.0..=1.0), 7), &parameters)?;
/// assert_eq!(search.ask()?.id.0, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn strategies() -> Registry<dyn StrategyKind> {
    Registry::with_rows("strategy", ROWS.into_iter().map(|row| Box::new(row) as Box<dyn StrategyKind>))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Optimizer, Space};

    #[test]
    fn a_row_without_parameters_is_the_strategy_as_it_is_new() -> Result<(), Error> {
        let space = || Space::new().subset("s", 6, 2).float("x", 0.0..=1.0);
        let new: [(&str, Box<dyn Optimizer>); 12] = [
            ("tailor", Box::new(AdditiveGpSearch::new(space(), 7))),
            ("random", Box::new(RandomSearch::new(space(), 7))),
            ("sobol", Box::new(SobolSearch::new(space(), 7))),
            ("evolution", Box::new(Evolution::new(space(), 7))),
            ("regularised_evolution", Box::new(Evolution::regularised(space(), 7))),
            ("mu_lambda", Box::new(MuLambda::new(space(), 7))),
            ("evo_press", Box::new(EvoPress::new(space(), 7)?)),
            ("tpe", Box::new(Tpe::new(space(), 7))),
            ("smac", Box::new(Smac::new(space(), 7))),
            ("cma_es", Box::new(CmaEs::new(space(), 7))),
            ("nsga2", Box::new(Nsga2::new(space(), 7))),
            ("par_ego", Box::new(ParEgo::new(space(), 7))),
        ];
        let table = strategies();
        assert!(table.names().eq(new.iter().map(|(name, _)| *name)));
        for (name, new) in &new {
            let (kind, parameters) = table.choose(&(*name).into())?;
            let built = kind.build(StrategySetup::new(space(), 7), &parameters)?;
            assert_eq!((built.name(), built.settings()), (new.name(), new.settings()), "{name}");
        }
        Ok(())
    }
}
