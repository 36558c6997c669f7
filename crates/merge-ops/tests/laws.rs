//! The laws of merge methods, for every registered one.

mod support;

use burn::tensor::Device;
use layer_ir::{Dtype, MethodError, Parameters};
use merge_ops::{Inputs, Operand, Registry, merge_on_cpu, merge_on_device};
use proptest::prelude::*;
use support::{matrix, message};
use tailor_registry::{DefaultValue, Parameter, ValueKind};

type Numbers = &'static [(&'static str, f64)];
type Flags = &'static [(&'static str, bool)];

/// Each method with parameters for which equal tensors give that tensor, and how many sources it takes.
const METHODS: &[(&str, Numbers, usize)] = &[
    ("linear", &[("weight", 0.3)], 3),
    ("slerp", &[("t", 0.3)], 1),
    ("task_arithmetic", &[("weight", 0.3), ("lambda", 0.7)], 3),
    ("ties", &[("weight", 0.3), ("density", 0.5)], 3),
    ("passthrough", &[], 1),
    ("nuslerp", &[("weight", 0.3)], 2),
    ("multislerp", &[("weight", 0.3)], 2),
    ("karcher", &[], 3),
    ("model_stock", &[], 3),
    ("nearswap", &[("t", 0.1)], 1),
    ("arcee_fusion", &[], 1),
    ("dare_linear", &[("weight", 0.3), ("density", 0.5), ("seed", 5.0)], 3),
    ("dare_ties", &[("weight", 0.3), ("density", 0.5)], 3),
    ("breadcrumbs", &[("weight", 0.3), ("density", 0.5), ("gamma", 0.2)], 3),
    ("breadcrumbs_ties", &[("weight", 0.3), ("density", 0.5)], 3),
    ("della", &[("weight", 0.3), ("density", 0.5)], 3),
    ("della_linear", &[("weight", 0.3), ("density", 0.5), ("epsilon", 0.3)], 3),
    ("sce", &[("select_topk", 0.4)], 3),
    ("ram", &[("epsilon", 0.3)], 3),
    ("ramplus_tl", &[("epsilon", 0.3)], 3),
    ("gptailor_average", &[], 3),
    ("gptailor_breadcrumbs", &[("coefficient", 0.4), ("density", 0.6), ("mask_rate", 0.2)], 3),
    ("gptailor_stock", &[], 3),
    ("gptailor_widen", &[], 3),
    ("gptailor_linear", &[], 3),
    ("gptailor_slerp", &[("t", 0.3)], 2),
    ("gptailor_task_arithmetic", &[("coefficient", 0.4)], 3),
    ("gptailor_ties", &[("coefficient", 0.4), ("mask_rate", 0.5)], 3),
];

fn parameters(settings: &[(&str, f64)]) -> Parameters {
    let mut parameters = Parameters::default();
    settings.iter().for_each(|(key, value)| parameters.set(key, *value));
    parameters
}

fn merged(
    method: &str,
    settings: &[(&str, f64)],
    base: &[f32],
    sources: &[&[f32]],
    piece: usize,
) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let parameters = parameters(settings);
    let operands = sources.iter().map(|source| Operand::from_values("w", source)).collect();
    let registry = Registry::standard();
    let of = registry.get(method)?;
    let inputs = Inputs::of(of, &parameters, Some(Operand::from_values("w", base)), operands);
    let merged = merge_on_cpu(of, &inputs, piece)?;
    let on_device = merge_on_device(of, &inputs, piece, &Device::flex())?.try_into_vec_as::<f32>()?;
    assert_eq!(merged, on_device, "{method}: the CPU's own arithmetic and a device's");
    Ok(merged)
}

fn numbers(length: usize) -> impl Strategy<Value = Vec<f32>> {
    // Few different magnitudes, so that there are ties.
    prop::collection::vec(prop_oneof![(-8_i8..8).prop_map(|value| f32::from(value) / 4.0), -1.0_f32..1.0], length)
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_tensors_give_that_tensor(tensor in numbers(40)) {
        for &(method, settings, sources) in METHODS {
            let found = merged(method, settings, &tensor, &vec![tensor.as_slice(); sources], 64).map_err(fail)?;
            for (found, expected) in found.iter().zip(&tensor) {
                prop_assert!((found - expected).abs() <= 1e-6, "{method}: {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn pieces_change_nothing_and_the_shape_stays(
        base in numbers(97), a in numbers(97), b in numbers(97), c in numbers(97), piece in 1_usize..97,
    ) {
        let all = [a.as_slice(), &b, &c];
        for &(method, settings, sources) in METHODS {
            let whole = merged(method, settings, &base, &all[..sources], 97).map_err(fail)?;
            prop_assert_eq!(whole.len(), base.len());
            let pieces = merged(method, settings, &base, &all[..sources], piece).map_err(fail)?;
            prop_assert_eq!(whole, pieces, "{} in pieces of {}", method, piece);
        }
    }

    /// GPTailor's task arithmetic is mergekit's with all weights 1, but for rounding; its linear is mergekit's
    /// normalised one.
    #[test]
    fn the_variants_agree_where_they_should(base in numbers(50), a in numbers(50), b in numbers(50)) {
        let sources = [a.as_slice(), &b];
        let of = |method: &str, settings: &[(&str, f64)]| merged(method, settings, &base, &sources, 64).map_err(fail);
        let pairs = [
            (of("gptailor_task_arithmetic", &[("coefficient", 0.6)])?,
             of("task_arithmetic", &[("weight", 1.0), ("lambda", 0.6)])?),
            (of("gptailor_linear", &[])?, of("linear", &[("weight", 0.5)])?),
        ];
        for (ours, theirs) in pairs {
            for (ours, theirs) in ours.iter().zip(&theirs) {
                prop_assert!((ours - theirs).abs() <= 1e-6, "{ours} and {theirs}");
            }
        }
    }
}

#[test]
fn the_table_here_has_every_method() {
    let mut ours: Vec<&str> = METHODS.iter().map(|(name, ..)| *name).collect();
    ours.sort_unstable();
    let registry = Registry::standard();
    let mut theirs: Vec<&str> = registry.names().collect();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}

#[test]
fn the_number_of_threads_changes_nothing() -> support::Outcome {
    let (rows, columns) = (300, 700);
    // Few magnitudes, so that cuts fall among equals, and not the same in every tensor.
    let tensor = |of: usize| {
        let value = |at: usize| ((at * (2 * of + 7) + of * 31) % 1013 % (61 + of)) as f32 / 64.0 - 0.5;
        matrix(&(0..rows * columns).map(value).collect::<Vec<_>>(), columns)
    };
    let by_rows: [(&str, Numbers, usize, Flags); 3] = [
        ("model_stock", &[], 3, &[("filter_wise", true)]),
        ("nuslerp", &[("weight", 0.3)], 2, &[("nuslerp_flatten", false)]),
        ("nuslerp", &[("weight", 0.3)], 2, &[("nuslerp_flatten", false), ("nuslerp_row_wise", true)]),
    ];
    let plain = METHODS.iter().map(|&(method, settings, sources)| (method, settings, sources, &[] as Flags));
    for (method, settings, sources, flags) in plain.chain(by_rows) {
        let mut parameters = parameters(settings);
        flags.iter().for_each(|(key, value)| parameters.set(key, *value));
        let registry = Registry::standard();
        let operator = registry.get(method)?;
        let inputs = Inputs::of(operator, &parameters, Some(tensor(0)), (1..=sources).map(tensor).collect());
        let with = |threads, run| -> support::Outcome<Vec<f32>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            Ok(pool.install(|| merge_on_cpu(operator, &inputs, run))?)
        };
        let alone = with(1, 1024)?;
        assert!(alone.iter().all(|number| number.is_finite()), "{method}");
        assert!(alone == with(4, 777)?, "{method}: threads or runs change numbers");
        let device = merge_on_device(operator, &inputs, usize::MAX, &Device::flex())?.try_into_vec_as::<f32>()?;
        assert!(alone == device, "{method}: a device has other numbers");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_added_is_the_base_and_all_of_one_source_the_source(
        base in numbers(50), a in numbers(50), b in numbers(50),
    ) {
        let near = |found: &[f32], expected: &[f32], what: &str| {
            let apart = found.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            prop_assert!(apart <= 1e-6, "{what}: {apart} apart");
            Ok(())
        };
        let of = |method: &str, settings: &[(&str, f64)], all: &[&[f32]]| {
            merged(method, settings, &base, all, 64).map_err(fail)
        };
        near(&of("task_arithmetic", &[("weight", 1.0), ("lambda", 0.0)], &[&a, &b])?, &base, "lambda 0")?;
        near(&of("task_arithmetic", &[("weight", 1.0)], &[&a])?, &a, "one source")?;
        near(&of("ties", &[("weight", 0.4)], &[&a])?, &a, "ties of one source")?;
        near(&of("slerp", &[("t", 0.0)], &[&a])?, &base, "slerp at 0")?;
        near(&of("slerp", &[("t", 1.0)], &[&a])?, &a, "slerp at 1")?;
        near(&of("linear", &[("weight", 0.4)], &[&a, &b])?, &of("linear", &[("weight", 0.4)], &[&b, &a])?, "order")?;
    }

    /// A `density` of 1 cuts no outliers, draws nothing and rescales nothing.
    #[test]
    fn density_1_sparsifies_nothing(base in numbers(50), a in numbers(50), b in numbers(50)) {
        let sources = [a.as_slice(), &b];
        let of = |method: &str, settings: &[(&str, f64)]| merged(method, settings, &base, &sources, 64).map_err(fail);
        let (plain, elected) = (of("task_arithmetic", &[("weight", 0.6)])?, of("ties", &[("weight", 0.6)])?);
        for method in ["dare_linear", "breadcrumbs", "della_linear"] {
            prop_assert_eq!(&of(method, &[("weight", 0.6), ("density", 1.0)])?, &plain, "{}", method);
        }
        prop_assert_eq!(&of("della", &[("weight", 0.6), ("density", 1.0)])?, &elected);
        prop_assert_eq!(of("dare_ties", &[("weight", 0.6)])?, of("breadcrumbs_ties", &[("weight", 0.6)])?);
    }
}

/// By hand: `k = int(4 * 0.5) = 2`, so the two smallest but the second go.
#[test]
fn gptailor_ties_is_the_references_formula() -> support::Outcome {
    let (a, b): (&[f32], &[f32]) = (&[1.0, -2.0, 4.0, 3.0], &[-1.0, 1.0, -4.0, -5.0]);
    let found = merged("gptailor_ties", &[("coefficient", 0.5), ("mask_rate", 0.5)], &[0.0; 4], &[a, b], 4)?;
    // a keeps -2, 4, 3; b keeps all, as its second smallest is 1 like its smallest. Sums: -1, -1, 0, -2; the majority
    // is negative.
    assert_eq!(found, [-0.5, -1.0, -2.0, -2.5]);
    Ok(())
}

#[test]
fn rescaled_ties_keeps_the_sum_of_magnitudes() -> support::Outcome {
    let mut settings = parameters(&[("weight", 1.0), ("density", 0.5)]);
    settings.set("rescale", true);
    settings.set("normalize", false);
    let (base, source) = ([0.0; 4], [1.0, -2.0, 3.0, 4.0]);
    let registry = Registry::standard();
    let ties = registry.get("ties")?;
    let inputs =
        Inputs::of(ties, &settings, Some(Operand::from_values("w", &base)), vec![Operand::from_values("w", &source)]);
    let found = merge_on_cpu(ties, &inputs, 4)?;
    // 10 / 7 of 3 and 4; the only source always agrees with itself.
    assert!((found.iter().sum::<f32>() - 10.0).abs() < 1e-5 && found[..2] == [0.0, 0.0], "{found:?}");
    Ok(())
}

#[test]
fn slerp_goes_along_the_sphere_and_mixes_parallel_vectors() -> support::Outcome {
    let half = |a: &[f32], b: &[f32]| merged("slerp", &[("t", 0.5)], a, &[b], 8);
    let found = half(&[1.0, 0.0], &[0.0, 1.0])?;
    assert!(found.iter().all(|value| (value - 0.5_f32.sqrt()).abs() < 1e-6), "{found:?}");
    assert_eq!(half(&[1.0, 1.0], &[3.0, 3.0])?, [2.0, 2.0]);
    let found = half(&[0.0, 0.0], &[2.0, 0.0])?;
    assert!((found[0] - 2.0 * 0.5_f32.sqrt()).abs() < 1e-6, "a zero vector is perpendicular: {found:?}");
    Ok(())
}

#[test]
fn every_operation_rounds_in_bf16() -> support::Outcome {
    let settings = parameters(&[("coefficient", 0.3)]);
    let value = |number: f32| half::bf16::from_f32(number).to_f32();
    let (base, source) = ([value(1.01), value(-3.3)], [value(2.7), value(0.123)]);
    let registry = Registry::standard();
    let method = registry.get("gptailor_task_arithmetic")?;
    let mut inputs =
        Inputs::of(method, &settings, Some(Operand::from_values("w", &base)), vec![Operand::from_values("w", &source)]);
    inputs.precision = Dtype::BF16;
    let found = merge_on_cpu(method, &inputs, 2)?;
    let by_hand = |at: usize| value(base[at] + value(value(source[at] - base[at]) * 0.3));
    assert_eq!(found, [by_hand(0), by_hand(1)]);
    Ok(())
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let (a, b): (&[f32], &[f32]) = (&[1.0, 2.0], &[3.0, 4.0]);
    let says = |method, settings: &[(&str, f64)], sources: &[&[f32]]| message(merged(method, settings, a, sources, 2));
    let unknown = says("karchre", &[], &[a]);
    assert!(unknown.contains("`karchre`") && unknown.contains("gptailor_widen, karcher"), "{unknown}");
    assert_eq!(
        says("gptailor_ties", &[("coefficient", 1.0), ("density", 0.5)], &[a]),
        "merge method `gptailor_ties` has no parameter `density` of the merge; it knows coefficient, mask_rate"
    );
    assert_eq!(
        says("ties", &[("density", 0.5)], &[a]),
        "merge method `ties` needs the parameter `weight` for tensor `w`"
    );
    assert_eq!(says("slerp", &[("t", 0.5)], &[a, b]), "merge method `slerp` takes exactly 1 source, not 2");
    assert!(says("gptailor_fisher", &[], &[a]).contains("needs the squared gradients"));
    assert!(says("regmean", &[], &[a]).contains("inner products of each layer's inputs"));
    let epsilon = says("della", &[("weight", 1.0), ("density", 0.1)], &[a]);
    assert!(epsilon.contains("`epsilon` is 0.15") && epsilon.contains("less than the density"), "{epsilon}");
    assert!(says("dare_ties", &[("weight", 1.0), ("seed", 0.5)], &[a]).contains("a whole number"));
    assert!(says("ties", &[("weight", 1.0), ("seed", 1.0)], &[a]).contains("no parameter `seed`"));
    assert!(says("multislerp", &[("weight", 1.0)], &[a, a, a]).contains("base_if_opposed: true"));
    assert!(says("linear", &[("weight", 0.0)], &[a, b]).contains("sum to 0"));
    assert!(says("gptailor_ties", &[("coefficient", 1.0), ("mask_rate", 1.5)], &[a]).contains("from 0 to 1"));
    assert!(says("linear", &[("weight", 1.0)], &[a, &[1.0]]).contains("has shape [1]"));
    assert!(says("linear", &[("weight", 1.0)], &[]).contains("at least 1 source, not 0"));
}

#[test]
fn a_base_that_is_needed_is_asked_for() -> support::Outcome {
    let settings = parameters(&[("weight", 1.0), ("coefficient", 1.0), ("t", 0.5)]);
    for method in ["task_arithmetic", "ties", "slerp", "gptailor_task_arithmetic", "gptailor_ties"] {
        let mut own = Parameters::default();
        for key in settings.keys().filter(|key| match method {
            "slerp" => *key == "t",
            "task_arithmetic" | "ties" => *key == "weight",
            _ => *key == "coefficient",
        }) {
            own.set(key, 1.0);
        }
        let registry = Registry::standard();
        let of = registry.get(method)?;
        let checked = of.check(&Inputs::of(of, &own, None, vec![Operand::from_values("w", &[1.0])]));
        assert!(matches!(checked, Err(MethodError::MissingBase { .. })), "{method}: {checked:?}");
    }
    Ok(())
}

/// Issue 19, defect 6: a checkpoint of NaN was written for such parameters.
#[test]
fn no_parameter_in_its_range_makes_a_number_that_is_not_finite() -> support::Outcome {
    let registry = Registry::standard();
    let tensors: [&[f32]; 4] = [
        &[0.0, 1.0, -2.0, 0.5, 1e-3, 3.0],
        &[0.0, 1.5, -2.0, 0.25, -1e-3, 300.0],
        &[0.0; 6],
        &[1.0, -1.0, 0.0, 2.0, 1e-3, -7.0],
    ];
    for method in registry.iter() {
        let spec = method.spec();
        let given = |parameter: &Parameter| parameter.default == DefaultValue::Required;
        let mut tried: Vec<Parameters> = Vec::new();
        for parameter in spec.parameters() {
            let (least, most) = match parameter.kind {
                ValueKind::Number(least, most) => (least, most),
                ValueKind::Integer(least, most) => (least as f64, most as f64),
                _ => continue,
            };
            for value in [least, most, 0.0, 1e-300, 1e-40, -1e-40, 0.5, 1.0]
                .into_iter()
                .filter(|value| (least..=most).contains(value))
            {
                let mut settings = Parameters::default();
                spec.parameters()
                    .filter(|parameter| given(parameter))
                    .for_each(|parameter| settings.set(parameter.name, 0.5));
                settings.set(parameter.name, value);
                tried.push(settings);
            }
        }
        for settings in tried {
            let count = spec.sources.1.min(3);
            let operand = |values: &&[f32]| Operand::from_values("w", values);
            let inputs = Inputs::of(
                method,
                &settings,
                Some(operand(&tensors[0])),
                tensors[1..=count].iter().map(operand).collect(),
            );
            if let Ok(merged) = merge_on_cpu(method, &inputs, 4) {
                assert!(merged.iter().all(|number| number.is_finite()), "{}: {settings:?} gives {merged:?}", spec.name);
            }
        }
    }
    Ok(())
}

/// Weights that cancel but for a rest that is nothing beside them.
#[test]
fn weights_whose_sum_is_next_to_nothing_are_refused() {
    let (a, b): (&[f32], &[f32]) = (&[1.0, 2.0], &[3.0, 4.0]);
    for method in ["linear", "gptailor_linear", "multislerp"] {
        let registry = Registry::standard();
        let of = registry.get(method).expect("it is registered");
        let own: Vec<Parameters> = [1e6, -1e6, 1e-30].map(|weight| parameters(&[("weight", weight)])).into();
        let shared = Parameters::default();
        let mut inputs = Inputs::of(of, &shared, None, [a, b, a].map(|of| Operand::from_values("w", of)).into());
        inputs.settings.sources.iter_mut().zip(&own).for_each(|(source, own)| source.own = Some(own));
        let refused = merge_on_cpu(of, &inputs, 2).map_err(|error| error.to_string());
        assert!(refused.as_ref().is_err_and(|says| says.contains("next to nothing")), "{method}: {refused:?}");
    }
}
