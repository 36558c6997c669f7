//! Learn how to search anything: `zo-search` on a problem without a model in sight, with a journal and a resume.
//!
//! `cargo run --release -p tailor-examples --example black_box`
//!
//! A delivery van has ten stops. Which three may be left to a bicycle, in which order are the others driven, and at
//! what speed, so that time and fuel together cost least?

use zo_search::{Evolution, Header, Outcome, Point, Space, Study};

/// Where the stops lie, in kilometres from the depot.
const STOPS: [(f64, f64); 10] =
    [(1., 5.), (4., 1.), (6., 6.), (2., 2.), (9., 3.), (5., 8.), (7., 1.), (3., 9.), (8., 8.), (1., 8.)];

fn space() -> Result<Space, zo_search::Error> {
    Space::new().subset("bicycle", STOPS.len(), 3).permutation("order", STOPS.len()).float("speed", 20.0..=90.0).build()
}

/// The cost of a plan.
fn cost(plan: &Point) -> Result<f64, zo_search::Error> {
    let (bicycle, speed) = (plan.subset("bicycle")?, plan.float("speed")?);
    let distance = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).hypot(a.1 - b.1);
    let (mut at, mut driven) = ((0.0, 0.0), 0.0);
    for stop in plan.permutation("order")?.iter().filter(|stop| !bicycle.contains(stop)) {
        driven += distance(at, STOPS[*stop]);
        at = STOPS[*stop];
    }
    driven += distance(at, (0.0, 0.0));
    let cycled: f64 = bicycle.iter().map(|stop| 2.0 * distance((0.0, 0.0), STOPS[*stop])).sum();
    Ok(driven * (60.0 / speed + speed / 60.0) + 1.2 * cycled)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let journal = folder.path().join("van.jsonl");
    let strategy = || Ok::<_, zo_search::Error>(Evolution::new(space()?, 7));

    // The first half of the search; then the process could as well have been killed.
    let mut study = Study::create(&journal, Header::new("van", 7), strategy()?)?;
    run(&mut study, 1000)?;
    drop(study);

    let mut study = Study::resume(&journal, strategy()?)?;
    run(&mut study, 2000)?;
    let best = study.incumbent().ok_or("no plan")?;
    println!(
        "trial {}: cost {:.2}",
        best.trial.id,
        best.outcome.as_ref().and_then(Outcome::objective).unwrap_or(f64::NAN)
    );
    for (name, value) in best.trial.point.iter() {
        println!("  {name}: {value}");
    }
    Ok(())
}

/// Goes on until the study has so many trials.
fn run(study: &mut Study, trials: usize) -> Result<(), zo_search::Error> {
    while study.trials().len() < trials {
        let trial = study.ask()?;
        study.tell(trial.id, Outcome::score(cost(&trial.point)?))?;
    }
    Ok(())
}
