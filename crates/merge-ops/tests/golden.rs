//! `tests/golden/merges`: what mergekit 0.1.5 makes of `tests/golden/family`.

mod support;

use layer_ir::{Expr, Family, Merge, Parameters, Source, ValidRecipe, mergekit};
use merge_ops::{ExportOptions, Registry, export};
use support::{Outcome, Tensors, golden, tensors};

/// Largest difference allowed, of the largest number of the tensor.
const ALLOWED: f32 = 2e-6;

struct Compared {
    family: Family,
    recipe: ValidRecipe,
    ours: Tensors,
    theirs: Tensors,
}

/// Reads the mergekit file, exports it, and reads both results.
fn compare(name: &str) -> Outcome<Compared> {
    let recipe = mergekit::read_with_models(golden(&format!("merges/{name}.yaml")), golden("family"))?;
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family)?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join(name);
    export(&family, &recipe, &Registry::standard(), &out, &ExportOptions::default(), &|_| ())?;
    let (ours, theirs) =
        (tensors(&out.join("model.safetensors"))?, tensors(&golden(&format!("merges/{name}.safetensors")))?);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{name}");
    for (tensor, (dtype, shape, _)) in &theirs {
        assert_eq!((dtype, shape), (&ours[tensor].0, &ours[tensor].1), "{name}: {tensor}");
    }
    Ok(Compared { family, recipe, ours, theirs })
}

/// Index, ours, theirs.
type Difference = (usize, f32, f32);

/// The elements that differ by more than is allowed, by tensor.
fn differences(compared: &Compared) -> Vec<(&str, Vec<Difference>)> {
    let of = |(name, (dtype, _, ours)): (&'_ String, &(layer_ir::Dtype, _, Vec<u8>))| {
        let (ours, theirs) = (dtype.to_f32(ours), dtype.to_f32(&compared.theirs[name].2));
        let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let pairs = ours.into_iter().zip(theirs).enumerate().map(|(index, (ours, theirs))| (index, ours, theirs));
        pairs.filter(|(_, ours, theirs)| (ours - theirs).abs() > ALLOWED * largest).collect::<Vec<_>>()
    };
    let all = compared.ours.iter().map(|(name, tensor)| (name.as_str(), of((name, tensor))));
    all.filter(|(_, wrong)| !wrong.is_empty()).collect()
}

/// The largest difference, of the largest number of its tensor.
fn worst(compared: &Compared) -> f32 {
    let of = |(name, (dtype, _, ours)): (&String, &(layer_ir::Dtype, Vec<usize>, Vec<u8>))| {
        let (ours, theirs) = (dtype.to_f32(ours), dtype.to_f32(&compared.theirs[name].2));
        let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let apart = ours.iter().zip(&theirs).fold(0.0_f32, |most, (ours, theirs)| most.max((ours - theirs).abs()));
        if apart == 0.0 { 0.0 } else { apart / largest }
    };
    compared.ours.iter().map(of).fold(0.0, f32::max)
}

fn unequal_bytes(compared: &Compared) -> Vec<&str> {
    let differs = |name: &&String| compared.ours[*name].2 != compared.theirs[*name].2;
    compared.ours.keys().filter(differs).map(String::as_str).collect()
}

#[test]
fn linear_and_passthrough_are_mergekits_bit_for_bit() -> Outcome {
    for name in ["linear", "linear_bf16", "linear_unnormalized", "passthrough_scale", "passthrough_stack"] {
        let compared = compare(name)?;
        let unequal = unequal_bytes(&compared);
        assert!(unequal.is_empty(), "{name}: differs in {unequal:?}");
    }
    Ok(())
}

#[test]
fn task_arithmetic_is_mergekits_also_in_bf16() -> Outcome {
    for name in ["task_arithmetic", "task_arithmetic_bf16", "slices_mixed"] {
        let compared = compare(name)?;
        let unequal = unequal_bytes(&compared);
        assert!(unequal.is_empty(), "{name}: differs in {unequal:?}, far in {:?}", differences(&compared));
    }
    Ok(())
}

/// Printed with `--nocapture`: how far each is.
#[test]
fn methods_without_choices_are_within_two_millionths_of_mergekits() -> Outcome {
    let names =
        ["slerp", "nuslerp", "nuslerp_flat", "nuslerp_rowwise", "multislerp", "karcher", "model_stock", "nearswap"];
    for name in names {
        let compared = compare(name)?;
        println!("{name}: at most {:.1e} of a tensor's largest number apart", worst(&compared));
        let wrong = differences(&compared);
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
    Ok(())
}

/// Where magnitudes are equal at the cut of a source, torch and we may keep different ones; nowhere else.
#[test]
fn ties_is_mergekits_but_for_equal_magnitudes_at_a_cut() -> Outcome {
    for name in ["ties", "ties_gradient"] {
        let compared = compare(name)?;
        let mut at_cuts = 0;
        for (tensor, wrong) in differences(&compared) {
            let reference = Trimmed::of(&compared, tensor)?;
            for (index, ours, theirs) in wrong {
                let possible = reference.possible(index);
                let near = |value: &f32| (value - theirs).abs() <= 1e-6;
                assert!(
                    possible.len() > 1,
                    "{name}: {tensor}[{index}] is {ours}, mergekit has {theirs}; it is at no cut"
                );
                assert!(possible.iter().any(near), "{name}: {tensor}[{index}]: {theirs} is none of {possible:?}");
                at_cuts += 1;
            }
        }
        println!("{name}: {at_cuts} elements at a cut fall on the other side");
        assert!(at_cuts < 1200, "{name}: {at_cuts}");
    }
    Ok(())
}

/// An independent `ties` of single elements, with all ways to resolve equal magnitudes at the cuts.
struct Trimmed {
    base: Vec<f32>,
    differences: Vec<Vec<f32>>,
    cuts: Vec<f32>,
    weights: Vec<f32>,
    normalize: bool,
}

impl Trimmed {
    fn of(compared: &Compared, tensor: &str) -> Outcome<Self> {
        let numbers =
            |model: &str, name: &str| Ok::<_, layer_ir::Error>(compared.family.get(model)?.tensor(name)?.to_f32());
        let Some((layer, suffix)) = tensor.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
            let end = layer_ir::End::ALL.into_iter().find(|end| compared.family.base().end_name(*end) == Some(tensor));
            let Expr::Merge(merge) = compared.recipe.ends.get(end.ok_or("no end")?) else {
                return Err("no merge".into());
            };
            return Self::new(merge, tensor, |_| tensor.to_owned(), |of| of.model.clone(), numbers);
        };
        let Expr::Merge(merge) = &compared.recipe.layers[layer.parse::<usize>()?].from else {
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
            magnitudes.sort_by(|a, b| b.total_cmp(a));
            let kept = (number(source, "density")?.unwrap_or(1.0) * base.len() as f64) as usize;
            cuts.push(magnitudes[kept.max(1) - 1]);
            differences.push(difference);
            weights.push(number(source, "weight")?.ok_or("no weight")? as f32);
        }
        let normalize = merge.parameters.flag("normalize", tensor)?.unwrap_or(true);
        Ok(Self { base, differences, cuts, weights, normalize })
    }

    fn possible(&self, index: usize) -> Vec<f32> {
        let n = self.differences.len();
        let magnitude = |source: usize| self.differences[source][index].abs();
        let mut results = Vec::new();
        for choice in 0..1_usize << n {
            let tied = |source| magnitude(source) == self.cuts[source];
            if (0..n).any(|source| !tied(source) && choice >> source & 1 == 1) {
                continue;
            }
            let keeps = |source| magnitude(source) > self.cuts[source] || choice >> source & 1 == 1;
            let kept =
                |source| if keeps(source) { self.differences[source][index] * self.weights[source] } else { 0.0 };
            let weighted: Vec<f32> = (0..n).map(kept).collect();
            let sign = if weighted.iter().sum::<f32>() >= 0.0 { 1.0 } else { -1.0 };
            let agreeing = || (0..n).filter(|source| weighted[*source] * sign > 0.0);
            let mix: f32 = agreeing().map(|source| weighted[source]).sum();
            let total: f32 = agreeing().map(|source| self.weights[source]).sum();
            let total = if total == 0.0 || !self.normalize { 1.0 } else { total };
            results.push(self.base[index] + mix / total);
        }
        results
    }
}
