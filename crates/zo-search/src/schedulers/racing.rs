//! Racing: a point that is surely worse than the incumbent on the instances seen so far stops early.

use tailor_registry::Parameter;

use super::kind::Wrap;
use crate::row::Row;
use serde_json::{Map, Value};

use super::rung_table::RungTable;
use super::scheduled::{PromotionRule, Scheduled};
use crate::{Entry, Error, Fidelity, Optimizer};

/// At least one in so many of a rung goes on, whatever its chance.
const QUOTA: usize = 5;
/// Fewer paired instances than these decide nothing.
const PAIRS: usize = 8;

/// Racing around any strategy: each point is compared with the incumbent on the instances that both have, rung by
/// rung.
///
/// Every new point of the inner strategy is asked at the lowest rung first. It is asked again at the next rung while
/// the chance that it is better than the incumbent is at least `chance`; the most hopeful goes first, a new point is
/// asked when none is left. The chance is that of a paired t-test, taken as normal: `Φ(-mean(d) √n / sd(d))` with `d`
/// the differences of the [instances](crate::Outcome::instances) of both, which must be in one order, those of a
/// lower rung first; so what makes an instance hard for all weighs nothing. One in five goes on in any case, so that
/// an incumbent that was lucky on the first instances is found out. Without instances, a point stops when its
/// objective is above the incumbent's at that rung. While there is no incumbent, the best point of the highest rung
/// goes on.
///
/// With several objectives, a point's incumbent is the best one by the first objective of those that are no larger
/// than it in every other: one that does the same for less. A point that has none goes on.
///
/// When the inner strategy has no point left, those that stopped go on too, the best first.
///
/// Fits evaluations that are means over instances of which a part can be had for a part of the price, and as many
/// trials as the strategy inside. With `chance` 0.5 a point stops as soon as it is behind; with 0.05 only when it is
/// surely worse. An ask costs a comparison of the instances of each waiting point with those of the incumbent. After
/// F-Race (Birattari et al. 2002), which tests many candidates at once and by ranks.
///
/// ```
/// # use zo_search::{Optimizer, Outcome, Racing, RandomSearch, Space};
/// let mut race = Racing::new(RandomSearch::new(Space::new().float("x", 0.0..=1.0), 7), 0.3, [0.1, 1.0])?;
/// for _ in 0..100 {
///     let trial = race.ask()?;
///     let x = trial.point.float("x")?;
///     let count = (100.0 * trial.fidelity.fraction()) as usize;
///     let instances: Vec<f64> = (0..count).map(|i| x + (i % 7) as f64).collect();
///     let mean = instances.iter().sum::<f64>() / instances.len() as f64;
///     race.tell(trial.id, Outcome::score(mean).with_instances(instances))?;
/// }
/// let full = race.ledger().entries().iter().filter(|entry| entry.trial.fidelity.is_full()).count();
/// assert!(full < 30);
/// # Ok::<(), zo_search::Error>(())
/// ```
pub type Racing<O> = Scheduled<O, RacingRule>;

/// The rule of [`Racing`].
#[derive(Debug, Clone)]
pub struct RacingRule {
    /// The least chance with which a point goes on, 0 up to and without 1.
    chance: f64,
}

impl<O: Optimizer> Racing<O> {
    /// A race over rungs at these fractions of the instances, for points whose chance to be better is at least
    /// `chance`.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless `0 <= chance < 1` and the rungs rise and end in 1; [`Error::BadFidelity`].
    pub fn new(inner: O, chance: f64, rungs: impl Into<Vec<f64>>) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&chance) {
            let problem = "the chance below which a point stops must be at least 0 and below 1";
            return Err(Error::BadSetting { strategy: "racing", problem });
        }
        Self::with_rule(inner, RacingRule { chance }, rungs)
    }
}

impl PromotionRule for RacingRule {
    fn name(&self) -> &'static str {
        "racing"
    }

    fn parameters(&self) -> Map<String, Value> {
        [("chance".to_owned(), self.chance.into())].into_iter().collect()
    }

    fn promotable(&self, table: &RungTable) -> Option<usize> {
        self.hopeful(table)
    }

    fn left_behind(&self, table: &RungTable) -> Option<usize> {
        best_waiting(table)
    }
}

impl RacingRule {
    /// The candidate to ask at its next rung.
    fn hopeful(&self, table: &RungTable) -> Option<usize> {
        let incumbents = incumbents(table);
        if incumbents.is_empty() {
            // Of a handful, so that the first incumbent is not the first point whatever it is.
            return best_waiting(table);
        }
        let chances = waiting(table).map(|(candidate, entry)| {
            let rival = incumbents.iter().find(|(incumbent, _)| is_no_larger_elsewhere(incumbent, entry));
            (candidate, rival.map_or(1.0, |(incumbent, standard)| chance(entry, incumbent, standard)))
        });
        let (candidate, chance) = chances.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
        // Who leads by luck on the first instances would stop all others for good.
        let rung = table.rung(candidate);
        let owed = asked_at(table, rung) / QUOTA > asked_at(table, rung + 1);
        (chance >= self.chance || owed).then_some(candidate)
    }
}

/// The best results on all instances, with their objectives at the rungs that they climbed: the best one, the best of
/// those that are smaller than it in another objective, and so on.
fn incumbents(table: &RungTable) -> Vec<(&Entry, Vec<(Fidelity, f64)>)> {
    let full = |entry: &&Entry| entry.result().is_some_and(|(_, fidelity)| fidelity.is_full());
    let mut ranked: Vec<&Entry> = table.ledger.evidence().filter(full).collect();
    ranked.sort_by(|a, b| a.rank(b));
    let mut incumbents: Vec<&Entry> = Vec::new();
    for entry in ranked {
        if !incumbents.iter().any(|better| is_no_larger_elsewhere(better, entry)) {
            incumbents.push(entry);
        }
    }
    incumbents.into_iter().map(|incumbent| (incumbent, rungs_of(table, incumbent))).collect()
}

/// How many candidates were asked at a rung.
fn asked_at(table: &RungTable, rung: usize) -> usize {
    (0..table.len()).filter(|candidate| table.rung(*candidate) >= rung).count()
}

/// The incumbent's objectives at the rungs that it climbed.
fn rungs_of(table: &RungTable, incumbent: &Entry) -> Vec<(Fidelity, f64)> {
    let same =
        |candidate: &usize| table.entry(*candidate, table.top()).is_some_and(|top| top.trial.id == incumbent.trial.id);
    let candidate = (0..table.len()).find(same);
    let entries = candidate.into_iter().flat_map(|it| (0..=table.top()).filter_map(move |r| table.entry(it, r)));
    entries.filter_map(|entry| entry.result().map(|(objective, fidelity)| (fidelity, objective))).collect()
}

/// The candidates below the top whose last trial has a result.
fn waiting(table: &RungTable) -> impl Iterator<Item = (usize, &Entry)> {
    (0..table.len()).filter_map(|candidate| {
        let rung = table.rung(candidate);
        let entry = table.entry(candidate, rung).filter(|_| rung < table.top())?;
        entry.result().map(|_| (candidate, entry))
    })
}

/// The candidate of best rank among those that wait.
fn best_waiting(table: &RungTable) -> Option<usize> {
    waiting(table).min_by(|a, b| a.1.rank(b.1)).map(|(candidate, _)| candidate)
}

/// Whether an incumbent is no larger than another entry in every further objective.
fn is_no_larger_elsewhere(incumbent: &Entry, other: &Entry) -> bool {
    let others = |entry: &'_ Entry| entry.outcome.as_ref().map_or_else(Vec::new, |outcome| outcome.further().to_vec());
    let (own, theirs) = (others(incumbent), others(other));
    own.len() == theirs.len() && own.iter().zip(&theirs).all(|(own, theirs)| own <= theirs)
}

/// The chance that a candidate is better than the incumbent.
fn chance(entry: &Entry, incumbent: &Entry, standard: &[(Fidelity, f64)]) -> f64 {
    let (own, best) = (entry.instances().iter(), incumbent.instances().iter());
    let differences: Vec<f64> = own.zip(best).map(|(own, best)| own - best).collect();
    let n = differences.len() as f64;
    if differences.len() < PAIRS || differences.iter().any(|d| !d.is_finite()) {
        let Some((objective, fidelity)) = entry.result() else { return 0.0 };
        let bar =
            standard.iter().find(|(rung, _)| *rung == fidelity).map_or(f64::INFINITY, |(_, objective)| *objective);
        return f64::from(objective <= bar);
    }
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (n - 1.0);
    if variance <= 0.0 {
        return if mean > 0.0 { 0.0 } else { 0.5 + 0.5 * f64::from(mean < 0.0) };
    }
    0.5 * libm::erfc(mean * libm::sqrt(n / variance) * std::f64::consts::FRAC_1_SQRT_2)
}

const CHANCE: Parameter = Parameter::number(
    "chance",
    0.0,
    1.0,
    "A point goes on while its chance to beat the incumbent is at least this, below 1.",
)
.with_default_number(0.2);

/// The row of the table of schedulers.
pub(super) const ROW: Row<Wrap> = Row::new(
    "racing",
    "A point stops when it is surely worse than the incumbent on the instances seen so far.",
    &[CHANCE],
    |inner, rungs, own| Ok(Box::new(Racing::new(inner, own.number("chance")?, rungs)?)),
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::gaussian;
    use crate::{Evolution, Outcome, Point, RandomSearch, Space, Trial, TrialId, generator};

    fn space() -> Space {
        Space::new().float("x", 0.0..=1.0)
    }

    /// A point's losses on the first `count` instances: its worth, what is hard for all, and noise of its own.
    fn losses(worth: f64, count: usize, seed: u64) -> Vec<f64> {
        let mut common = generator(1, "common", TrialId(0));
        let mut own = generator(seed, "own", TrialId(0));
        (0..count).map(|_| worth + 3.0 * gaussian(&mut common) + gaussian(&mut own)).collect()
    }

    fn entry(worth: f64, count: usize, seed: u64) -> Entry {
        let instances = losses(worth, count, seed);
        let mean = instances.iter().sum::<f64>() / count as f64;
        let trial = Trial::new(TrialId(seed), Point::new(), Fidelity::FULL, "test");
        Entry { trial, outcome: Some(Outcome::score(mean).with_instances(instances)) }
    }

    /// The noise that all points share is three times their own: only pairs see through it.
    #[test]
    fn equal_points_stop_as_often_as_the_chance_says_and_worse_ones_nearly_always() {
        let stopped = |worth: f64| {
            let below = |seed: &u64| chance(&entry(worth, 100, *seed), &entry(0.0, 400, 10_000 + seed), &[]) < 0.1;
            (1..=1000_u64).filter(below).count() as f64 / 1000.0
        };
        assert!((stopped(0.0) - 0.1).abs() < 0.03, "{}", stopped(0.0));
        assert!(stopped(0.6) > 0.95, "{}", stopped(0.6));
        assert!(stopped(-0.6) < 0.01, "{}", stopped(-0.6));
    }

    #[test]
    fn a_race_looks_at_fewer_instances_and_finds_as_good_a_point() -> Result<(), Error> {
        let run = |chance: f64| -> Result<(f64, f64), Error> {
            let mut race = Racing::new(RandomSearch::new(space(), 3), chance, [0.25, 1.0])?;
            let (mut spent, mut best) = (0.0, f64::INFINITY);
            while race.table.len() < 200 {
                let trial = race.ask()?;
                spent += trial.fidelity.fraction() - race.table.rung(race.table.len() - 1).min(1) as f64 * 0.25;
                let worth = trial.point.float("x")?;
                let instances =
                    losses(worth, (200.0 * trial.fidelity.fraction()) as usize, trial.point.key().as_u128() as u64);
                let mean = instances.iter().sum::<f64>() / instances.len() as f64;
                if trial.fidelity.is_full() {
                    best = worth.min(best);
                }
                race.tell(trial.id, Outcome::score(mean).with_instances(instances))?;
            }
            Ok((spent, best))
        };
        let ((raced, best), (all, best_of_all)) = (run(0.1)?, run(0.0)?);
        assert!(raced < 0.6 * all, "{raced} of {all}");
        assert!(best < best_of_all + 0.1, "{best}, without racing {best_of_all}");
        Ok(())
    }

    /// A large point is good and a small one bad, so that next to the large ones no small one would ever get on.
    #[test]
    fn with_several_objectives_a_point_races_those_that_are_no_larger() -> Result<(), Error> {
        let space = Space::new().float("x", 0.0..=1.0).categorical("size", ["small", "large"]);
        let mut race = Racing::new(RandomSearch::new(space, 3), 0.3, [0.25, 1.0])?;
        while race.table.len() < 100 {
            let trial = race.ask()?;
            let small = trial.point.categorical("size")? == "small";
            let worth = trial.point.float("x")? + 20.0 * f64::from(small);
            let count = (100.0 * trial.fidelity.fraction()) as usize;
            let instances: Vec<f64> = losses(worth, count, trial.point.key().as_u128() as u64);
            let mean = instances.iter().sum::<f64>() / instances.len() as f64;
            race.tell(trial.id, Outcome::scores([mean, f64::from(!small)]).with_instances(instances))?;
        }
        let full = |size: &str| {
            let full = race.ledger().entries().iter().filter(|entry| entry.trial.fidelity.is_full());
            full.filter(|entry| entry.trial.point.categorical("size").is_ok_and(|own| own == size)).count()
        };
        // Some hundred points were asked, half of them small.
        let (small, large) = (full("small"), full("large"));
        assert!((2..35).contains(&small) && (2..35).contains(&large), "{small} small ones, {large} large ones");
        Ok(())
    }

    #[test]
    fn racing_keeps_the_laws() -> Result<(), Box<dyn std::error::Error>> {
        for space in [space().subset("s", 8, 3), Space::new().subset("s", 5, 2)] {
            let fresh = Racing::new(Evolution::new(space, 4), 0.3, [0.2, 0.5, 1.0])?;
            crate::testing::check_laws(|| fresh.clone())?;
        }
        Ok(())
    }

    #[test]
    fn a_chance_without_sense_is_refused() {
        assert!(Racing::new(RandomSearch::new(space(), 1), 1.0, [1.0]).is_err());
        assert!(Racing::new(RandomSearch::new(space(), 1), f64::NAN, [1.0]).is_err());
        assert!(Racing::new(RandomSearch::new(space(), 1), 0.2, [0.5]).is_err());
    }
}
