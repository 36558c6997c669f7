//! Points as vectors of real numbers, and back.

use crate::space::Domain;
use crate::space::coding::{Code, Shape, level_count};
use crate::space::order::falling;
use crate::{Point, Space, Value};

/// How wide the curved part of a float's range is at each bound, on either side of it.
const CURVE: f64 = 0.05;

/// What one coordinate stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Coordinate {
    /// A float, over its range.
    Float,
    /// A value of so many in a row, over their parts of the unit interval.
    Levels(f64),
    /// How much something is preferred to others; only the order counts.
    Preference,
}

/// The coordinates of all dimensions, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Latent {
    pub(super) coordinates: Vec<Coordinate>,
    /// Where each dimension's coordinates begin.
    firsts: Vec<usize>,
}

impl Latent {
    pub(super) fn new(space: &Space) -> Self {
        let (mut coordinates, mut firsts) = (Vec::new(), Vec::new());
        for dimension in space.dimensions() {
            firsts.push(coordinates.len());
            coordinates.extend(dimension.domain.latent());
        }
        Self { coordinates, firsts }
    }

    /// The point at a vector; inactive dimensions are left out.
    pub(super) fn decode(&self, space: &Space, x: &[f64]) -> Point {
        let mut places = space.dimensions().iter().zip(&self.firsts);
        space.assemble(|dimension, _| {
            // Dimensions come in the order of their declaration, some of them left out.
            let first = places.find(|(other, _)| other.name == dimension.name).map_or(0, |(_, first)| *first);
            dimension.domain.decoded(&x[first..])
        })
    }

    /// The vector in the middle of what stands for a point, and in the middle of all where it says nothing.
    pub(super) fn encode(&self, space: &Space, point: &Point) -> Vec<f64> {
        let mut x = vec![0.5; self.coordinates.len()];
        for (dimension, first) in space.dimensions().iter().zip(&self.firsts) {
            if let Some(value) = point.get(&dimension.name) {
                for (place, coordinate) in x[*first..].iter_mut().zip(dimension.domain.encoded(value)) {
                    *place = coordinate;
                }
            }
        }
        x
    }
}

impl Domain {
    fn latent(&self) -> Vec<Coordinate> {
        match self.shape() {
            _ if !self.varies() => Vec::new(),
            Shape::Unit => vec![Coordinate::Float],
            Shape::Levels { first, last } => vec![Coordinate::Levels(level_count(first, last) as f64)],
            Shape::Choices(2) => vec![Coordinate::Levels(2.0)],
            Shape::Choices(n) | Shape::Order(n) => vec![Coordinate::Preference; n],
            Shape::Bits(n) => vec![Coordinate::Levels(2.0); n],
            Shape::Items(_) => vec![Coordinate::Preference; self.free_items().len()],
        }
    }

    /// The value at coordinates that may have others behind them.
    fn decoded(&self, x: &[f64]) -> Value {
        let x = &x[..self.latent().len()];
        let at = x.first().copied().unwrap_or(0.0);
        self.decode(match self.shape() {
            Shape::Unit => Code::Unit(folded(at)),
            Shape::Levels { first, last } => {
                let count = level_count(first, last);
                Code::Level((libm::floor(at * count as f64) as i128).clamp(0, count - 1))
            }
            Shape::Choices(2) => Code::Choice(usize::from(at >= 0.5)),
            Shape::Choices(_) => Code::Choice(falling(x).first().map_or(0, |place| *place)),
            Shape::Bits(_) => Code::Bits(x.iter().map(|x| *x >= 0.5).collect()),
            Shape::Items(items) => {
                let free = self.free_items();
                let wanted = items.always.len() + x.iter().filter(|x| **x >= 0.5).count();
                let size = wanted.clamp(*items.sizes.start(), *items.sizes.end()) - items.always.len();
                let chosen = if x.is_empty() { (0..size).collect() } else { falling(x) };
                let chosen = chosen.into_iter().take(size).map(|place| free[place]);
                Code::Items(items.always.iter().copied().chain(chosen).collect())
            }
            Shape::Order(n) => Code::Order(if x.is_empty() { (0..n).collect() } else { falling(x) }),
        })
    }

    fn encoded(&self, value: &Value) -> Vec<f64> {
        let preferred = |yes: bool| if yes { 0.75 } else { 0.25 };
        let Some(code) = self.encode(value).filter(|_| self.varies()) else { return Vec::new() };
        match (code, self.shape()) {
            (Code::Unit(place), _) => vec![unfolded(place)],
            (Code::Level(level), Shape::Levels { first, last }) => {
                vec![(level as f64 + 0.5) / ((level_count(first, last) - 1) as f64 + 1.0)]
            }
            (Code::Choice(place), Shape::Choices(2)) => vec![preferred(place == 1)],
            (Code::Choice(place), Shape::Choices(n)) => (0..n).map(|other| preferred(other == place)).collect(),
            (Code::Bits(bits), _) => bits.iter().map(|bit| preferred(*bit)).collect(),
            (Code::Items(items), _) => self.free_items().iter().map(|item| preferred(items.contains(item))).collect(),
            (Code::Order(items), _) => {
                let n = items.len();
                let mut x = vec![0.5; n];
                for (place, item) in items.iter().enumerate() {
                    x[*item] = 1.0 - (place as f64 + 0.5) / n as f64;
                }
                x
            }
            _ => Vec::new(),
        }
    }
}

/// The number line on `[0, 1]`: the identity in the middle, a parabola near each bound, so that the bound itself is
/// reached and the curve has no kink, and mirrored beyond (pycma's `BoxConstraintsLinQuadTransformation`).
fn folded(x: f64) -> f64 {
    let period = 2.0 * (1.0 + 2.0 * CURVE);
    let place = x + CURVE;
    let place = place - period * libm::floor(place / period);
    let x = place.min(period - place) - CURVE;
    if x < CURVE {
        (x + CURVE) * (x + CURVE) / (4.0 * CURVE)
    } else if x > 1.0 - CURVE {
        1.0 - (1.0 + CURVE - x) * (1.0 + CURVE - x) / (4.0 * CURVE)
    } else {
        x
    }
}

/// The inverse of [`folded`].
fn unfolded(unit: f64) -> f64 {
    if unit < CURVE {
        2.0 * (CURVE * unit.max(0.0)).sqrt() - CURVE
    } else if unit > 1.0 - CURVE {
        1.0 + CURVE - 2.0 * (CURVE * (1.0 - unit).max(0.0)).sqrt()
    } else {
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, TrialId, generator};

    #[test]
    fn a_point_comes_back_from_its_vector() -> Result<(), Error> {
        let space = Space::new()
            .subset_of_sizes("s", 9, 2..=4)
            .always([3])
            .mask("m", 3)
            .when_outside("s", 2)
            .categorical("c", ["a", "b", "c"])
            .categorical("two", ["a", "b"])
            .int("i", -5..=9)
            .int("fixed", 3..=3)
            .permutation("p", 5)
            .subset("all", 4, 4)
            .log_float("r", 1e-3..=1.0)
            .build()?;
        let latent = Latent::new(&space);
        for id in 0..200 {
            let point = space.sample(&mut generator(1, "test", TrialId(id)))?;
            let back = latent.decode(&space, &latent.encode(&space, &point));
            assert!(space.contains(&back));
            assert!((point.float("r")? / back.float("r")? - 1.0).abs() < 1e-9);
            assert_eq!(point.with_float("r", 0.5), back.with_float("r", 0.5));
        }
        Ok(())
    }

    #[test]
    fn folding_reaches_both_bounds_without_a_kink() {
        assert_eq!((folded(-CURVE), folded(1.0 + CURVE), folded(0.3)), (0.0, 1.0, 0.3));
        for step in -300..300 {
            let x = f64::from(step) * 0.01;
            assert!((0.0..=1.0).contains(&folded(x)));
            assert!((folded(x + 1e-6) - folded(x)).abs() < 1.01e-6);
        }
        for unit in [0.0, 0.001, 0.04, 0.5, 0.97, 1.0] {
            assert!((folded(unfolded(unit)) - unit).abs() < 1e-12);
        }
    }
}
