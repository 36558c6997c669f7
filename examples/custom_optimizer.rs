//! Learn how to search with a strategy of your own: implement `Optimizer`, hand it to Tailor.
//!
//! `cargo run --release -p tailor-examples --example custom_optimizer`
//!
//! The strategy here is hill climbing: it begins with the points that Tailor proposes, then looks around the best one so far by
//! drawing one of its values anew. Laws that a strategy keeps are tried by `zo_search::testing::check_laws`.

use std::path::Path;

use recipe_search::{Event, Search, StudyFile, StudyFolder};
use zo_search::{Error, Fidelity, Ledger, Optimizer, Outcome, Point, Space, Trial, TrialId, generator};

struct HillClimbing {
    space: Space,
    seed: u64,
    initial: Vec<Point>,
    ledger: Ledger,
}

impl HillClimbing {
    /// The best point so far with one dimension drawn anew, and what that makes inactive or active put right.
    fn neighbour(&self, best: &Point) -> Result<Point, Error> {
        let mut random = generator(self.seed, "hill climbing", self.ledger.next_id());
        let fresh = self.space.sample(&mut random)?;
        let names: Vec<&str> = fresh.iter().map(|(name, _)| name).collect();
        let changed = names[rand::Rng::next_u64(&mut random) as usize % names.len()];
        let values =
            best.iter().filter(|(name, _)| *name != changed).chain(fresh.iter().filter(|(name, _)| *name == changed));
        let mixed = values.fold(fresh.clone(), |point, (name, value)| point.with(name, value.clone()));
        Ok(self.space.canonical(&mixed).unwrap_or(fresh))
    }
}

impl Optimizer for HillClimbing {
    fn ask(&mut self) -> Result<Trial, Error> {
        let next = self.ledger.next_id().0 as usize;
        if let Some(point) = self.initial.get(next) {
            return Ok(self.ledger.issue(point.clone(), Fidelity::FULL, "initial"));
        }
        let point = match self.ledger.best() {
            Some(best) => self.neighbour(&best.trial.point)?,
            None => self.space.sample(&mut generator(self.seed, "hill climbing", self.ledger.next_id()))?,
        };
        Ok(self.ledger.issue(point, Fidelity::FULL, "neighbour of the best"))
    }

    fn tell(&mut self, id: TrialId, outcome: Outcome) -> Result<(), Error> {
        self.ledger.tell(id, outcome)
    }

    fn space(&self) -> &Space {
        &self.space
    }

    fn name(&self) -> &str {
        "hill climbing"
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut study = StudyFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("quickstart.toml"))?;
    study.search.trials = 40;
    study.search.rungs = vec![1.0];
    study.tasks.iter_mut().for_each(|task| task.limit = Some(60));
    let search = Search::new(study.check()?)?.with_optimizer(|space, seed, mut initial| {
        initial.truncate(20);
        Ok(Box::new(HillClimbing { space: space.clone(), seed, initial, ledger: Ledger::new() }))
    });
    let folder = tempfile::tempdir()?;
    let result = search.run(&StudyFolder::new(folder.path().join("study")), &mut |event| {
        if let Event::Trial { id, objective: Some(objective), .. } = event {
            println!("trial {id}: {objective:.4}");
        }
    })?;
    println!("chosen: {}", result.confirmation[result.chosen].name);
    Ok(())
}
