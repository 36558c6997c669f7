//! Points as vectors of real numbers, and back.

use crate::space::Domain;
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
        match self {
            _ if !self.varies() => Vec::new(),
            Self::Float { .. } => vec![Coordinate::Float],
            Self::Int { low, high } => vec![Coordinate::Levels((i128::from(*high) - i128::from(*low) + 1) as f64)],
            Self::Categorical { choices } if choices.len() == 2 => vec![Coordinate::Levels(2.0)],
            Self::Categorical { choices } => vec![Coordinate::Preference; choices.len()],
            Self::Mask { n } => vec![Coordinate::Levels(2.0); *n],
            Self::Subset { .. } => vec![Coordinate::Preference; self.free_items().len()],
            Self::Permutation { n } => vec![Coordinate::Preference; *n],
        }
    }

    /// The value at coordinates that may have others behind them.
    fn decoded(&self, x: &[f64]) -> Value {
        let x = &x[..self.latent().len()];
        let first = x.first().copied().unwrap_or(0.0);
        match self {
            Self::Float { .. } => self.at_unit(folded(first)),
            Self::Int { low, high } => {
                let count = i128::from(*high) - i128::from(*low) + 1;
                let place = (libm::floor(first * count as f64) as i128).clamp(0, count - 1);
                // Between the bounds, which are of this type.
                Value::Int(i64::try_from(i128::from(*low) + place).unwrap_or(*high))
            }
            Self::Categorical { choices } => {
                let place =
                    if choices.len() == 2 { usize::from(first >= 0.5) } else { falling(x).first().map_or(0, |at| *at) };
                Value::Categorical(choices[place].clone())
            }
            Self::Mask { .. } => Value::Mask(x.iter().map(|x| *x >= 0.5).collect()),
            Self::Subset { always, .. } => {
                let free = self.free_items();
                let wanted = always.len() + x.iter().filter(|x| **x >= 0.5).count();
                let size = wanted.clamp(*self.sizes().start(), *self.sizes().end()) - always.len();
                let chosen = if x.is_empty() { (0..size).collect() } else { falling(x) };
                let chosen = chosen.into_iter().take(size).map(|place| free[place]);
                Value::Subset(always.iter().copied().chain(chosen).collect()).canonical()
            }
            Self::Permutation { n } => Value::Permutation(if x.is_empty() { (0..*n).collect() } else { falling(x) }),
        }
    }

    fn encoded(&self, value: &Value) -> Vec<f64> {
        let preferred = |yes: bool| if yes { 0.75 } else { 0.25 };
        match (self, value) {
            _ if !self.varies() => Vec::new(),
            (Self::Float { .. }, Value::Float(x)) => vec![unfolded(self.to_unit(*x))],
            (Self::Int { low, high }, Value::Int(x)) => {
                let span = |to: i64| (i128::from(to) - i128::from(*low)) as f64;
                vec![(span(*x) + 0.5) / (span(*high) + 1.0)]
            }
            (Self::Categorical { choices }, Value::Categorical(choice)) if choices.len() == 2 => {
                vec![preferred(choices[1] == *choice)]
            }
            (Self::Categorical { choices }, Value::Categorical(choice)) => {
                choices.iter().map(|other| preferred(other == choice)).collect()
            }
            (Self::Mask { .. }, Value::Mask(bits)) => bits.iter().map(|bit| preferred(*bit)).collect(),
            (Self::Subset { .. }, Value::Subset(items)) => {
                self.free_items().iter().map(|item| preferred(items.contains(item))).collect()
            }
            (Self::Permutation { n }, Value::Permutation(items)) => {
                let mut x = vec![0.5; *n];
                for (place, item) in items.iter().enumerate() {
                    x[*item] = 1.0 - (place as f64 + 0.5) / *n as f64;
                }
                x
            }
            _ => Vec::new(),
        }
    }
}

/// The number line on `[0, 1]`: the identity in the middle, a parabola near each bound, so that the bound itself is reached and the
/// curve has no kink, and mirrored beyond (pycma's `BoxConstraintsLinQuadTransformation`).
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
