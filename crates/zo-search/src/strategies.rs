//! Strategies: one file each, and what several of them share.
//!
//! | family | strategies |
//! |---|---|
//! | without memory | [`RandomSearch`], [`SobolSearch`] |
//! | evolution | [`Evolution`], [`MuLambda`], [`EvoPress`], [`Nsga2`] |
//! | distributions | [`CmaEs`], [`Tpe`] |
//! | regression | [`Smac`], [`ParEgo`], [`AdditiveGpSearch`] |

mod table;

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

pub use additive_gp::{AdditiveGpSearch, SpaceStructure};
pub use cma_es::CmaEs;
pub use evo_press::EvoPress;
pub use evolution::{Evolution, Survival};
pub use mu_lambda::MuLambda;
pub use nsga2::Nsga2;
pub use par_ego::ParEgo;
pub use random_search::RandomSearch;
pub use smac::Smac;
pub use sobol_search::SobolSearch;
pub use table::{StrategyKind, StrategySetup, strategies};
pub use tpe::Tpe;
