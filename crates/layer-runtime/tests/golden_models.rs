//! `tests/golden/models`: transformers' logits in f32.

mod support;

use layer_ir::Dtype;
use layer_runtime::{Runtime, RuntimeOptions};
use support::{Outcome, expected, golden, plain, runtime, worst_difference};

const ALLOWED: f32 = 2e-4;

/// The golden models, and the type that their maker cast them to (`model.to(dtype)`) before computing in f32: that
/// also rounded the rotary frequencies, which by itself moves the logits of `qwen3-qknorm-bf16` by 1.1e-3.
const MODELS: [(&str, Dtype); 5] = [
    ("llama-mha", Dtype::F32),
    ("llama3-gqa-sharded-bf16", Dtype::BF16),
    ("mistral-window-headdim", Dtype::F32),
    ("qwen2-tied-f16", Dtype::F16),
    ("qwen3-qknorm-bf16", Dtype::BF16),
];

/// Each sequence by itself, then all in one padded batch; with own kernels and with burn's operations.
#[test]
fn logits_agree_with_transformers() -> Outcome {
    for (name, dtype) in MODELS {
        for engine in ["cpu", "burn"] {
            let options = RuntimeOptions { rope_dtype: dtype, engine: Some(engine), ..RuntimeOptions::default() };
            let runtime = runtime(&[("base", golden(&format!("models/{name}")))], options)?;
            let (singly, together) = differences(&runtime, name)?;
            println!("{name} by {engine}: {singly:.1e} singly, {together:.1e} in one batch");
            assert!(singly <= ALLOWED && together <= ALLOWED, "{name} by {engine}: {singly:e}, {together:e}");
        }
    }
    Ok(())
}

/// As `from_pretrained` has them, which is how checkpoints are used.
#[test]
fn exact_frequencies_agree_up_to_the_golden_files_rounding() -> Outcome {
    for (name, _) in MODELS {
        let runtime = runtime(&[("base", golden(&format!("models/{name}")))], RuntimeOptions::default())?;
        let (singly, together) = differences(&runtime, name)?;
        println!("{name}, exact frequencies: {singly:.1e} singly, {together:.1e} in one batch");
        let allowed = if name == "qwen3-qknorm-bf16" { 2e-3 } else { ALLOWED };
        assert!(singly <= allowed && together <= allowed, "{name}: {singly:e}, {together:e}");
    }
    Ok(())
}

/// The largest difference of each sequence by itself, and of all in one batch.
fn differences(runtime: &Runtime, name: &str) -> Outcome<(f32, f32)> {
    let mut model = runtime.model(plain(runtime)?)?;
    let expected = expected(name)?;
    let mut singly = 0.0_f32;
    for (ids, logits) in &expected {
        let found = model.logits(&[ids])?;
        singly = singly.max(worst_difference(&found[0], logits));
    }
    let sequences: Vec<&[u32]> = expected.iter().map(|(ids, _)| ids.as_slice()).collect();
    let found = model.logits(&sequences)?;
    let together = found.iter().zip(&expected).map(|(found, (_, logits))| worst_difference(found, logits));
    Ok((singly, together.fold(0.0, f32::max)))
}
