//! What is chosen together: the dimensions that are active in the same points.

use rand::Rng;

use super::Tpe;
use super::coordinates::Columns;
use super::parzen::Parzen;
use super::split::split;
use crate::space::Condition;
use crate::{Entry, Point, Space};

/// The dimensions under the same conditions.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The conditions that they share.
    when: Vec<Condition>,
    /// Their places in the space.
    dimensions: Vec<usize>,
    /// The first column of a row that is theirs; none if none of them varies.
    column: Option<usize>,
}

/// All groups, parents before children; the first one is always active.
pub(super) fn groups(space: &Space, columns: &[Columns]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (place, (dimension, columns)) in space.dimensions().iter().zip(columns).enumerate() {
        let column = (!columns.coordinates.is_empty()).then_some(columns.first);
        match groups.iter_mut().find(|group| group.when == dimension.when) {
            Some(group) => {
                group.dimensions.push(place);
                group.column = group.column.or(column);
            }
            None => groups.push(Group { when: dimension.when.clone(), dimensions: vec![place], column }),
        }
    }
    groups
}

impl Group {
    /// Whether it has values, those of its parents being in the point.
    pub(super) fn is_active(&self, point: &Point) -> bool {
        self.when.iter().all(|condition| condition.holds(point))
    }

    /// Whether the group was active in the point of this row.
    fn has_values(&self, row: &[f64]) -> bool {
        self.column.is_some_and(|column| !row[column].is_nan())
    }
}

/// The density of good values for a group against that of the others.
pub(super) struct Contrast<'a> {
    below: Parzen<'a>,
    above: Parzen<'a>,
}

impl<'a> Contrast<'a> {
    /// From the trials in which the group was active, good and others among themselves: an arm that was tried seldom,
    /// and is not among the best of all, still learns which of its values are good.
    pub(super) fn new(search: &'a Tpe, group: &Group) -> Self {
        let told = search.state.ledger.evidence().zip(&search.rows).filter(|(_, row)| group.has_values(row));
        let (entries, rows): (Vec<&Entry>, Vec<&[f64]>) = told.map(|(entry, row)| (entry, row.as_slice())).unzip();
        let split = split(&entries);
        let rows = |places: &[usize]| places.iter().map(|place| rows[*place]).collect::<Vec<_>>();
        let all = search.state.space.dimensions();
        let dimensions = || group.dimensions.iter().map(|place| (&all[*place], &search.columns[*place]));
        let below = Parzen::new(dimensions(), &rows(&split.below), !split.several);
        Self { below, above: Parzen::new(dimensions(), &rows(&split.above), true) }
    }

    /// Values drawn from the density of the good ones, those of the largest ratio first; of equals the one drawn
    /// first.
    pub(super) fn candidates(&self, count: usize, rng: &mut impl Rng) -> Vec<Point> {
        let drawn = (0..count).map(|_| {
            let values = self.below.draw(rng);
            (self.below.ln_density(&values) - self.above.ln_density(&values), values)
        });
        let mut drawn: Vec<(f64, Point)> = drawn.collect();
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
        drawn.into_iter().map(|(_, values)| values).collect()
    }
}
