//! Strategies by name: the one table of who takes part.

use zo_search::{Evolution, Optimizer, Point, RandomSearch, Space};

use super::{Bridge, Bridged, RecipeProblem, Start};
use crate::Outcome;

/// Makes one of our strategies.
type Make = fn(Space, u64, Vec<Point>) -> Box<dyn Optimizer>;

/// Whose a strategy is.
enum Whose {
    Ours(Make),
    /// A strategy of `bridge.py`.
    Peers(&'static str),
}

/// A strategy that takes part.
pub struct Contender {
    /// Its name, without the `+start` that may follow it.
    pub name: &'static str,
    /// What it begins with on the recipe problem, unless a `+start` says otherwise; on others it begins as it likes.
    start: &'static str,
    whose: Whose,
}

macro_rules! ours {
    ($name:literal, $start:literal, $strategy:ident) => {
        Contender {
            name: $name,
            start: $start,
            whose: Whose::Ours(|space, seed, points| Box::new($strategy::new(space, seed).with_initial(points))),
        }
    };
}

macro_rules! peers {
    ($name:literal, $start:literal, $strategy:literal) => {
        Contender { name: $name, start: $start, whose: Whose::Peers($strategy) }
    };
}

/// All that take part.
#[must_use]
pub fn contenders() -> Vec<Contender> {
    vec![
        ours!("random", "", RandomSearch),
        ours!("evolution", "designs", Evolution),
        peers!("smac3", "reference", "smac3"),
        peers!("smac3-reference", "reference", "smac3"),
        peers!("optuna-tpe", "", "optuna-tpe"),
        peers!("optuna-cmaes", "", "optuna-cmaes"),
        peers!("optuna-nsga2", "", "optuna-nsga2"),
        peers!("optuna-random", "", "random"),
        peers!("pycma", "", "pycma"),
    ]
}

impl Contender {
    /// The contender of a name, which a `+start` may follow (`+none`, `+designs`, `+reference`), and the start.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn find(label: &str) -> Outcome<(Self, Option<String>)> {
        let (name, start) = label.split_once('+').map_or((label, None), |(name, start)| (name, Some(start)));
        let start = start.map(|start| if start == "none" { String::new() } else { start.to_string() });
        let found = contenders().into_iter().find(|contender| contender.name == name);
        let known = || contenders().iter().map(|contender| contender.name).collect::<Vec<_>>().join(", ");
        Ok((found.ok_or_else(|| format!("{name}: no such strategy; {}", known()))?, start))
    }

    /// Whether it takes part in a problem: the reference alone, and it alone, searches the reference's space.
    #[must_use]
    pub fn takes_part(&self, problem: &str) -> bool {
        (self.name == "smac3-reference") == (problem == RecipeProblem::REFERENCE)
    }

    /// The name of what it begins with on a problem.
    #[must_use]
    pub fn start_on(&self, problem: &str) -> &'static str {
        if problem == RecipeProblem::OURS || problem == RecipeProblem::REFERENCE { self.start } else { "" }
    }

    /// The optimiser, and the library that it is from.
    ///
    /// # Errors
    /// When the bridge does not start.
    pub fn optimizer(
        &self,
        bridge: &Bridge,
        space: &Space,
        seed: u64,
        trials: usize,
        start: &Start,
    ) -> Outcome<(Box<dyn Optimizer>, String)> {
        match &self.whose {
            Whose::Ours(make) => {
                let version = format!("zo-search {}", env!("CARGO_PKG_VERSION"));
                Ok((make(space.clone(), seed, start.points.clone()), version))
            }
            Whose::Peers(strategy) => {
                let peer = Bridged::start(bridge, strategy, space, seed, trials, &start.points, &start.options)?;
                let version = peer.version().to_string();
                Ok((Box::new(peer), version))
            }
        }
    }
}
