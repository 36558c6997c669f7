//! Points of a space: drawn, checked, and put together from parts of others.

use rand::Rng;

use super::{Dimension, Space};
use crate::{Error, Point, Value};

impl Space {
    /// A point drawn evenly: each dimension by itself, children where their parents make them active.
    ///
    /// # Errors
    /// What [`Space::build`] says, if that was not called.
    pub fn sample(&self, rng: &mut (impl Rng + ?Sized)) -> Result<Point, Error> {
        self.check()?;
        Ok(self.assemble(|dimension, _| dimension.domain.sample(rng)))
    }

    /// The canonical form of a point: checked, inactive values dropped. Points that mean the same become equal.
    ///
    /// ```
    /// # use zo_search::{Point, Space};
    /// let space = Space::new().mask("m", 2).float("x", 0.0..=1.0).when_at_least("m", 2);
    /// let point = Point::new().with_mask("m", [true, false]);
    /// assert_eq!(space.canonical(&point.clone().with_float("x", 0.5))?, point);
    /// # Ok::<(), zo_search::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::MissingValue`], [`Error::UnknownDimension`], [`Error::WrongType`] or [`Error::OutsideDomain`], each
    /// of which names the dimension; [`Error::BrokenConstraint`]; and what [`Space::build`] says.
    pub fn canonical(&self, point: &Point) -> Result<Point, Error> {
        self.check()?;
        if let Some((name, _)) = point.iter().find(|(name, _)| !self.dimensions.iter().any(|d| d.name == *name)) {
            return Err(Error::UnknownDimension { name: name.to_string() });
        }
        let mut canonical = Point::new();
        for dimension in &self.dimensions {
            if !dimension.is_active(&canonical) {
                continue;
            }
            let name = || dimension.name.clone();
            let value = point.get(&dimension.name).ok_or_else(|| Error::MissingValue { name: name() })?.canonical();
            if !dimension.domain.contains(&value) {
                return Err(dimension.refusal(&value));
            }
            canonical = canonical.with(name(), value);
        }
        if let Some(broken) = self.constraints.iter().find(|constraint| !constraint.holds(&canonical, self)) {
            return Err(Error::BrokenConstraint { constraint: broken.to_string() });
        }
        Ok(canonical)
    }

    /// Whether the point is one of the space, in its canonical form.
    #[must_use]
    pub fn contains(&self, point: &Point) -> bool {
        self.canonical(point).is_ok_and(|canonical| canonical == *point)
    }

    /// The dimensions that are active in a point.
    pub fn active<'a>(&'a self, point: &'a Point) -> impl Iterator<Item = &'a Dimension> {
        self.dimensions.iter().filter(|dimension| dimension.is_active(point))
    }

    /// Builds a point dimension by dimension, asking `choose` for the value of each that is active by what was chosen
    /// before. Where the whole breaks a constraint, it is put right.
    pub(crate) fn assemble(&self, choose: impl FnMut(&Dimension, &Point) -> Value) -> Point {
        let point = self.assemble_freely(choose);
        if self.constraints.is_empty() { point } else { self.repaired(point) }
    }

    /// As [`Space::assemble`], whatever the constraints say.
    pub(super) fn assemble_freely(&self, mut choose: impl FnMut(&Dimension, &Point) -> Value) -> Point {
        let mut point = Point::new();
        for dimension in &self.dimensions {
            if dimension.is_active(&point) {
                let value = choose(dimension, &point);
                point = point.with(dimension.name.clone(), value);
            }
        }
        point
    }
}

impl Dimension {
    /// Whether it is active where its parents have the values of `point`.
    #[must_use]
    pub fn is_active(&self, point: &Point) -> bool {
        self.when.iter().all(|condition| condition.holds(point))
    }

    /// Why a value is none of the dimension's.
    fn refusal(&self, value: &Value) -> Error {
        let (name, expected) = (self.name.clone(), self.domain.kind());
        if value.kind() == expected {
            Error::OutsideDomain { name, value: value.to_string(), domain: self.domain.to_string() }
        } else {
            Error::WrongType { name, expected, found: value.kind() }
        }
    }
}
