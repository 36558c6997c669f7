//! Learn how to search with a strategy of your own: implement `Propose`, give it a row in the table of strategies, name
//! it in the study.
//!
//! `cargo run --release -p tailor-examples --example custom_optimizer`
//!
//! The strategy here is hill climbing: it begins with the points that Tailor proposes, then looks around the best one
//! so far by changing one of its values. Laws that a strategy keeps are tried by `zo_search::testing::check_laws`.

use std::path::Path;

use recipe_search::registry::{Choice, Entry, Parameter, Settings};
use recipe_search::{Event, Search, StudyFile, StudyFolder, Tables};
use zo_search::{Error, Optimizer, Origin, Point, Propose, StrategyKind, StrategySetup, StrategyState, TrialId};

struct HillClimbing {
    state: StrategyState,
}

impl Propose for HillClimbing {
    const NAME: &'static str = "hill climbing";

    fn state(&self) -> &StrategyState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut StrategyState {
        &mut self.state
    }

    fn propose(&mut self, id: TrialId) -> Result<(Point, Origin), Error> {
        let mut random = self.state.generator("hill climbing", id);
        if let Some(best) = self.state.ledger().best() {
            let neighbour = self.state.space().mutate(&best.trial.point, 1, &mut random);
            if !self.state.ledger().knows(&neighbour) {
                return Ok((neighbour, "neighbour of the best".into()));
            }
        }
        Ok((self.state.unknown_point(&mut random)?, "random".into()))
    }
}

/// The row of the table: `strategy = { name = "hill_climbing", designs = 20 }`.
struct HillClimbingKind;

const PARAMETERS: &[Parameter] =
    &[Parameter::integer("designs", 0, 1000, "How many of the proposed points it begins with.")
        .with_default_integer(20)];

impl Entry for HillClimbingKind {
    fn name(&self) -> &str {
        "hill_climbing"
    }

    fn summary(&self) -> &str {
        "Changes one value of the best point so far."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }
}

impl StrategyKind for HillClimbingKind {
    fn build(&self, setup: StrategySetup, parameters: &Settings) -> Result<Box<dyn Optimizer>, Error> {
        let mut initial = setup.initial;
        initial.truncate(parameters.count("designs")?);
        Ok(Box::new(HillClimbing { state: StrategyState::new(setup.space, setup.seed) }.with_initial(initial)))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut study = StudyFile::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("quickstart.toml"))?;
    study.search.trials = 40;
    study.search.rungs = vec![1.0];
    study.tasks.iter_mut().for_each(|task| task.limit = Some(60));
    study.search.strategy = Choice::new("hill_climbing").with("designs", 10);
    let mut tables = Tables::standard();
    tables.strategies.register(Box::new(HillClimbingKind))?;
    let search = Search::new(study.check_with(tables)?)?;
    let folder = tempfile::tempdir()?;
    let found = search.run(&StudyFolder::new(folder.path().join("study")), &mut |event| {
        if let Event::Trial { id, objective: Some(objective), .. } = event {
            println!("trial {id}: {objective:.4}");
        }
    })?;
    println!("chosen: {}", found.result.best.name);
    Ok(())
}
