//! A scheduler: any strategy, and a rule that says which of its points are asked again on more instances.

use serde_json::{Map, Value, json};

use super::rung_table::RungTable;
use crate::{Error, Fidelity, Ledger, Optimizer, Outcome, Point, Space, Trial, TrialId};

/// Which candidate is asked again, at its next rung.
///
/// Laws: (1) a rule decides from the table alone, so that the order of telling does not matter and a journal can be
/// replayed; (2) a candidate that it returns is below the top, and its last trial has a result.
///
/// A whole rule, which sends every second point to the top:
/// ```
/// use zo_search::{Optimizer, Outcome, PromotionRule, RandomSearch, RungTable, Scheduled, Space};
///
/// #[derive(Clone)]
/// struct EverySecond;
///
/// impl PromotionRule for EverySecond {
///     fn name(&self) -> &'static str { "every_second" }
///     fn promotable(&self, table: &RungTable) -> Option<usize> {
///         let waits = |it: &usize| {
///             let entry = table.entry(*it, table.rung(*it));
///             table.rung(*it) < table.top() && entry.is_some_and(|entry| entry.result().is_some())
///         };
///         (0..table.len()).step_by(2).find(waits)
///     }
/// }
///
/// let strategy = RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7);
/// let search = Scheduled::with_rule(strategy, EverySecond, [0.5, 1.0])?;
/// zo_search::testing::check_laws(|| search.clone())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait PromotionRule: Send {
    /// The scheduler's name in a journal and in errors.
    fn name(&self) -> &'static str;

    /// What decides, beside the rungs, which candidate it is, for the journal: a rule with other parameters does not
    /// resume it.
    fn parameters(&self) -> Map<String, Value> {
        Map::new()
    }

    /// The candidate to ask again now; none to ask a new point.
    fn promotable(&self, table: &RungTable) -> Option<usize>;

    /// The candidate to ask again when the strategy has no new point left. By default there is none.
    fn left_behind(&self, table: &RungTable) -> Option<usize> {
        let _ = table;
        None
    }

    /// The rung that the next new point begins at: by default the lowest.
    fn first_rung(&self, table: &RungTable) -> usize {
        let _ = table;
        0
    }
}

/// Any strategy under a [`PromotionRule`]: its points are asked on few instances first, and some of them on more.
///
/// The strategy is told the outcome of the rung that a point begins at, and amended by those of higher rungs, each
/// marked with its fidelity: a strategy that does not listen to [`Optimizer::amend`] compares outcomes of the lowest
/// rung alone, and one that does knows which outcomes are comparable.
///
/// [`Halving`](crate::Halving), [`Hyperband`](crate::Hyperband) and [`Racing`](crate::Racing) are this with a rule of
/// ours.
#[derive(Debug, Clone)]
pub struct Scheduled<O, R> {
    inner: O,
    pub(super) rule: R,
    pub(super) table: RungTable,
    /// The number of each candidate in the strategy.
    numbers: Vec<TrialId>,
}

impl<O: Optimizer, R: PromotionRule> Scheduled<O, R> {
    /// The strategy under a rule, with rungs at these fractions of the instances.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless the fractions rise and end in 1; [`Error::BadFidelity`].
    pub fn with_rule(inner: O, rule: R, rungs: impl Into<Vec<f64>>) -> Result<Self, Error> {
        let table = RungTable::new(rule.name(), rungs)?;
        Ok(Self { inner, rule, table, numbers: Vec::new() })
    }

    /// The strategy inside.
    #[must_use]
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// All trials of the scheduler, those of one point at several rungs one by one.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.table.ledger()
    }

    /// Hands an outcome to the strategy: told at the candidate's first rung, amended at higher ones.
    fn pass_on(&mut self, candidate: usize, rung: usize, outcome: Outcome) -> Result<(), Error> {
        let first = self.table.first_rung_of(candidate) == rung;
        if !first && !outcome.is_evidence() {
            return Ok(());
        }
        // The rung, not what the evaluator may have made of it: so rungs stay comparable, and an amendment is always
        // higher.
        let outcome = outcome.at(self.table.rungs()[rung]);
        let id = self.numbers[candidate];
        if first { self.inner.tell(id, outcome) } else { self.inner.amend(id, outcome) }
    }
}

impl<O: Optimizer, R: PromotionRule> Optimizer for Scheduled<O, R> {
    fn ask(&mut self) -> Result<Trial, Error> {
        if let Some(candidate) = self.rule.promotable(&self.table) {
            return self.table.promote(candidate);
        }
        match self.inner.ask() {
            Err(Error::Exhausted { points }) => {
                let candidate = self.rule.left_behind(&self.table).ok_or(Error::Exhausted { points })?;
                self.table.promote(candidate)
            }
            asked => {
                let new = asked?;
                self.numbers.push(new.id);
                let rung = self.rule.first_rung(&self.table);
                Ok(self.table.begin(new.point, rung, new.origin))
            }
        }
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        let (candidate, rung) = self.table.tell(id, outcome.clone())?;
        self.pass_on(candidate, rung, outcome)
    }

    fn space(&self) -> &Space {
        self.inner.space()
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn settings(&self) -> Value {
        let mut settings = self.rule.parameters();
        settings.insert("rungs".into(), json!(self.table.rungs()));
        settings.insert("inner".into(), json!({ "name": self.inner.name(), "settings": self.inner.settings() }));
        settings.into()
    }

    fn inject(&mut self, point: Point, outcome: Outcome) -> Result<(), Error> {
        self.inner.inject(point, outcome)
    }

    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        let Some(rung) = self.table.restore_promotion(trial)? else { return Ok(()) };
        if rung != self.rule.first_rung(&self.table) || trial.id != self.table.ledger().next_id() {
            return Err(Error::Diverged { id: trial.id });
        }
        let id = TrialId(self.numbers.len() as u64);
        self.inner.restore(&Trial { id, fidelity: Fidelity::FULL, rung: None, ..trial.clone() })?;
        self.numbers.push(id);
        self.table.restore_new(trial, rung)
    }
}
