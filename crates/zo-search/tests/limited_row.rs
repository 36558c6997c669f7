//! A row of stacks with a limit on their sum, two of which are worth it: the default strategy looks at each one by
//! itself before it models anything.

use zo_search::{AdditiveGpSearch, Error, Optimizer as _, Outcome, Point, Propose as _, Space};

const PLACES: usize = 20;
const CHOICES: [&str; 5] = ["a", "b", "c", "a > b", "b > a"];

fn space() -> Space {
    let names: Vec<String> = (0..PLACES).map(|place| format!("stack_{place}")).collect();
    let space = names.iter().fold(Space::new(), |space, name| {
        let space = space.categorical(name.clone(), CHOICES).in_bundle(name.clone());
        space.float(format!("{name}.scale"), 0.5..=1.5).in_bundle(name.clone())
    });
    space.at_most(names, [0, 0, 0, 1, 1], 4)
}

/// "a" is best everywhere, but for "a > b" at two places; any other stack costs a little.
fn cost(point: &Point) -> Result<f64, Error> {
    let mut sum = 0.0;
    for place in 0..PLACES {
        sum += match (point.categorical(&format!("stack_{place}"))?, place) {
            ("a > b", 3 | 13) => -1.0,
            ("a", _) => 0.0,
            ("b" | "c", _) => 0.3,
            _ => 0.1,
        };
    }
    Ok(sum)
}

#[test]
fn each_stack_is_looked_at_by_itself() -> Result<(), Error> {
    for seed in 0..3 {
        let space = space().build()?;
        let everywhere = |choice: &str| {
            (0..PLACES).fold(Point::new(), |point, place| {
                point.with_categorical(format!("stack_{place}"), choice).with_float(format!("stack_{place}.scale"), 1.0)
            })
        };
        let begin = ["a", "b", "c"].map(everywhere).into();
        let mut search = AdditiveGpSearch::new(space, seed).with_trials(300).with_initial(begin);
        let (mut looked_at, mut best) = (0, f64::INFINITY);
        for _ in 0..120 {
            let trial = search.ask()?;
            looked_at += usize::from(trial.origin.to_string().contains("screening: a > b at"));
            let cost = cost(&trial.point)?;
            best = best.min(cost);
            search.tell(trial.id, Outcome::score(cost))?;
        }
        assert!(looked_at >= PLACES - 2, "{looked_at} places");
        assert!((best + 2.0).abs() < 1e-9, "seed {seed}: {best}");
    }
    Ok(())
}
