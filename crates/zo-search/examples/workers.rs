//! Any program's objective on many workers: start this as often as you like, on as many machines, at any time.
//!
//! `cargo run --release -p zo-search --features postgres --example workers -- postgresql://HOST/DATABASE ./objective`
//!
//! The program gets the values of `x`, `y` and `kind` as arguments and prints a number, which is minimised. A process
//! that is killed costs the one evaluation that it was at. Without a program, a function stands in for it.

use std::process::Command;

use zo_search::sharing::{PostgresStore, SharedStudy, Worker, WorkerInfo};
use zo_search::{FailureKind, Header, Optimizer, Outcome, Smac, Space, Stop, Trial};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("say where the study is: postgresql://HOST/DATABASE")?;
    let program = arguments.next();
    let space = Space::new().float("x", -5.0..=5.0).int("y", 0..=20).categorical("kind", ["plain", "fancy"]);
    let strategy = || Box::new(Smac::new(space.clone(), 7)) as Box<dyn Optimizer>;
    let store = PostgresStore::new(&url, "example");
    let study = SharedStudy::new(&store, Header::new("example", 7), &strategy, Stop::new().trials(100));
    let worker = Worker::new(WorkerInfo::here("example", "cpu"));
    let history = study.work(&worker, |trial| {
        objective(program.as_deref(), trial)
            .unwrap_or_else(|error| Outcome::failed(FailureKind::Crash, error.to_string()))
    })?;
    let best = history.incumbent().ok_or("no trial has a result")?;
    println!("{} trials, the best one: {:?}", history.trials().len(), best.trial.point);
    Ok(())
}

/// Runs the program on a trial's point.
fn objective(program: Option<&str>, trial: &Trial) -> Result<Outcome, Box<dyn std::error::Error>> {
    let (x, y, kind) = (trial.point.float("x")?, trial.point.int("y")?, trial.point.categorical("kind")?);
    let Some(program) = program else {
        return Ok(Outcome::score((x - 1.0).powi(2) + (y as f64 - 7.0).abs() + f64::from(kind == "fancy")));
    };
    let output = Command::new(program).args([x.to_string(), y.to_string(), kind.to_string()]).output()?;
    Ok(Outcome::score(String::from_utf8(output.stdout)?.trim().parse()?))
}
