//! Strategies by name: the one table of who takes part.
//!
//! Each strategy begins with what it is usually given on the recipe problem, ours with Tailor's designs, SMAC3 with the
//! points of the Python reference; `NAME+START` on the command line asks for another start, to tell the two apart.

use zo_search::{
    CmaEs, Evolution, MuLambda, Nsga2, Optimizer, Point, Propose as _, Racing, RandomSearch, Smac, SobolSearch, Space,
    Tpe,
};

use super::{Bridge, Bridged, Problem, RecipeProblem, Start};
use crate::Outcome;

/// Under racing, a point stops when its chance to be better than the incumbent is below this.
const CHANCE: f64 = 0.2;

/// Makes one of our strategies.
type Make = fn(Space, u64, Vec<Point>) -> Box<dyn Optimizer>;

/// Whose a strategy is.
enum Whose {
    /// One of zo-search's, as it is by default.
    Ours(Make),
    /// [`zo_search::AdditiveGpSearch`], told what the problem knows of its space; with rungs, under racing.
    Tailor(&'static [f64]),
    /// A strategy of `bridge.py`.
    Peers(&'static str),
}

/// A strategy that takes part.
pub struct Contender {
    /// Its name, without the `+start` that may follow it.
    pub name: &'static str,
    /// What it begins with on the recipe problem, unless a `+start` says otherwise; on others it begins as it likes.
    start: &'static str,
    /// How it is made.
    whose: Whose,
}

/// A row of ours: its name, its start, its type in zo-search.
macro_rules! ours {
    ($name:literal, $start:literal, $strategy:ident) => {
        Contender {
            name: $name,
            start: $start,
            whose: Whose::Ours(|space, seed, points| Box::new($strategy::new(space, seed).with_initial(points))),
        }
    };
}

/// A row of a peer's: its name, its start, its name in `bridge.py`.
macro_rules! peers {
    ($name:literal, $start:literal, $strategy:literal) => {
        Contender { name: $name, start: $start, whose: Whose::Peers($strategy) }
    };
}

/// All that take part. Beside each of ours, where there is one, stands a peer's implementation of the same method;
/// `random` and `optuna-random` differ in nothing but their draws and the bridge.
#[must_use]
pub fn contenders() -> Vec<Contender> {
    vec![
        ours!("random", "", RandomSearch),
        ours!("sobol", "", SobolSearch),
        ours!("evolution", "designs", Evolution),
        ours!("mu-lambda", "designs", MuLambda),
        ours!("nsga2", "designs", Nsga2),
        ours!("tpe", "", Tpe),
        ours!("cma-es", "", CmaEs),
        ours!("smac", "reference", Smac),
        Contender { name: "tailor", start: "designs", whose: Whose::Tailor(&[]) },
        Contender { name: "tailor-racing", start: "designs", whose: Whose::Tailor(&[0.25, 1.0]) },
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
    /// ```
    /// let (tailor, start) = tailor_benches::search::Contender::find("tailor+reference")?;
    /// assert_eq!((tailor.name, start.as_deref()), ("tailor", Some("reference")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// The optimiser, and the library that it is from. `trials` is how many evaluations it will have, which some peers
    /// want to know.
    ///
    /// # Errors
    /// When the bridge does not start.
    pub fn optimizer(
        &self,
        bridge: &Bridge,
        problem: &dyn Problem,
        seed: u64,
        trials: usize,
        start: &Start,
    ) -> Outcome<(Box<dyn Optimizer>, String)> {
        let ours = || format!("zo-search {}", env!("CARGO_PKG_VERSION"));
        match &self.whose {
            Whose::Ours(make) => Ok((make(problem.space().clone(), seed, start.points.clone()), ours())),
            Whose::Tailor(rungs) => {
                let tailor = problem.tailor_search(seed).with_initial(start.points.clone());
                match rungs {
                    [] => Ok((Box::new(tailor), ours())),
                    rungs => Ok((Box::new(Racing::new(tailor, CHANCE, rungs.to_vec())?), ours())),
                }
            }
            Whose::Peers(strategy) => {
                let peer =
                    Bridged::start(bridge, strategy, problem.space(), seed, trials, &start.points, &start.options)?;
                let version = peer.version().to_string();
                Ok((Box::new(peer), version))
            }
        }
    }
}
