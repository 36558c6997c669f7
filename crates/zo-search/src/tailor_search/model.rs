//! A Gaussian process whose kernel is a sum over the sites: what each removal and each choice does by itself, what neighbours that
//! go together do, what holds along the row, and a residual that knows whole points. What a part of the instances says too much or too
//! little of a point is a function of the point as well: seen again on the same part, it is no new evidence.

use super::sites::Coded;

/// How near two items must be for their joint removal to have an effect of its own.
const REACH: usize = 3;
/// The parts of the kernel, by place in [`Weights`].
const PARTS: usize = 6;
const REMOVAL: usize = 0;
const PROFILE: usize = 1;
const PAIRS: usize = 2;
const CHOICE: usize = 3;
const OTHERS: usize = 4;
const RESIDUAL: usize = 5;
/// Variances to begin with; the noise is that of an observation on all instances.
const PRIOR: Weights = Weights { parts: [0.5, 0.5, 0.2, 0.1, 0.2, 0.3], partial: 0.1, noise: 0.02 };
/// Factors tried for each variance.
const FACTORS: [f64; 2] = [0.3, 3.0];
/// How far the logarithm of a variance may stray from that of the prior: a standard deviation.
const SPREAD: f64 = 1.5;
/// Width of a choice's bell, in units of the embedding.
const WIDTH: f64 = 0.5;
/// Width of the residual's bell: this fraction of the sites.
const RESIDUAL_WIDTH: f64 = 0.2;
/// Points that differ by less than so much of a site have one effect.
const SAME: f64 = 0.1;

/// Variances of the kernel's parts and of the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weights {
    parts: [f64; PARTS],
    partial: f64,
    noise: f64,
}

impl Weights {
    /// All of them, one after the other.
    fn each(&mut self) -> impl Iterator<Item = &mut f64> {
        self.parts.iter_mut().chain([&mut self.partial, &mut self.noise])
    }
}

/// What was seen of a point.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) coded: Coded,
    pub(super) value: f64,
    /// Whether it was seen on a part of the instances only.
    pub(super) partial: bool,
}

/// The posterior.
pub(super) struct Model {
    seen: Vec<Seen>,
    weights: Weights,
    mean: f64,
    scale: f64,
    /// The lower triangle of the Cholesky factor, row by row.
    factor: Vec<f64>,
    alpha: Vec<f64>,
}

impl Model {
    /// The posterior of what was seen. `known` are the variances of an earlier fit; none: they are fitted.
    pub(super) fn fit(seen: Vec<Seen>, known: Option<Weights>) -> Self {
        let n = seen.len().max(1) as f64;
        let mean = seen.iter().map(|seen| seen.value).sum::<f64>() / n;
        let variance = seen.iter().map(|seen| (seen.value - mean) * (seen.value - mean)).sum::<f64>() / n;
        let scale = libm::sqrt(variance).max(1e-9);
        let target: Vec<f64> = seen.iter().map(|seen| (seen.value - mean) / scale).collect();
        let grams = Grams::of(&seen);
        let weights = known.unwrap_or_else(|| grams.fitted(&target, &seen));
        let factor = grams.factor(&weights, &seen);
        let alpha = solve(&factor, &target);
        Self { seen, weights, mean, scale, factor, alpha }
    }

    pub(super) fn weights(&self) -> Weights {
        self.weights
    }

    /// The kernel between a point and all that was seen.
    fn against(&self, point: &Coded) -> Vec<f64> {
        self.seen.iter().map(|seen| mixed(&parts(point, &seen.coded), &self.weights)).collect()
    }

    /// The mean at a point.
    pub(super) fn mean(&self, point: &Coded) -> f64 {
        let kernel = self.against(point);
        self.mean + self.scale * dot(&kernel, &self.alpha)
    }

    /// Mean and standard deviation at a point, without the noise; and whether it is all but one of those that were seen.
    pub(super) fn predict(&self, point: &Coded) -> (f64, f64, bool) {
        let mut likeness: f64 = 0.0;
        let against = self.seen.iter().map(|seen| {
            let parts = parts(point, &seen.coded);
            likeness = likeness.max(parts[RESIDUAL]);
            mixed(&parts, &self.weights)
        });
        let kernel: Vec<f64> = against.collect();
        let near = likeness > residual(SAME, point);
        let mean = self.mean + self.scale * dot(&kernel, &self.alpha);
        let half = forward(&self.factor, &kernel);
        let variance = mixed(&parts(point, point), &self.weights) - dot(&half, &half);
        (mean, self.scale * libm::sqrt(variance.max(1e-12)), near)
    }

    /// What removing an item adds to the mean, neighbours aside.
    pub(super) fn removal(&self, item: usize, profile: &[f64]) -> f64 {
        self.sum(|seen| {
            let own = f64::from(seen.coded.items[item].is_none());
            self.weights.parts[REMOVAL] * own + self.weights.parts[PROFILE] * dot(profile, &seen.coded.profile)
        })
    }

    /// What a choice for a kept item adds to the mean.
    pub(super) fn choice(&self, item: usize, embedding: &[f64], profile: &[f64]) -> f64 {
        self.sum(|seen| {
            let own = seen.coded.items[item].as_ref().map_or(0.0, |other| bell(embedding, other));
            self.weights.parts[CHOICE] * own + self.weights.parts[PROFILE] * dot(profile, &seen.coded.profile)
        })
    }

    /// What the joint removal of an item and the next one adds to the mean.
    pub(super) fn neighbours(&self, item: usize) -> f64 {
        let both = |seen: &Seen| seen.coded.items[item].is_none() && seen.coded.items[item + 1].is_none();
        self.sum(|seen| self.weights.parts[PAIRS] * f64::from(both(seen)))
    }

    /// What a value of another dimension adds to the mean.
    pub(super) fn other(&self, dimension: usize, value: &[f64]) -> f64 {
        self.sum(|seen| {
            let own = seen.coded.others[dimension].as_ref().map_or(0.0, |other| bell(value, other));
            self.weights.parts[OTHERS] * own
        })
    }

    fn sum(&self, kernel: impl Fn(&Seen) -> f64) -> f64 {
        self.scale * self.seen.iter().zip(&self.alpha).map(|(seen, alpha)| alpha * kernel(seen)).sum::<f64>()
    }
}

/// The parts of the kernel between two points.
fn parts(a: &Coded, b: &Coded) -> [f64; PARTS] {
    let mut parts = [0.0; PARTS];
    let mut apart = 0.0;
    for (a, b) in a.items.iter().zip(&b.items) {
        match (a, b) {
            (None, None) => parts[REMOVAL] += 1.0,
            (Some(a), Some(b)) => {
                let alike = bell(a, b);
                parts[CHOICE] += alike;
                apart += 1.0 - alike;
            }
            _ => apart += 2.0,
        }
    }
    parts[PROFILE] = dot(&a.profile, &b.profile);
    for (place, first) in a.removed.iter().enumerate() {
        for second in a.removed[place + 1..].iter().take_while(|second| *second - first <= REACH) {
            if b.items[*first].is_none() && b.items[*second].is_none() {
                parts[PAIRS] += 1.0 / (1_u64 << (second - first - 1)) as f64;
            }
        }
    }
    for (a, b) in a.others.iter().zip(&b.others) {
        let alike = match (a, b) {
            (Some(a), Some(b)) => bell(a, b),
            (None, None) => 1.0,
            _ => 0.0,
        };
        parts[OTHERS] += alike;
        apart += 1.0 - alike;
    }
    parts[RESIDUAL] = residual(apart, a);
    parts
}

/// The residual's bell at a distance, in sites that differ.
fn residual(apart: f64, point: &Coded) -> f64 {
    let sites = (point.items.len() + point.others.len()) as f64;
    libm::exp(-apart / (RESIDUAL_WIDTH * sites).max(1.0))
}

fn bell(a: &[f64], b: &[f64]) -> f64 {
    let distance: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    if distance == 0.0 { 1.0 } else { libm::exp(-distance / (2.0 * WIDTH * WIDTH)) }
}

fn mixed(parts: &[f64; PARTS], weights: &Weights) -> f64 {
    parts.iter().zip(&weights.parts).map(|(part, weight)| part * weight).sum()
}

/// The kernel's parts between all pairs that were seen, lower triangles row by row.
struct Grams(Vec<[f64; PARTS]>);

impl Grams {
    fn of(seen: &[Seen]) -> Self {
        let rows = seen.iter().enumerate();
        Self(rows.flat_map(|(i, a)| seen[..=i].iter().map(|b| parts(&a.coded, &b.coded))).collect())
    }

    fn factor(&self, weights: &Weights, seen: &[Seen]) -> Vec<f64> {
        let mut matrix: Vec<f64> = self.0.iter().map(|parts| mixed(parts, weights)).collect();
        for (i, one) in seen.iter().enumerate() {
            let row = triangle(i)..=triangle(i) + i;
            for ((value, parts), other) in matrix[row.clone()].iter_mut().zip(&self.0[row]).zip(seen) {
                if one.partial && other.partial {
                    *value += weights.partial * parts[RESIDUAL];
                }
            }
            matrix[triangle(i) + i] += weights.noise + 1e-8;
        }
        factorise(&mut matrix, seen.len());
        matrix
    }

    /// The variances of highest posterior density, by one coordinate after the other.
    fn fitted(&self, target: &[f64], seen: &[Seen]) -> Weights {
        let mut best = PRIOR;
        let mut density = self.density(&best, target, seen);
        for _ in 0..3 {
            let before = density;
            for part in 0..PARTS + 2 {
                for factor in FACTORS {
                    let mut tried = best;
                    tried.each().skip(part).take(1).for_each(|variance| *variance *= factor);
                    let found = self.density(&tried, target, seen);
                    if found > density {
                        (best, density) = (tried, found);
                    }
                }
            }
            if density <= before {
                break;
            }
        }
        best
    }

    fn density(&self, weights: &Weights, target: &[f64], seen: &[Seen]) -> f64 {
        let factor = self.factor(weights, seen);
        let half = forward(&factor, target);
        let volume: f64 = (0..target.len()).map(|i| libm::log(factor[triangle(i) + i])).sum();
        let stray = |found: f64, prior: f64| libm::pow(libm::log(found / prior) / SPREAD, 2.0) / 2.0;
        let (mut weights, mut prior) = (*weights, PRIOR);
        let strays = weights.each().zip(prior.each()).map(|(found, prior)| stray(*found, *prior));
        -0.5 * dot(&half, &half) - volume - strays.sum::<f64>()
    }
}

/// Where row `i` of a lower triangle begins.
fn triangle(i: usize) -> usize {
    i * (i + 1) / 2
}

/// Cholesky's factorisation of a lower triangle, in place; a pivot that is not positive is taken as a tiny one.
fn factorise(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        let (above, row) = matrix.split_at_mut(triangle(i));
        for j in 0..=i {
            let (known, rest) = row.split_at_mut(j);
            if j < i {
                let other = &above[triangle(j)..=triangle(j) + j];
                rest[0] = (rest[0] - dot(known, &other[..j])) / other[j];
            } else {
                rest[0] = libm::sqrt((rest[0] - dot(known, known)).max(1e-12));
            }
        }
    }
}

/// `L⁻¹ b`.
fn forward(factor: &[f64], b: &[f64]) -> Vec<f64> {
    let mut x = Vec::with_capacity(b.len());
    for (i, b) in b.iter().enumerate() {
        let row = &factor[triangle(i)..=triangle(i) + i];
        x.push((b - dot(&row[..i], &x)) / row[i]);
    }
    x
}

/// `(L Lᵀ)⁻¹ b`.
fn solve(factor: &[f64], b: &[f64]) -> Vec<f64> {
    let mut x = forward(factor, b);
    for i in (0..x.len()).rev() {
        x[i] /= factor[triangle(i) + i];
        let found = x[i];
        for (j, x) in x[..i].iter_mut().enumerate() {
            *x -= factor[triangle(i) + j] * found;
        }
    }
    x
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tailor_search::sites::Sites;
    use crate::{Error, Space, TrialId, generator};

    fn space() -> Space {
        (0..5).fold(Space::new().subset("s", 5, 2), |space, item| {
            space.float(item.to_string(), 0.0..=1.0).when_outside("s", item)
        })
    }

    fn seen(count: u64, partial: bool) -> Result<Vec<Seen>, Error> {
        let (space, sites) = (space(), Sites::of(&space(), None));
        (0..count)
            .map(|id| {
                let point = space.sample(&mut generator(1, "model", TrialId(id)))?;
                let value = point.subset("s")?.iter().sum::<usize>() as f64;
                Ok(Seen { coded: sites.code(&point), value, partial })
            })
            .collect()
    }

    #[test]
    fn the_factor_times_its_transpose_is_the_matrix() {
        let full = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let mut factor: Vec<f64> = (0..3).flat_map(|i| full[i][..=i].to_vec()).collect();
        factorise(&mut factor, 3);
        let at = |i: usize, j: usize| if j > i { 0.0 } else { factor[triangle(i) + j] };
        for (i, row) in full.iter().enumerate() {
            for (j, expected) in row.iter().enumerate() {
                let found: f64 = (0..3).map(|k| at(i, k) * at(j, k)).sum();
                assert!((found - expected).abs() < 1e-12, "{i} {j}: {found}");
            }
        }
        let solved = solve(&factor, &[1.0, 2.0, 3.0]);
        for (row, expected) in full.iter().zip([1.0, 2.0, 3.0]) {
            assert!((dot(row, &solved) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn what_was_seen_is_known_and_what_was_not_is_foretold_from_it() -> Result<(), Error> {
        let all = seen(60, false)?;
        let model = Model::fit(all[..40].to_vec(), None);
        for seen in &all[..40] {
            let (mean, deviation, near) = model.predict(&seen.coded);
            assert!((mean - seen.value).abs() < 0.3 && deviation < 0.5 && near, "{mean} for {}", seen.value);
        }
        let mean = all.iter().map(|seen| seen.value).sum::<f64>() / 60.0;
        let squares =
            |value: &dyn Fn(&Seen) -> f64| all[40..].iter().map(|s| (value(s) - s.value).powi(2)).sum::<f64>();
        assert!(squares(&|seen| model.mean(&seen.coded)) < 0.1 * squares(&|_| mean));
        Ok(())
    }

    /// The picture that is assembled is the additive part of the mean: differences of it are differences of the mean, as far as the
    /// residual and the other sites are the same.
    #[test]
    fn the_additive_picture_ranks_removals_as_the_values_do() -> Result<(), Error> {
        let model = Model::fit(seen(60, false)?, None);
        let cost = |item: usize| {
            let share = |kept: Option<&[f64]>| crate::tailor_search::sites::share(item, 5, kept, 1);
            model.removal(item, &share(None)) - model.choice(item, &[0.5], &share(Some(&[0.5])))
        };
        let costs: Vec<f64> = (0..5).map(cost).collect();
        assert!(costs.windows(2).all(|pair| pair[0] < pair[1]), "{costs:?}");
        Ok(())
    }

    #[test]
    fn the_same_part_seen_again_and_again_is_not_trusted_more() -> Result<(), Error> {
        let deviation = |partial: bool| -> Result<f64, Error> {
            let one = seen(1, partial)?;
            let many: Vec<Seen> = (0..20).flat_map(|_| one.clone()).collect();
            let model = Model::fit(many, Some(PRIOR));
            Ok(model.predict(&one[0].coded).1)
        };
        assert!(deviation(true)? > 3.0 * deviation(false)?, "{} {}", deviation(true)?, deviation(false)?);
        Ok(())
    }
}
