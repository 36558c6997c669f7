//! `tests/golden/models`: transformers' logits in f32.

mod support;

use layer_runtime::RuntimeOptions;
use support::{MODELS, Outcome, expected, golden, plain, runtime, worst_difference};

const ALLOWED: f32 = 2e-4;

/// Each sequence by itself, then all in one padded batch; with own kernels and with burn's operations.
#[test]
fn logits_agree_with_transformers() -> Outcome {
    for name in MODELS {
        let kernels = runtime(&[("base", golden(&format!("models/{name}")))], RuntimeOptions::default())?;
        for (runtime, how) in [(kernels.clone(), "kernels"), (kernels.with_plain_operations(), "burn")] {
            let mut model = runtime.model(plain(&runtime)?)?;
            let expected = expected(name)?;
            let mut singly = 0.0_f32;
            for (ids, logits) in &expected {
                let found = model.logits(&[ids])?;
                singly = singly.max(worst_difference(&found[0], logits));
            }
            let sequences: Vec<&[u32]> = expected.iter().map(|(ids, _)| ids.as_slice()).collect();
            let found = model.logits(&sequences)?;
            let differences = found.iter().zip(&expected).map(|(found, (_, logits))| worst_difference(found, logits));
            let together = differences.fold(0.0, f32::max);
            println!("{name} by {how}: {singly:.1e} singly, {together:.1e} in one batch");
            assert!(singly <= ALLOWED && together <= ALLOWED, "{name} by {how}: {singly:e}, {together:e}");
        }
    }
    Ok(())
}
