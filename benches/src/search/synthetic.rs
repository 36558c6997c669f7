//! Problems whose smallest cost is known exactly. Each name stands for a family of instances, one for each number.
//!
//! | name | dimensions | hard because |
//! |---|---|---|
//! | `subset-24-6` | a subset of 6 of 24 | neighbours that go together interact |
//! | `nk-20-3` | 20 bits | each bit's worth depends on three others (Kauffman's NK landscapes) |
//! | `mixed-conditional` | floats, integers and choices, below one of four arms | most dimensions are not there |
//! | `sphere-N`, `ellipsoid-N`, `rotated-N` | `N` floats | of curvature: equal, unequal, unequal and turned |
//! | `int-ellipsoid-20` | 10 integers, 10 bits | steps cannot become small |

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use zo_search::{Point, Space, Trial, TrialId, generator};

use super::{Evaluated, Problem};
use crate::Outcome;

/// Cost of a point.
type Cost = Box<dyn Fn(&Point) -> Result<f64, zo_search::Error>>;
/// Makes an instance from uniform and normal numbers: the space, the cost, and the smallest cost. The name is handed on
/// to makers of several.
type Make = fn(&str, &mut dyn FnMut() -> f64, &mut dyn FnMut() -> f64) -> (Space, Cost, f64);

/// Name and maker of each.
const PROBLEMS: [(&str, Make); 9] = [
    ("subset-24-6", subset),
    ("nk-20-3", nk),
    ("mixed-conditional", mixed),
    ("sphere-5", continuous),
    ("sphere-20", continuous),
    ("ellipsoid-5", continuous),
    ("ellipsoid-20", continuous),
    ("rotated-5", continuous),
    ("rotated-20", continuous),
];
/// The problem of integers and bits.
const INTEGER: &str = "int-ellipsoid-20";

/// The names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PROBLEMS.iter().map(|(name, _)| *name).chain([INTEGER])
}

/// An instance.
struct Synthetic {
    space: Space,
    cost: Cost,
    /// The smallest cost of any point.
    optimum: f64,
}

impl Problem for Synthetic {
    fn space(&self) -> &Space {
        &self.space
    }

    fn evaluate(&mut self, trial: &Trial) -> Outcome<Evaluated> {
        Ok(Evaluated { cost: (self.cost)(&trial.point)?, instances: Vec::new() })
    }

    fn optimum(&self) -> Option<f64> {
        Some(self.optimum)
    }
}

/// The problem of a name; none if there is none.
pub(super) fn problem(name: &str, instance: u64) -> Option<Box<dyn Problem>> {
    let make = match PROBLEMS.iter().find(|(known, _)| *known == name) {
        Some((_, make)) => *make,
        None if name == INTEGER => integers,
        None => return None,
    };
    let mut uniform = generator(instance, "uniform numbers of a problem", TrialId(0));
    let mut normal = generator(instance, "normal numbers of a problem", TrialId(0));
    let (space, cost, optimum) = make(name, &mut || uniform.random(), &mut || StandardNormal.sample(&mut normal));
    Some(Box::new(Synthetic { space, cost, optimum }))
}

/// Six of 24 items go. Each has a price, higher at both ends, and neighbours that go together cost more than the two
/// alone, as layers of a model do. The optimum is found by trying all 134,596 sets.
fn subset(_: &str, _uniform: &mut dyn FnMut() -> f64, normal: &mut dyn FnMut() -> f64) -> (Space, Cost, f64) {
    const ITEMS: usize = 24;
    const GO: usize = 6;
    let middle = (ITEMS - 1) as f64 / 2.0;
    let price: Vec<f64> =
        (0..ITEMS).map(|i| normal().abs() * (1.0 + 4.0 * ((i as f64 - middle) / (middle + 0.5)).powi(4))).collect();
    let mut pair = vec![[0.0; ITEMS]; ITEMS];
    for (i, row) in pair.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate().skip(i + 1) {
            let distance = (j - i) as f64;
            *value = (normal() + if j == i + 1 { 0.5 } else { 0.0 }) * (-distance / 3.0).exp();
        }
    }
    let cost = move |items: &[usize]| -> f64 {
        let pairs = items.iter().enumerate().flat_map(|(at, i)| items[at + 1..].iter().map(move |j| (*i, *j)));
        items.iter().map(|item| price[*item]).sum::<f64>() + pairs.map(|(i, j)| pair[i][j]).sum::<f64>()
    };
    let optimum = combinations(ITEMS, GO).map(|items| cost(&items)).fold(f64::INFINITY, f64::min);
    let space = Space::new().subset("items", ITEMS, GO);
    (space, Box::new(move |point| Ok(cost(point.subset("items")?))), optimum)
}

/// All sets of `k` of `n` items, in lexicographic order.
fn combinations(n: usize, k: usize) -> impl Iterator<Item = Vec<usize>> {
    let mut next: Option<Vec<usize>> = (k <= n).then(|| (0..k).collect());
    std::iter::from_fn(move || {
        let current = next.take()?;
        let mut following = current.clone();
        if let Some(at) = (0..k).rev().find(|at| following[*at] < n - k + at) {
            following[at] += 1;
            for later in at + 1..k {
                following[later] = following[later - 1] + 1;
            }
            next = Some(following);
        }
        Some(current)
    })
}

/// Twenty bits, each of whose worth depends on itself and the three bits after it, the last ones on the first. The
/// optimum is found by trying all 2^20.
fn nk(_: &str, uniform: &mut dyn FnMut() -> f64, _: &mut dyn FnMut() -> f64) -> (Space, Cost, f64) {
    const N: usize = 20;
    const K: usize = 3;
    let worth: Vec<Vec<f64>> = (0..N).map(|_| (0..1 << (K + 1)).map(|_| uniform()).collect()).collect();
    let cost = move |bits: u32| -> f64 {
        let twice = u64::from(bits) | u64::from(bits) << N;
        let parts = worth.iter().enumerate().map(|(i, worth)| worth[(twice >> i) as usize & ((1 << (K + 1)) - 1)]);
        1.0 - parts.sum::<f64>() / N as f64
    };
    let optimum = (0..1 << N).map(&cost).fold(f64::INFINITY, f64::min);
    let number = |bits: &[bool]| bits.iter().enumerate().fold(0, |number, (i, bit)| number | u32::from(*bit) << i);
    (Space::new().mask("bits", N), Box::new(move |point| Ok(cost(number(point.mask("bits")?)))), optimum)
}

/// Four arms with dimensions of their own, some of them nested; the best arm and its best values cost 0.
fn mixed(_: &str, uniform: &mut dyn FnMut() -> f64, _: &mut dyn FnMut() -> f64) -> (Space, Cost, f64) {
    const ARMS: [&str; 4] = ["a", "b", "c", "d"];
    const NESTED: [&str; 2] = ["off", "on"];
    let mut space = Space::new().categorical("arm", ARMS);
    for arm in ARMS {
        let name = |what: &str| format!("{arm}.{what}");
        space = space.float(name("x"), 0.0..=1.0).when("arm", arm).float(name("y"), 0.0..=1.0).when("arm", arm);
        space = space.log_float(name("rate"), 1e-5..=1.0).when("arm", arm);
        space = space.int(name("count"), 0..=20).when("arm", arm);
        space = space.categorical(name("nested"), NESTED).when("arm", arm);
        for inner in ["u", "v"] {
            space = space.float(name(inner), 0.0..=1.0).when(name("nested"), "on");
        }
    }
    let best: Vec<[f64; 6]> = ARMS.iter().map(|_| [0.0; 6].map(|_: f64| 0.2 + 0.6 * uniform())).collect();
    let cost = move |point: &Point| {
        let arm = point.categorical("arm")?;
        let place = ARMS.iter().position(|known| *known == arm).unwrap_or(0);
        let (best, name) = (best[place], |what: &str| format!("{arm}.{what}"));
        let rate = 1.0 + point.float(&name("rate"))?.log10() / 5.0;
        let count = point.int(&name("count"))? as f64;
        let mut cost = 0.1 * place as f64
            + (point.float(&name("x"))? - best[0]).powi(2)
            + (point.float(&name("y"))? - best[1]).powi(2)
            + (rate - best[2]).powi(2)
            + (count - (20.0 * best[3]).round()).abs() / 20.0;
        if point.categorical(&name("nested"))? == "on" {
            cost += 0.1 + (point.float(&name("u"))? - best[4]).powi(2) + (point.float(&name("v"))? - best[5]).powi(2);
        }
        Ok(cost)
    };
    (space, Box::new(cost), 0.0)
}

/// Quadratic bowls: round, with axes of unequal curvature (up to a thousandfold), and those turned at random.
fn continuous(name: &str, uniform: &mut dyn FnMut() -> f64, normal: &mut dyn FnMut() -> f64) -> (Space, Cost, f64) {
    let dimensions = if name.ends_with("20") { 20 } else { 5 };
    let condition = if name.starts_with("sphere") { 1.0 } else { 1e3_f64 };
    let centre: Vec<f64> = (0..dimensions).map(|_| 8.0 * uniform() - 4.0).collect();
    let turn = if name.starts_with("rotated") { rotation(dimensions, normal) } else { identity(dimensions) };
    let space = (0..dimensions).fold(Space::new(), |space, i| space.float(format!("x{i}"), -5.0..=5.0));
    let cost = move |point: &Point| {
        let shifted = (0..dimensions).map(|i| Ok(point.float(&format!("x{i}"))? - centre[i]));
        let shifted = shifted.collect::<Result<Vec<f64>, zo_search::Error>>()?;
        let along = |axis: &Vec<f64>| axis.iter().zip(&shifted).map(|(a, x)| a * x).sum::<f64>();
        let terms = turn.iter().enumerate().map(|(i, axis)| curvature(condition, i, dimensions) * along(axis).powi(2));
        Ok(terms.sum())
    };
    (space, Box::new(cost), 0.0)
}

/// The curvature along an axis: from 1 along the first to `condition` along the last, evenly in its logarithm.
fn curvature(condition: f64, axis: usize, dimensions: usize) -> f64 {
    condition.powf(axis as f64 / (dimensions - 1) as f64)
}

/// The axes as they are.
fn identity(n: usize) -> Vec<Vec<f64>> {
    (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect()
}

/// Orthonormal rows, each direction as likely: normal vectors, made orthogonal one after the other.
fn rotation(n: usize, normal: &mut dyn FnMut() -> f64) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    for _ in 0..n {
        let mut row: Vec<f64> = (0..n).map(|_| normal()).collect();
        for earlier in &rows {
            let along: f64 = row.iter().zip(earlier).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(earlier).for_each(|(a, b)| *a -= along * b);
        }
        let length = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        row.iter_mut().for_each(|a| *a /= length);
        rows.push(row);
    }
    rows
}

/// Ten integers with unequal curvatures and ten bits: an ellipsoid and one-max.
fn integers(_: &str, uniform: &mut dyn FnMut() -> f64, _: &mut dyn FnMut() -> f64) -> (Space, Cost, f64) {
    const HALF: usize = 10;
    let centre: Vec<i64> = (0..HALF).map(|_| (14.0 * uniform()) as i64 - 7).collect();
    let wanted: Vec<i64> = (0..HALF).map(|_| i64::from(uniform() < 0.5)).collect();
    let space = (0..HALF).fold(Space::new(), |space, i| space.int(format!("x{i}"), -10..=10));
    let space = (0..HALF).fold(space, |space, i| space.int(format!("bit{i}"), 0..=1));
    let cost = move |point: &Point| {
        let mut cost = 0.0;
        for i in 0..HALF {
            let off = (point.int(&format!("x{i}"))? - centre[i]) as f64;
            cost += curvature(100.0, i, HALF) * off * off;
            cost += 10.0 * f64::from(u8::from(point.int(&format!("bit{i}"))? != wanted[i]));
        }
        Ok(cost)
    };
    (space, Box::new(cost), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zo_search::{Fidelity, Optimizer, RandomSearch};

    #[test]
    fn no_point_costs_less_than_the_optimum() -> Outcome {
        for name in names() {
            let mut problem = problem(name, 3).ok_or(name)?;
            let optimum = problem.optimum().ok_or(name)?;
            let mut random = RandomSearch::new(problem.space().clone(), 1);
            for _ in 0..50 {
                let cost = problem.evaluate(&random.ask()?)?.cost;
                assert!(cost >= optimum && cost.is_finite(), "{name}: {cost} below {optimum}");
            }
        }
        Ok(())
    }

    #[test]
    fn combinations_are_all_of_them() {
        let all: Vec<Vec<usize>> = combinations(4, 2).collect();
        assert_eq!(all, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
    }

    #[test]
    fn instances_differ_and_are_the_same_again() -> Outcome {
        let value = |instance| -> Outcome<f64> {
            let mut problem = problem("rotated-5", instance).ok_or("no such problem")?;
            let point = (0..5).fold(Point::new(), |point, i| point.with_float(format!("x{i}"), 1.0));
            let trial = Trial::new(TrialId(0), point, Fidelity::FULL, "test");
            Ok(problem.evaluate(&trial)?.cost)
        };
        assert_eq!(value(1)?, value(1)?);
        assert_ne!(value(1)?, value(2)?);
        Ok(())
    }
}
