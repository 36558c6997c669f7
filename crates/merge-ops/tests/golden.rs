//! `tests/golden/merges`: what mergekit 0.1.5 makes of `tests/golden/family`.

mod support;

use layer_ir::{Family, ValidRecipe, mergekit};
use merge_ops::{ExportOptions, RecipeTensors, Registry, export};
use support::choices::{Importances, Selected, Trimmed};
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
    let registry = Registry::standard();
    let recipe = mergekit::read_with_models(golden(&format!("merges/{name}.yaml")), golden("family"), &registry)?;
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family, &registry)?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join(name);
    let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    export(source, &out, &ExportOptions::default())?;
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

#[test]
fn dare_without_a_draw_is_mergekits_bit_for_bit() -> Outcome {
    let unequal = compare("dare_linear_density1")?;
    let unequal = unequal_bytes(&unequal);
    assert!(unequal.is_empty(), "differs in {unequal:?}");
    Ok(())
}

/// Where magnitudes are equal at the cut of a source, torch and we may keep different ones; nowhere else.
#[test]
fn trimmed_differences_are_mergekits_but_for_equal_magnitudes_at_a_cut() -> Outcome {
    for name in ["ties", "ties_gradient", "breadcrumbs", "breadcrumbs_ties"] {
        let compared = compare(name)?;
        let mut at_cuts = 0;
        for (tensor, wrong) in differences(&compared) {
            let reference = Trimmed::of(&compared.family, &compared.recipe, tensor)?;
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

/// Which of equal variances survives changes the weights of the whole tensor, so the formula is tried with mergekit's
/// survivors.
#[test]
fn sce_is_mergekits_but_for_equal_variances_at_the_cut() -> Outcome {
    let compared = compare("sce")?;
    let mut agree = 0;
    for (tensor, (dtype, _, theirs)) in &compared.theirs {
        if !differences(&compared).iter().any(|(different, _)| different == tensor) {
            agree += 1;
            continue;
        }
        let theirs = dtype.to_f32(theirs);
        let reference = Selected::of(&compared.family, tensor)?;
        let survivors = reference.survivors(&theirs);
        assert_eq!(survivors.iter().filter(|kept| **kept).count(), reference.kept(0.3), "{tensor}");
        reference.at_the_cut(&survivors, 0.3).map_err(|index| format!("{tensor}[{index}] is not at the cut"))?;
        let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        for (index, (ours, theirs)) in reference.merged(&survivors).iter().zip(&theirs).enumerate() {
            assert!((ours - theirs).abs() <= ALLOWED * largest, "{tensor}[{index}]: {ours} and {theirs}");
        }
    }
    println!("sce: {agree} of {} tensors agree, the others but for equal variances at the cut", compared.theirs.len());
    assert!(agree >= 39, "{agree}");
    Ok(())
}

/// torch's divergences carry noise of about 1e-3, so what lies within 1e-2 of the threshold may be either model's.
#[test]
fn arcee_fusion_is_mergekits_but_for_importances_near_the_threshold() -> Outcome {
    let compared = compare("arcee_fusion")?;
    let mut near = 0;
    for (tensor, wrong) in differences(&compared) {
        let importances = Importances::of(&compared.family, tensor)?;
        for (index, ours, theirs) in wrong {
            let distance = importances.distance(index);
            assert!(
                distance < 1e-2,
                "{tensor}[{index}] is {ours}, mergekit has {theirs}; {distance:e} from the threshold"
            );
            let either = importances.either(index);
            assert!(
                either.contains(&theirs) && either.contains(&ours),
                "{tensor}[{index}]: {theirs} is none of {either:?}"
            );
            near += 1;
        }
    }
    println!("arcee_fusion: {near} elements near a threshold fall on the other side");
    assert!(near < 30, "{near}");
    Ok(())
}
