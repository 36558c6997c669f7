//! Methods by hand, where no golden file has them: rows, overrides, and what only GPTailor's reference has.

mod support;

use layer_ir::Parameters;
use merge_ops::Operand;
use support::{Outcome, matrix, try_out};

fn parameters(numbers: &[(&str, f64)], flags: &[(&str, bool)]) -> Parameters {
    let mut parameters = Parameters::default();
    numbers.iter().for_each(|(key, value)| parameters.set(key, *value));
    flags.iter().for_each(|(key, value)| parameters.set(key, *value));
    parameters
}

fn vector(values: &[f32]) -> Operand {
    Operand::from_values("w", values)
}

fn near(found: &[f32], expected: &[f32]) {
    let apart = found.iter().zip(expected).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(found.len() == expected.len() && apart < 2e-6, "{found:?} instead of {expected:?}");
}

#[test]
fn model_stock_has_a_share_for_each_row() -> Outcome {
    let sources = || vec![matrix(&[1.0, 0.0, 1.0, 0.0], 2), matrix(&[1.0, 0.0, 0.0, 1.0], 2)];
    let of = |flag| {
        try_out("model_stock", &parameters(&[], &[("filter_wise", flag)]), Some(matrix(&[0.0; 4], 2)), sources())
    };
    // The first rows are equal, the second perpendicular.
    near(&of(true)?, &[1.0, 0.0, 0.0, 0.0]);
    // One cosine of 1/2 gives t = 2/3.
    near(&of(false)?, &[2.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
    Ok(())
}

#[test]
fn nuslerp_turns_rows_or_columns() -> Outcome {
    let of = |flags: &[(&str, bool)]| {
        let sources = vec![matrix(&[1.0, 0.0, 2.0, 2.0], 2), matrix(&[0.0, 1.0, 4.0, 4.0], 2)];
        try_out("nuslerp", &parameters(&[("weight", 1.0)], flags), None, sources)
    };
    let half = 0.5_f32.sqrt();
    near(&of(&[("nuslerp_flatten", false)])?, &[half, half, 3.0, 3.0]);
    // Half way, the sum of two vectors is divided by 2 cos(th/2).
    let halves =
        [8.0 / (5.0_f32.sqrt() * 4.0), 8.0 / (2.0 * 17.0_f32.sqrt())].map(|cosine| 0.5 / ((1.0 + cosine) / 2.0).sqrt());
    let columns = of(&[("nuslerp_flatten", false), ("nuslerp_row_wise", true)])?;
    near(&columns, &[halves[0], halves[1], 6.0 * halves[0], 6.0 * halves[1]]);
    Ok(())
}

#[test]
fn multislerp_and_karcher_of_perpendicular_vectors_lie_between() -> Outcome {
    let sources = || vec![vector(&[2.0, 0.0]), vector(&[0.0, 2.0])];
    let between = 2.0_f32.sqrt();
    near(&try_out("multislerp", &parameters(&[("weight", 1.0)], &[]), None, sources())?, &[between, between]);
    near(&try_out("karcher", &parameters(&[], &[]), None, sources())?, &[between, between]);
    let opposed = vec![vector(&[2.0, 0.0]), vector(&[-1.0, 0.0])];
    near(&try_out("multislerp", &parameters(&[("weight", 1.0)], &[]), None, opposed)?, &[0.5, 0.0]);
    let same = || vec![vector(&[1.0, 2.0]); 3];
    let kept = parameters(&[("weight", 1.0)], &[("base_if_opposed", true)]);
    near(&try_out("multislerp", &kept, Some(vector(&[1.0, 2.0])), same())?, &[1.0, 2.0]);
    Ok(())
}

#[test]
fn ram_averages_what_several_changed() -> Outcome {
    let of = |method: &str, numbers: &[(&str, f64)]| {
        let sources = vec![vector(&[1.0, 0.4, 2.0, 0.1]), vector(&[3.0, 2.0, 0.0, 0.5])];
        try_out(method, &parameters(numbers, &[]), Some(vector(&[0.0; 4])), sources)
    };
    near(&of("ram", &[("epsilon", 0.5)])?, &[2.0, 2.0, 2.0, 0.0]);
    // Each changes one element with the other and one alone.
    near(&of("ramplus_tl", &[("epsilon", 0.5)])?, &[2.0, 2.04, 2.04, 0.0]);
    near(&of("ramplus_tl", &[("epsilon", 0.5), ("alpha", 2.0), ("r", 0.3)])?, &[2.0, 2.6, 2.6, 0.0]);
    Ok(())
}

#[test]
fn normalize_and_rescale_hold_for_the_whole_family() -> Outcome {
    let of = |method: &str, numbers: &[(&str, f64)], flags: &[(&str, bool)]| {
        let sources = vec![vector(&[1.0, -2.0, 3.0, 4.0]), vector(&[1.0, -1.0, 1.0, 1.0])];
        try_out(method, &parameters(numbers, flags), Some(vector(&[0.0; 4])), sources)
    };
    let weight = ("weight", 2.0);
    near(&of("task_arithmetic", &[weight], &[("normalize", true)])?, &[1.0, -1.5, 2.0, 2.5]);
    near(&of("dare_linear", &[weight], &[("normalize", true)])?, &[1.0, -1.5, 2.0, 2.5]);
    near(&of("dare_ties", &[weight], &[])?, &[4.0, -6.0, 8.0, 10.0]);
    // Half of each: 3 and 4 of 10, 1 and 1 of 4; with a quarter cut off the top 2 and 3 of the first.
    near(
        &of("ties", &[weight, ("density", 0.5)], &[("normalize", false), ("rescale", true)])?,
        &[4.0, -4.0, 60.0 / 7.0, 80.0 / 7.0],
    );
    let cut = [weight, ("density", 0.5), ("gamma", 0.25)];
    // Equal magnitudes ascend by index: the second source's are cut at both ends.
    near(&of("breadcrumbs", &cut, &[])?, &[0.0, -6.0, 8.0, 0.0]);
    near(&of("breadcrumbs", &cut, &[("rescale", true)])?, &[0.0, -12.0, 16.0, 0.0]);
    Ok(())
}

#[test]
fn gptailors_own_forms_are_the_references() -> Outcome {
    let base = || Some(vector(&[0.0; 5]));
    let numbers = [("coefficient", 0.5), ("density", 0.6), ("mask_rate", 0.2)];
    let found = try_out(
        "gptailor_breadcrumbs",
        &parameters(&numbers, &[]),
        base(),
        vec![vector(&[1.0, -2.0, 3.0, 4.0, -5.0])],
    )?;
    near(&found, &[0.5, -1.0, 1.5, 2.0, 0.0]);
    let found =
        try_out("gptailor_average", &Parameters::default(), None, vec![vector(&[1.0, 3.0]), vector(&[3.0, 5.0])])?;
    near(&found, &[2.0, 4.0]);
    Ok(())
}

#[test]
fn gptailor_widen_weighs_columns_by_how_much_they_changed() -> Outcome {
    let none = Parameters::default();
    let softmax = |one: f32, other: f32| one.exp() / (one.exp() + other.exp());
    // Vectors: 3 and 2 exceed their means, 2 and 1.
    let sources = vec![vector(&[1.0, 3.0]), vector(&[2.0, 0.0])];
    near(&try_out("gptailor_widen", &none, Some(vector(&[0.0; 2])), sources)?, &[softmax(1.0, 2.0) + 2.0, 3.0]);
    // The first source lengthens column 0 most and turns column 1; the second lengthens column 1 alone.
    let sources = || vec![matrix(&[2.0, 1.0, 0.0, 1.0], 2), matrix(&[1.0, 0.0, 0.0, 3.0], 2)];
    let identity = || Some(matrix(&[1.0, 0.0, 0.0, 1.0], 2));
    let turned = (softmax(0.0, 0.5) + 1.0) / 2.0;
    near(&try_out("gptailor_widen", &none, identity(), sources())?, &[1.75, turned, 0.0, 3.0]);
    Ok(())
}

/// Kept share, its variance over seeds, and the sum of magnitudes.
#[test]
fn dare_keeps_its_share_and_the_sum_of_magnitudes() -> Outcome {
    let (n, seeds, share) = (1000, 400, 0.3);
    let source: Vec<f32> = (0..n).map(|at| if at % 3 == 0 { -1.0 } else { 0.5 + at as f32 / n as f32 }).collect();
    let of = |seed: usize, rescale| {
        let numbers = [("weight", 1.0), ("density", share), ("seed", seed as f64)];
        try_out(
            "dare_linear",
            &parameters(&numbers, &[("rescale", rescale)]),
            Some(vector(&vec![0.0; n])),
            vec![vector(&source)],
        )
    };
    assert_eq!(of(7, true)?, of(7, true)?);
    assert_ne!(of(7, true)?, of(8, true)?);
    let sum = |values: &[f32]| values.iter().map(|value| f64::from(value.abs())).sum::<f64>();
    assert!((sum(&of(7, true)?) / sum(&source) - 1.0).abs() < 1e-5);
    let mut counts = Vec::new();
    for seed in 0..seeds {
        let found = of(seed, false)?;
        assert!(found.iter().zip(&source).all(|(found, source)| *found == 0.0 || found == source));
        counts.push(found.iter().filter(|value| **value != 0.0).count() as f64);
    }
    let mean = counts.iter().sum::<f64>() / seeds as f64;
    let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / seeds as f64;
    // Four standard deviations of either.
    assert!((mean - 300.0).abs() < 2.9, "{mean}");
    assert!((variance - 210.0).abs() < 60.0, "{variance}");
    Ok(())
}

/// From `density - epsilon` for the smallest magnitude of a row to `density + epsilon` for its largest.
#[test]
fn della_keeps_larger_magnitudes_more_often() -> Outcome {
    let (columns, seeds) = (11, 4000);
    let row = [3.0, -1.0, 7.0, 11.0, -9.0, 2.0, 10.0, -4.0, 5.0, 8.0, -6.0_f32];
    // The second row ranks alone, whatever its size.
    let source: Vec<f32> = row.iter().copied().chain(row.iter().map(|value| value / 100.0)).collect();
    let mut kept = vec![0_usize; source.len()];
    for seed in 0..seeds {
        let numbers = [("weight", 1.0), ("density", 0.5), ("epsilon", 0.3), ("seed", f64::from(seed))];
        let settings = parameters(&numbers, &[("rescale", false)]);
        let base = Some(matrix(&vec![0.0; source.len()], columns));
        let found = try_out("della_linear", &settings, base, vec![matrix(&source, columns)])?;
        kept.iter_mut().zip(found).for_each(|(kept, value)| *kept += usize::from(value != 0.0));
    }
    for (at, kept) in kept.into_iter().enumerate() {
        let expected = 0.2 + 0.6 * (f64::from(row[at % columns].abs()) - 1.0) / 10.0;
        let found = kept as f64 / f64::from(seeds);
        assert!((found - expected).abs() < 0.032, "element {at}: kept {found}, not {expected}");
    }
    Ok(())
}

#[test]
fn each_source_draws_for_itself() -> Outcome {
    let settings = parameters(&[("weight", 1.0), ("density", 0.5)], &[("rescale", false)]);
    let ones = vec![1.0; 4096];
    let found = try_out("dare_linear", &settings, Some(vector(&vec![0.0; 4096])), vec![vector(&ones), vector(&ones)])?;
    let count = |of: f32| found.iter().filter(|value| **value == of).count() as f64 / 4096.0;
    assert!((count(0.0) - 0.25).abs() < 0.03 && (count(2.0) - 0.25).abs() < 0.03, "{} {}", count(0.0), count(2.0));
    Ok(())
}
