//! The table of strategies: each by its name, with its parameters.

use tailor_registry::{Entry, Parameter, Registry, Settings};

use super::additive_gp::SpaceStructure;
use super::{
    AdditiveGpSearch, CmaEs, EvoPress, Evolution, MuLambda, Nsga2, ParEgo, RandomSearch, Smac, SobolSearch, Survival,
    Tpe,
};
use crate::row::Row;
use crate::{Error, Optimizer, Point, Propose, Space};

/// What every strategy is built from, beside its own parameters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StrategySetup {
    /// The space that is searched.
    pub space: Space,
    /// The seed of all randomness.
    pub seed: u64,
    /// For how many trials the search is set up, as far as is known: some strategies size their beginning by it.
    pub trials: usize,
    /// Points to begin with.
    pub initial: Vec<Point>,
    /// What is known of the space beyond its declaration; looked at by `tailor`.
    pub structure: SpaceStructure,
}

impl StrategySetup {
    /// A search for 200 trials, without initial points.
    #[must_use]
    pub fn new(space: Space, seed: u64) -> Self {
        Self { space, seed, trials: 200, initial: Vec::new(), structure: SpaceStructure::new() }
    }

    /// For about so many trials.
    #[must_use]
    pub fn with_trials(mut self, trials: usize) -> Self {
        self.trials = trials;
        self
    }

    /// With points to begin with.
    #[must_use]
    pub fn with_initial(mut self, initial: Vec<Point>) -> Self {
        self.initial = initial;
        self
    }

    /// With what is known of the space beyond its declaration.
    #[must_use]
    pub fn with_structure(mut self, structure: SpaceStructure) -> Self {
        self.structure = structure;
        self
    }
}

/// A strategy by name: a row of the table. Yours goes in with [`Registry::register`].
///
/// ```
/// use tailor_registry::{Entry, Settings};
/// use zo_search::{Error, Optimizer, RandomSearch, StrategyKind, StrategySetup, strategies};
///
/// struct Dice;
///
/// impl Entry for Dice {
///     fn name(&self) -> &str { "dice" }
///     fn summary(&self) -> &str { "Random search under another name." }
/// }
///
/// impl StrategyKind for Dice {
///     fn build(&self, setup: StrategySetup, _: &Settings) -> Result<Box<dyn Optimizer>, Error> {
///         Ok(Box::new(RandomSearch::new(setup.space, setup.seed)))
///     }
/// }
///
/// let mut table = strategies();
/// table.register(Box::new(Dice))?;
/// assert!(table.get("dice").is_ok() && table.get("cards").is_err());
/// # Ok::<(), tailor_registry::Error>(())
/// ```
pub trait StrategyKind: Entry + Send + Sync {
    /// The strategy, set up with its checked parameters.
    ///
    /// # Errors
    /// [`Error::BadSetting`] when parameters that are right one by one do not fit together. A strategy of ours also
    /// says what [`Space::build`] says; yours may leave that to its first ask.
    fn build(&self, setup: StrategySetup, parameters: &Settings) -> Result<Box<dyn Optimizer>, Error>;

    /// Whether it decides itself on which fraction of the instances its trials are asked, so that no scheduler goes
    /// around it.
    fn has_own_fidelities(&self) -> bool {
        false
    }
}

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

/// What [`StrategyKind::build`] does, for a strategy of ours.
type Build = fn(StrategySetup, &Settings) -> Result<Box<dyn Optimizer>, Error>;

/// A strategy of ours: how it is built, and what [`StrategyKind::has_own_fidelities`] says of it.
#[derive(Clone, Copy)]
struct Strategy {
    build: Build,
    own_fidelities: bool,
}

impl StrategyKind for Row<Strategy> {
    fn build(&self, setup: StrategySetup, parameters: &Settings) -> Result<Box<dyn Optimizer>, Error> {
        setup.space.check()?;
        (self.functions.build)(setup, parameters)
    }

    fn has_own_fidelities(&self) -> bool {
        self.functions.own_fidelities
    }
}

/// A strategy that leaves the fidelities to a scheduler.
const fn row(
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    build: Build,
) -> Row<Strategy> {
    Row::new(name, summary, parameters, Strategy { build, own_fidelities: false })
}

/// With its initial points.
fn boxed(strategy: impl Propose + 'static, initial: Vec<Point>) -> Result<Box<dyn Optimizer>, Error> {
    Ok(Box::new(strategy.with_initial(initial)))
}

/// A whole number of at least `least`.
const fn count(name: &'static str, least: i64, default: i64, summary: &'static str) -> Parameter {
    Parameter::integer(name, least, i64::MAX, summary).with_default_integer(default)
}

/// A number from 0 to 1.
const fn share(name: &'static str, default: f64, summary: &'static str) -> Parameter {
    Parameter::number(name, 0.0, 1.0, summary).with_default_number(default)
}

const SECOND_PARENT: &str = "Probability of a second parent.";

/// Those of both kinds of evolution, with their defaults; `parents` says who is in the population.
const fn evolution_parameters(
    parents: &'static str,
    [population, tournament, founders]: [i64; 3],
    crossover: f64,
    survival: &'static str,
) -> [Parameter; 5] {
    [
        count("population", 1, population, parents),
        count("tournament", 1, tournament, "The parent is the best of so many, drawn with replacement."),
        count("founders", 0, founders, "Random points until so many were asked."),
        share("crossover", crossover, SECOND_PARENT),
        Parameter::one_of("survival", &["best", "youngest"], "Which of all may have children.")
            .with_default_text(survival),
    ]
}

/// All strategies: a new one is a file and a row here.
const ROWS: [Row<Strategy>; 12] = [
    row(
        "tailor",
        "An additive Gaussian process over the items that go or stay and the choices for each that stays.",
        &[
            share("screening", 0.15, "Share of the trials spent on single removals and choices around the best point."),
            Parameter::number(
                "cost_exponent",
                0.0,
                1.0,
                "Power of a point's price by which its expected improvement is divided.",
            )
            .optional(),
        ],
        |setup, own| {
            let search = AdditiveGpSearch::new(setup.space, setup.seed).with_trials(setup.trials);
            let search = search.with_structure(setup.structure).with_screening(own.number("screening")?);
            let exponent = own.value("cost_exponent").and_then(serde_json::Value::as_f64);
            boxed(exponent.map_or(search.clone(), |exponent| search.with_cost_exponent(exponent)), setup.initial)
        },
    ),
    row("random", "Points drawn evenly, none twice.", &[], |setup, _| {
        boxed(RandomSearch::new(setup.space, setup.seed), setup.initial)
    }),
    row("sobol", "A scrambled Sobol sequence: points spread more evenly than by chance.", &[], |setup, _| {
        boxed(SobolSearch::new(setup.space, setup.seed), setup.initial)
    }),
    row(
        "evolution",
        "Steady-state evolution: one child of good points after the other.",
        &evolution_parameters("How many may have children.", [10, 5, 10], 0.4, "best"),
        |setup, own| evolution(Evolution::new(setup.space, setup.seed), own, setup.initial),
    ),
    row(
        "regularised_evolution",
        "Regularised evolution: the youngest have children, the oldest die.",
        &evolution_parameters("How many of the last may have children.", [50, 10, 50], 0.0, "youngest"),
        |setup, own| evolution(Evolution::regularised(setup.space, setup.seed), own, setup.initial),
    ),
    row(
        "mu_lambda",
        "Evolution in generations: mu parents have lambda children.",
        &[
            count("mu", 1, 5, "Parents."),
            count("lambda", 1, 20, "Children of a generation."),
            Parameter::flag("plus", false, "Whether parents stay until better ones come."),
            share("crossover", 0.3, SECOND_PARENT),
        ],
        |setup, own| {
            let search = MuLambda::new(setup.space, setup.seed).with_sizes(own.count("mu")?, own.count("lambda")?);
            let search = search.with_crossover(own.number("crossover")?);
            boxed(if own.flag("plus")? { search.plus() } else { search }, setup.initial)
        },
    ),
    Row::new(
        "evo_press",
        "EvoPress: children by level switches, sifted on more and more instances.",
        &[
            count("children", 1, 32, "Children of a generation."),
            Parameter::numbers("survivors", 1.0, f64::MAX, "How many survive each stage of selection.")
                .with_default_numbers(&[8.0, 2.0, 1.0]),
            Parameter::numbers("fractions", 0.0, 1.0, "The fraction of the instances at each stage, rising to 1.")
                .with_default_numbers(&[0.0625, 0.25, 1.0]),
        ],
        Strategy { build: evo_press, own_fidelities: true },
    ),
    row(
        "tpe",
        "The tree-structured Parzen estimator: points where good ones are denser than others.",
        &[
            count("startup", 1, 10, "Random points until there are so many results."),
            count("candidates", 1, 24, "The best of so many draws is asked."),
        ],
        |setup, own| {
            let search = Tpe::new(setup.space, setup.seed).with_startup(own.count("startup")?);
            boxed(search.with_candidates(own.count("candidates")?), setup.initial)
        },
    ),
    row(
        "smac",
        "A random forest learns the cost; points of large expected improvement are asked.",
        &[
            count("trees", 1, 10, "Trees of the forest."),
            share("random_share", 0.2, "Probability of a point drawn evenly."),
            count("refit", 1, 8, "Asks of one forest."),
        ],
        |setup, own| {
            let search = Smac::new(setup.space, setup.seed).with_trials(setup.trials).with_trees(own.count("trees")?);
            let search = search.with_random_share(own.number("random_share")?).with_refit(own.count("refit")?);
            boxed(search, setup.initial)
        },
    ),
    row(
        "cma_es",
        "CMA-ES with margin and restarts: a normal distribution that learns where to draw from.",
        &[
            Parameter::number(
                "sigma",
                1e-4,
                1.0,
                "First step size, as a fraction of each range; a sixth if not given.",
            )
            .optional(),
            Parameter::integer("population", 4, i64::MAX, "Members of a generation; by the dimensions if not given.")
                .optional(),
            Parameter::flag("margin", true, "Whether discrete values never become too unlikely."),
        ],
        |setup, own| {
            let mut search = CmaEs::new(setup.space, setup.seed);
            if own.value("sigma").is_some() {
                search = search.with_sigma(own.number("sigma")?);
            }
            if own.value("population").is_some() {
                search = search.with_population(own.count("population")?);
            }
            boxed(if own.flag("margin")? { search } else { search.without_margin() }, setup.initial)
        },
    ),
    row(
        "nsga2",
        "NSGA-II: a population that spreads over the front of several objectives.",
        &[count("population", 2, 50, "Members, and children of a generation."), share("crossover", 0.9, SECOND_PARENT)],
        |setup, own| {
            let search = Nsga2::new(setup.space, setup.seed).with_population(own.count("population")?);
            boxed(search.with_crossover(own.number("crossover")?), setup.initial)
        },
    ),
    row("par_ego", "ParEGO: SMAC on weighted sums of several objectives.", &[], |setup, _| {
        boxed(ParEgo::new(setup.space, setup.seed).with_trials(setup.trials), setup.initial)
    }),
];

fn evolution(search: Evolution, own: &Settings, initial: Vec<Point>) -> Result<Box<dyn Optimizer>, Error> {
    let survival = if own.text("survival")? == "youngest" { Survival::Youngest } else { Survival::Best };
    let search = search.with_population(own.count("population")?).with_tournament(own.count("tournament")?);
    let search = search.with_founders(own.count("founders")?).with_crossover(own.number("crossover")?);
    boxed(search.with_survival(survival), initial)
}

fn evo_press(setup: StrategySetup, own: &Settings) -> Result<Box<dyn Optimizer>, Error> {
    let (survivors, fractions) = (own.numbers("survivors")?, own.numbers("fractions")?);
    if survivors.len() != fractions.len() || survivors.iter().any(|count| count.fract() != 0.0) {
        let expected = "a list of whole numbers, as many as there are fractions";
        return Err(own.wrong("survivors", expected).into());
    }
    let stages: Vec<(usize, f64)> = survivors.iter().map(|count| *count as usize).zip(fractions).collect();
    let search = EvoPress::with_stages(setup.space, setup.seed, own.count("children")?, stages)?;
    Ok(Box::new(search.with_initial(setup.initial)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
