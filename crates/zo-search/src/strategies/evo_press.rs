//! `EvoPress`: many children of one parent, sifted on more and more instances.

use tailor_registry::Parameter;

use super::kind::{Strategy, count};
use crate::row::Row;
use rand::Rng;
use serde_json::json;

use crate::optimizer::initial_points::InitialPoints;
use crate::optimizer::state::unknown_point;
use crate::random::{generator, pick};
use crate::schedulers::brackets::{Bracket, Brackets};
use crate::schedulers::rung_table::RungTable;
use crate::strategies::evolution::{ATTEMPTS, Edit, Reproduction, edits};
use crate::{Entry, Error, Fidelity, Ledger, Optimizer, Origin, Outcome, Point, Space, StrategySetup, Trial, TrialId};

/// `EvoPress` (Sieberling et al. 2024, arXiv 2410.14649) for any space: evolution by level switches with selection in
/// several steps.
///
/// A generation is 32 children of the best point, each with one to three switches: an item of a subset out and another
/// in, a set bit of a mask moved, any other value changed as [`Evolution`](crate::Evolution) changes it. All are asked
/// on a small part of the instances, the best of them again on more, and the best of those on all, where they meet
/// their parent, which stays until it is beaten. The sizes of subsets and the counts of masks are those of the first
/// generation, which is random behind the [initial points](Self::with_initial). While a step waits for results,
/// children for the next generation are asked. When a finite space has no point left, the generation is finished with
/// those that there are.
///
/// Fits a fixed number to remove (or any fixed budget), evaluations that are means over instances, and workers in
/// parallel; useful from some five generations on. A generation is 42 trials, 32 on 1/16 of the instances, 8 on a
/// quarter and 2 on all: it costs `32/16 + 8/4 + 2 = 6` full evaluations. An ask costs a sort of the trials of each
/// generation.
///
/// Unlike the original, which draws other examples for each generation and so measures the parent again, all share the
/// instances.
///
/// ```
/// # use zo_search::{EvoPress, Optimizer, Rung, Space};
/// let mut search = EvoPress::new(Space::new().subset("remove", 32, 8), 7)?;
/// let trial = search.ask()?;
/// assert_eq!((trial.fidelity.fraction(), trial.rung), (1.0 / 16.0, Some(Rung(0))));
/// # Ok::<(), zo_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EvoPress {
    space: Space,
    seed: u64,
    initial: InitialPoints,
    /// Of each stage, how many survive it, and its fraction of the instances.
    stages: Vec<(usize, f64)>,
    brackets: Brackets,
    table: RungTable,
}

impl EvoPress {
    /// 32 children, of which all are asked on 1/16 of the instances, the best 8 on a quarter, the best 2 on all; one
    /// parent.
    ///
    /// # Errors
    /// None of its own: those of [`EvoPress::with_stages`].
    pub fn new(space: Space, seed: u64) -> Result<Self, Error> {
        Self::with_stages(space, seed, 32, [(8, 1.0 / 16.0), (2, 0.25), (1, 1.0)])
    }

    /// With so many children, and these stages of selection: how many survive it, and on which fraction of the
    /// instances they are asked. Who survives the last one (together with the parents) is a parent.
    ///
    /// # Errors
    /// [`Error::BadSetting`] unless the fractions rise and end in 1, and the survivors are at least one and never
    /// more than before; [`Error::BadFidelity`].
    pub fn with_stages(
        space: Space,
        seed: u64,
        children: usize,
        stages: impl Into<Vec<(usize, f64)>>,
    ) -> Result<Self, Error> {
        let stages = stages.into();
        let table = RungTable::new("evo_press", stages.iter().map(|(_, fraction)| *fraction).collect::<Vec<f64>>())?;
        let sizes: Vec<usize> =
            std::iter::once(children).chain(stages.iter().map(|(survivors, _)| *survivors)).collect();
        if sizes.contains(&0) || sizes.windows(2).any(|pair| pair[0] < pair[1]) {
            let problem = "each stage must have at least one survivor, and no more than the one before it";
            return Err(Error::BadSetting { strategy: "evo_press", problem });
        }
        let bracket = Bracket { first: 0, sizes: sizes[..stages.len()].to_vec() };
        Ok(Self {
            space,
            seed,
            initial: InitialPoints::default(),
            stages,
            brackets: Brackets::new(vec![bracket]),
            table,
        })
    }

    /// Begins with these points, those that mean the same only once.
    #[must_use]
    pub fn with_initial(mut self, points: Vec<Point>) -> Self {
        self.initial = InitialPoints::new(points);
        self
    }

    /// All that was asked and told.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.table.ledger
    }

    /// The best on all instances, the best first.
    fn parents(&self) -> Vec<&Entry> {
        let mut parents: Vec<&Entry> = self
            .ledger()
            .evidence()
            .filter(|entry| entry.trial.fidelity.is_full() && entry.result().is_some())
            .collect();
        parents.sort_by(|a, b| a.rank(b));
        parents.truncate(self.stages.last().map_or(1, |(survivors, _)| *survivors));
        parents
    }

    /// A new point for the present generation.
    fn new_point(&mut self) -> Result<(Point, Origin), Error> {
        self.space.check()?;
        if let Some(point) = self.initial.get(&self.space, TrialId(self.table.len() as u64))? {
            return Ok((point, Origin::Initial));
        }
        let mut rng = generator(self.seed, "evo_press", self.ledger().next_id());
        match self.child(&mut rng) {
            Some(child) => Ok(child),
            None => Ok((unknown_point(&self.space, self.ledger(), &mut rng)?, "random".into())),
        }
    }

    /// A child of a parent that was not asked before; none while there is no parent, and where all children are known.
    fn child(&self, rng: &mut impl Rng) -> Option<(Point, Origin)> {
        let parents = self.parents();
        let reproduction = Reproduction { space: &self.space, population: &parents };
        for attempt in 0..ATTEMPTS {
            let parent = pick(&parents, rng)?;
            let child = reproduction.edit(&parent.trial.point, edits(attempt, rng), Edit::Switch, rng);
            if !self.ledger().knows(&child) {
                return Some((child, format!("switches of {}", parent.trial.id).into()));
            }
        }
        None
    }
}

impl Optimizer for EvoPress {
    fn ask(&mut self) -> Result<Trial, Error> {
        if let Some(candidate) = self.brackets.promotable(&self.table, false) {
            return self.table.promote(candidate);
        }
        match self.new_point() {
            Ok((point, origin)) => Ok(self.table.begin(point, self.brackets.first_rung(&self.table), origin)),
            Err(Error::Exhausted { points }) => {
                let candidate = self.brackets.promotable(&self.table, true).ok_or(Error::Exhausted { points })?;
                self.table.promote(candidate)
            }
            Err(error) => Err(error),
        }
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        // The fraction asked for, not what the evaluator may have made of it: so the trials of a stage stay
        // comparable.
        let fidelity = self.ledger().get(id).ok_or(Error::UnknownTrial { id })?.trial.fidelity;
        self.table.tell(id, outcome.at(fidelity)).map(|_| ())
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn name(&self) -> &str {
        "evo_press"
    }

    fn settings(&self) -> serde_json::Value {
        let (seed, children) = (self.seed.to_string(), self.brackets.size());
        json!({ "seed": seed, "initial": self.initial.hash(), "children": children, "stages": self.stages })
    }

    fn inject(&mut self, point: Point, outcome: Outcome) -> Result<(), Error> {
        let point = self.space.canonical(&point)?;
        if outcome.fidelity.is_none_or(Fidelity::is_full) {
            self.initial.leave_out(&point);
        }
        self.table.ledger.inject(point, outcome);
        Ok(())
    }

    fn restore(&mut self, trial: &Trial) -> Result<(), Error> {
        let Some(rung) = self.table.restore_promotion(trial)? else { return Ok(()) };
        let is_next = rung == self.brackets.first_rung(&self.table) && trial.id == self.ledger().next_id();
        if !is_next || !self.space.contains(&trial.point) {
            return Err(Error::Diverged { id: trial.id });
        }
        self.table.restore_new(trial, rung)
    }
}

/// The row of the table of strategies.
pub(super) const ROW: Row<Strategy> = Row::new(
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
);

fn evo_press(setup: StrategySetup, own: &tailor_registry::Settings) -> Result<Box<dyn Optimizer>, Error> {
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

    fn small(space: Space) -> Result<EvoPress, Error> {
        EvoPress::with_stages(space, 3, 6, [(3, 0.25), (2, 0.5), (1, 1.0)])
    }

    #[test]
    fn evo_press_keeps_the_laws() -> Result<(), Box<dyn std::error::Error>> {
        let mixed = Space::new().subset_of_sizes("s", 8, 1..=3).float("c", 0.0..=1.0).when_outside("s", 2);
        let masks = Space::new().mask("m", 5).mask("n", 4).when_at_least("m", 2).int("x", 0..=9);
        for space in [mixed, masks, Space::new().subset("s", 5, 2)] {
            let fresh = small(space)?;
            crate::testing::check_laws(|| fresh.clone())?;
        }
        Ok(())
    }

    #[test]
    fn a_generation_is_sifted_stage_by_stage_and_the_parent_stays_until_beaten() -> Result<(), Error> {
        let mut search = small(Space::new().float("x", 0.0..=1.0))?;
        for generation in 0..3 {
            for number in 0..11 {
                let trial = search.ask()?;
                let stage = [0.25, 0.5, 1.0][usize::from(number >= 6) + usize::from(number >= 9)];
                assert_eq!(trial.fidelity.fraction(), stage, "trial {} ({})", trial.id, trial.origin);
                let from_parent = trial.origin.to_string().starts_with("switches of ");
                assert_eq!(from_parent, generation > 0 && number < 6, "{}", trial.origin);
                search.tell(trial.id, Outcome::score(trial.point.float("x")?))?;
            }
        }
        let best = search.ledger().best().map(|best| best.trial.id);
        assert_eq!(search.parents().iter().map(|parent| Some(parent.trial.id)).collect::<Vec<_>>(), [best]);
        Ok(())
    }

    #[test]
    fn switches_keep_the_sizes_of_the_initial_point() -> Result<(), Error> {
        let space = Space::new().subset_of_sizes("s", 12, 1..=9).mask("m", 6);
        let start = Point::new().with_subset("s", [1, 2, 3, 4]).with_mask("m", [true, true, false, false, false, true]);
        let mut search = EvoPress::with_stages(space, 3, 1, [(1, 1.0)])?.with_initial(vec![start]);
        for _ in 0..100 {
            let trial = search.ask()?;
            let bits = trial.point.mask("m")?.iter().filter(|bit| **bit).count();
            assert_eq!((trial.point.subset("s")?.len(), bits), (4, 3), "{}", trial.origin);
            search.tell(trial.id, Outcome::score(trial.point.subset("s")?.iter().sum::<usize>() as f64))?;
        }
        Ok(())
    }

    #[test]
    fn a_trial_that_cannot_be_the_next_is_not_restored() -> Result<(), Error> {
        let mut search = small(Space::new().float("x", 0.0..=1.0))?;
        let first = search.clone().ask()?;
        let outside = Trial { point: Point::new().with_float("x", 2.0), ..first.clone() };
        let higher = Trial { fidelity: Fidelity::FULL, ..first.clone() };
        let promotion = Trial { origin: Origin::Promotion(TrialId(0)), ..higher.clone() };
        let later = Trial { id: TrialId(1), ..first.clone() };
        for trial in [outside, higher, promotion, later] {
            assert!(matches!(search.restore(&trial), Err(Error::Diverged { .. })), "{trial:?}");
        }
        search.restore(&first)
    }

    #[test]
    fn stages_without_sense_are_refused() {
        let refused = |children, stages: Vec<(usize, f64)>| {
            EvoPress::with_stages(Space::new().float("x", 0.0..=1.0), 1, children, stages).is_err()
        };
        assert!(refused(0, vec![(1, 1.0)]) && refused(4, vec![(5, 1.0)]) && refused(4, vec![(0, 1.0)]));
        assert!(refused(4, vec![]) && refused(4, vec![(2, 0.5)]) && refused(4, vec![(2, 0.5), (1, 0.5), (1, 1.0)]));
        assert!(refused(4, vec![(2, f64::NAN), (1, 1.0)]));
    }
}
