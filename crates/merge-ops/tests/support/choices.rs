//! Independent forms of methods that choose elements, to tell a wrong choice from one that is equally right.

use layer_ir::{Expr, Family, Merge, Parameters, Source, ValidRecipe};

use super::Outcome;

/// An independent `ties` or `breadcrumbs` of single elements, with all ways to resolve equal magnitudes at the cuts.
pub struct Trimmed {
    base: Vec<f32>,
    differences: Vec<Vec<f32>>,
    /// The smallest and the largest magnitude that stays.
    cuts: Vec<[f32; 2]>,
    weights: Vec<f32>,
    election: bool,
    normalize: bool,
}

impl Trimmed {
    pub fn of(family: &Family, recipe: &ValidRecipe, tensor: &str) -> Outcome<Self> {
        let numbers = |model: &str, name: &str| Ok::<_, layer_ir::Error>(family.get(model)?.tensor(name)?.to_f32());
        let Some((layer, suffix)) = tensor.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
            let outer =
                layer_ir::OuterTensor::ALL.into_iter().find(|outer| family.base().outer_name(*outer) == Some(tensor));
            let Expr::Merge(merge) = recipe.outer.get(outer.ok_or("no outer")?) else {
                return Err("no merge".into());
            };
            return Self::new(merge, tensor, |_| tensor.to_owned(), |of| of.model.clone(), numbers);
        };
        let Expr::Merge(merge) = &recipe.layers[layer.parse::<usize>()?].from else {
            return Err("no merge".into());
        };
        let name = |of: &layer_ir::LayerRef| format!("model.layers.{}.{suffix}", of.layer);
        Self::new(merge, tensor, name, |of| of.model.clone(), numbers)
    }

    fn new<S>(
        merge: &Merge<S>,
        tensor: &str,
        name: impl Fn(&S) -> String,
        model: impl Fn(&S) -> String,
        numbers: impl Fn(&str, &str) -> Result<Vec<f32>, layer_ir::Error>,
    ) -> Outcome<Self> {
        let base = numbers("base", tensor)?;
        let number = |source: &Source<S>, key: &str| {
            let of = |parameters: &Parameters| parameters.number(key, tensor);
            Ok::<_, layer_ir::Error>(of(&source.parameters)?.or(of(&merge.parameters)?))
        };
        let (mut differences, mut cuts, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for source in &merge.sources {
            let values = numbers(&model(&source.of), &name(&source.of))?;
            let difference: Vec<f32> = values.iter().zip(&base).map(|(value, base)| value - base).collect();
            let mut magnitudes: Vec<f32> = difference.iter().map(|value| value.abs()).collect();
            magnitudes.sort_by(f32::total_cmp);
            let count = |share: f64| (share * base.len() as f64) as usize;
            let kept = count(number(source, "density")?.unwrap_or(1.0)).max(1);
            let bottom = base.len().saturating_sub(kept + count(number(source, "gamma")?.unwrap_or(0.0)));
            let top = if merge.method == "ties" { f32::INFINITY } else { magnitudes[bottom + kept - 1] };
            cuts.push([magnitudes[bottom], top]);
            differences.push(difference);
            weights.push(number(source, "weight")?.ok_or("no weight")? as f32);
        }
        let normalize = merge.parameters.flag("normalize", tensor)?.unwrap_or(merge.method == "ties");
        Ok(Self { base, differences, cuts, weights, election: merge.method.ends_with("ties"), normalize })
    }

    pub fn possible(&self, index: usize) -> Vec<f32> {
        let n = self.differences.len();
        let magnitude = |source: usize| self.differences[source][index].abs();
        let mut results = Vec::new();
        for choice in 0..1_usize << n {
            let tied = |source: usize| self.cuts[source].contains(&magnitude(source));
            if (0..n).any(|source| !tied(source) && choice >> source & 1 == 1) {
                continue;
            }
            let within =
                |source: usize| self.cuts[source][0] < magnitude(source) && magnitude(source) < self.cuts[source][1];
            let keeps = |source| within(source) || choice >> source & 1 == 1;
            let kept =
                |source| if keeps(source) { self.differences[source][index] * self.weights[source] } else { 0.0 };
            let weighted: Vec<f32> = (0..n).map(kept).collect();
            let sign = if weighted.iter().sum::<f32>() >= 0.0 { 1.0 } else { -1.0 };
            let agreeing = || (0..n).filter(|source| !self.election || weighted[*source] * sign > 0.0);
            let mix: f32 = agreeing().map(|source| weighted[source]).sum();
            let total: f32 = agreeing().map(|source| self.weights[source]).sum();
            let total = if total == 0.0 || !self.normalize { 1.0 } else { total };
            results.push(self.base[index] + mix / total);
        }
        results
    }
}

/// An independent `sce` of base, chat, math and code, in f64.
pub struct Selected {
    base: Vec<f32>,
    differences: Vec<Vec<f64>>,
    variances: Vec<f64>,
}

fn numbers(family: &Family, model: &str, tensor: &str) -> Outcome<Vec<f32>> {
    Ok(family.get(model)?.tensor(tensor)?.to_f32())
}

impl Selected {
    pub fn of(family: &Family, tensor: &str) -> Outcome<Self> {
        let base = numbers(family, "base", tensor)?;
        let mut differences = Vec::new();
        for model in ["chat", "math", "code"] {
            let pairs =
                numbers(family, model, tensor)?.into_iter().zip(&base).map(|(value, base)| f64::from(value - base));
            differences.push(pairs.collect::<Vec<f64>>());
        }
        let variance = |at: usize| {
            let mean = differences.iter().map(|of| of[at]).sum::<f64>() / 3.0;
            differences.iter().map(|of| (of[at] - mean).powi(2)).sum::<f64>() / 3.0
        };
        let variances = (0..base.len()).map(variance).collect();
        Ok(Self { base, differences, variances })
    }

    pub fn kept(&self, share: f32) -> usize {
        (self.variances.iter().filter(|value| **value != 0.0).count() as f32 * share) as usize
    }

    /// What differs from the base in a result.
    pub fn survivors(&self, merged: &[f32]) -> Vec<bool> {
        merged.iter().zip(&self.base).map(|(merged, base)| merged != base).collect()
    }

    /// Whether all larger variances survive and all smaller ones do not; else an element where that is wrong.
    pub fn at_the_cut(&self, survivors: &[bool], share: f32) -> Result<(), usize> {
        let mut sorted = self.variances.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let cut = sorted[self.kept(share) - 1];
        let wrong = |(at, survives): (usize, &bool)| {
            let value = self.variances[at];
            let wrong = if *survives { value < cut * (1.0 - 1e-5) } else { value > cut * (1.0 + 1e-5) };
            wrong.then_some(at)
        };
        survivors.iter().enumerate().find_map(wrong).map_or(Ok(()), Err)
    }

    pub fn merged(&self, survivors: &[bool]) -> Vec<f32> {
        let kept = |of: &Vec<f64>, at: usize| if survivors[at] { of[at] } else { 0.0 };
        let square = |of: &Vec<f64>| (0..of.len()).map(|at| kept(of, at).powi(2)).sum::<f64>() / of.len() as f64;
        let squares: Vec<f64> = self.differences.iter().map(square).collect();
        let total: f64 = squares.iter().sum();
        let weights = squares.iter().map(|square| if total < 1e-6 { 1.0 / 3.0 } else { square / total });
        let weights: Vec<f64> = weights.collect();
        let at = |at: usize| {
            let values: Vec<f64> = self.differences.iter().map(|of| kept(of, at)).collect();
            let sign = if values.iter().sum::<f64>() >= 0.0 { 1.0 } else { -1.0 };
            let agreeing = || values.iter().zip(&weights).filter(|(value, _)| **value * sign > 0.0);
            let mix: f64 = agreeing().map(|(value, weight)| value * weight).sum();
            let share: f64 = agreeing().map(|(_, weight)| weight).sum();
            (f64::from(self.base[at]) + mix / share.max(1e-6)) as f32
        };
        (0..self.base.len()).map(at).collect()
    }
}

/// An independent importance of `arcee_fusion` of chat, the base, and math, in f64.
pub struct Importances {
    base: Vec<f32>,
    source: Vec<f32>,
    importances: Vec<f64>,
    threshold: f64,
}

impl Importances {
    pub fn of(family: &Family, tensor: &str) -> Outcome<Self> {
        let (base, source) = (numbers(family, "chat", tensor)?, numbers(family, "math", tensor)?);
        let length = *family.get("chat")?.tensor(tensor)?.shape.last().ok_or("no axis")?;
        let softmax = |row: &[f32]| -> Vec<f64> {
            let sum: f64 = row.iter().map(|value| f64::from(*value).exp()).sum();
            row.iter().map(|value| f64::from(*value).exp() / sum + 1e-8).collect()
        };
        let mut importances = Vec::new();
        for (a, b) in base.chunks(length).zip(source.chunks(length)) {
            let divergence: f64 = softmax(b).iter().zip(softmax(a)).map(|(p, q)| p * (p / q).ln()).sum();
            importances.extend(a.iter().zip(b).map(|(a, b)| f64::from(b - a).abs() * divergence));
        }
        let mut sorted = importances.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| sorted[(share * (sorted.len() - 1) as f64) as f32 as usize];
        let threshold = quantile(0.5) + 1.5 * (quantile(0.75) - quantile(0.25));
        Ok(Self { base, source, importances, threshold })
    }

    /// From the threshold, as a share of it.
    pub fn distance(&self, index: usize) -> f64 {
        (self.importances[index] - self.threshold).abs() / self.threshold
    }

    pub fn either(&self, index: usize) -> [f32; 2] {
        [self.base[index], self.base[index] + (self.source[index] - self.base[index])]
    }
}
