//! Training by burn's autodiff against training by the CPU's own kernels. burn's CPU backend stands in for a GPU.
#![cfg(feature = "burn")]

mod support;

use burn::tensor::Device;
use layer_ir::Dtype;
use layer_train::{
    AdamW, BurnLearner, BurnSettings, CpuLearner, Error, Learner, LearnerState, ModelEngine, Moments, Step,
    TrainSettings, TrainWhat,
};
use support::{Example, HIDDEN_MODELS, MODELS, Outcome};

fn what(what: TrainWhat) -> TrainSettings {
    TrainSettings { what, adam: AdamW { decay: 0.1, ..AdamW::default() }, ..TrainSettings::default() }
}

fn on_cpu(example: &Example, settings: &TrainSettings) -> Outcome<CpuLearner> {
    let engine = ModelEngine::on_cpu(example.layout.clone(), usize::MAX);
    Ok(CpuLearner::new(engine, example.values.clone(), settings)?)
}

fn on_burn(example: &Example, training: &TrainSettings, compute: Dtype, bytes: usize) -> Result<BurnLearner, Error> {
    let settings = BurnSettings { activation_bytes: bytes, ..BurnSettings::new(Device::flex(), Some(compute))? };
    BurnLearner::new(example.layout.clone(), example.values.clone(), training, settings)
}

/// One step with a norm of at most 1; the loss before it.
fn step(learner: &mut dyn Learner, example: &Example, number: usize) -> Outcome<f64> {
    learner.zero_gradients()?;
    let loss = learner.add_gradients(&example.batch, &example.targets())?;
    let clip = (1.0 / learner.gradient_norm()?).min(1.0);
    learner.update(Step { number, rate: 1e-3, clip })?;
    Ok(loss)
}

/// The largest difference of two tensors as a share of the second's largest number.
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    let largest = theirs.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    ours.iter().zip(theirs).fold(0_f32, |apart, (a, b)| apart.max((a - b).abs())) / largest
}

/// Factors that are none of them zero.
fn factors(count: usize) -> LearnerState<'static> {
    let number = |place: usize| ((place * 37 + 11) % 101) as f32 / 1000.0 - 0.05;
    let moments = Moments::Full([vec![0.0; count].into(), vec![0.0; count].into()]);
    LearnerState { numbers: (0..count).map(number).collect::<Vec<f32>>().into(), moments }
}

/// Both sides sum in f32, in different orders.
#[test]
fn losses_and_gradients_are_those_of_the_cpu() -> Outcome {
    for name in MODELS {
        let example = Example { hidden: HIDDEN_MODELS.contains(&name), ..Example::new(name)? };
        let settings = what(TrainWhat::All);
        let mut cpu = on_cpu(&example, &settings)?;
        let theirs = cpu.add_gradients(&example.batch, &example.targets())?;
        for bytes in [0, usize::MAX] {
            let mut burn = on_burn(&example, &settings, Dtype::F32, bytes)?;
            let ours = burn.add_gradients(&example.batch, &example.targets())?;
            assert!((ours - theirs).abs() < 1e-5 * theirs, "{name}: loss {ours}, on the CPU {theirs}");
            let alone = burn.loss(&example.batch, &example.targets())?;
            assert!((alone - ours).abs() < 1e-6 * ours, "{name}: loss {alone} without gradients, {ours} with them");
            let (ours, theirs) = (burn.gradients()?, cpu.gradients()?);
            for parameter in example.layout.parameters() {
                let off = apart(&ours[parameter.range.clone()], &theirs[parameter.range.clone()]);
                assert!(off <= 1e-5, "{name}: the gradient of {} is off by {off:e} of its largest", parameter.name);
            }
            let (ours, theirs) = (burn.gradient_norm()?, cpu.gradient_norm()?);
            assert!((ours - theirs).abs() < 1e-5 * theirs, "{name}: norm {ours}, on the CPU {theirs}");
        }
    }
    Ok(())
}

#[test]
fn some_layers_and_low_rank_additions_have_the_gradients_of_the_cpu() -> Outcome {
    for name in ["llama-mha", "qwen2-tied-f16", "qwen3-qknorm-bf16"] {
        let example = Example::new(name)?;
        for kind in [TrainWhat::Layers(vec![1]), TrainWhat::Lora { rank: 3, alpha: 6.0 }] {
            let settings = what(kind.clone());
            let (mut cpu, mut burn) = (on_cpu(&example, &settings)?, on_burn(&example, &settings, Dtype::F32, 0)?);
            assert_eq!(burn.state()?.numbers, cpu.state()?.numbers, "{name}, {kind:?}: the start");
            if matches!(kind, TrainWhat::Lora { .. }) {
                let state = factors(cpu.trained_numbers());
                cpu.restore(state.clone())?;
                burn.restore(state)?;
            }
            assert_eq!(burn.values()?, cpu.values()?, "{name}, {kind:?}: the model");
            let theirs = cpu.add_gradients(&example.batch, &example.targets())?;
            let ours = burn.add_gradients(&example.batch, &example.targets())?;
            assert!((ours - theirs).abs() < 1e-5 * theirs, "{name}, {kind:?}: loss {ours}, on the CPU {theirs}");
            let off = apart(&burn.gradients()?, &cpu.gradients()?);
            assert!(off <= 1e-5, "{name}, {kind:?}: gradients are off by {off:e} of the largest");
        }
    }
    Ok(())
}

/// Adam divides small gradients by themselves, so that single numbers differ more than the losses do.
#[test]
fn steps_are_those_of_the_cpu() -> Outcome {
    for name in ["llama3-gqa-sharded-bf16", "mistral-window-headdim", "qwen2-tied-f16"] {
        let example = Example::new(name)?;
        for kind in [TrainWhat::All, TrainWhat::Layers(vec![0]), TrainWhat::Lora { rank: 4, alpha: 8.0 }] {
            let settings = what(kind.clone());
            let (mut cpu, mut burn) = (on_cpu(&example, &settings)?, on_burn(&example, &settings, Dtype::F32, 0)?);
            let start = cpu.loss(&example.batch, &example.targets())?;
            for number in 1..=6 {
                let (ours, theirs) = (step(&mut burn, &example, number)?, step(&mut cpu, &example, number)?);
                let off = (ours - theirs).abs() / theirs;
                assert!(off < 1e-5, "{name}, {kind:?}: loss {ours} before step {number}, on the CPU {theirs}");
            }
            let end = burn.loss(&example.batch, &example.targets())?;
            assert!(end < start, "{name}, {kind:?}: the loss was {start}, and is {end}");
            let frozen = example.layout.parameters().iter().filter(|parameter| match &kind {
                TrainWhat::All => false,
                TrainWhat::Layers(_) => !parameter.name.contains("layers.0."),
                _ => parameter.shape.len() == 1,
            });
            let values = burn.values()?;
            for parameter in frozen {
                let range = parameter.range.clone();
                assert!(values[range.clone()] == example.values[range], "{name}, {kind:?}: {} moved", parameter.name);
            }
        }
    }
    Ok(())
}

#[test]
fn a_state_goes_on_to_the_same_numbers() -> Outcome {
    let example = Example::new("llama3-gqa-sharded-bf16")?;
    for kind in [TrainWhat::All, TrainWhat::Lora { rank: 2, alpha: 4.0 }] {
        let settings = what(kind.clone());
        let mut whole = on_burn(&example, &settings, Dtype::F32, usize::MAX)?;
        step(&mut whole, &example, 1)?;
        step(&mut whole, &example, 2)?;
        let state = whole.state()?;
        let mut resumed = on_burn(&example, &settings, Dtype::F32, usize::MAX)?;
        resumed.restore(state.clone())?;
        assert_eq!(resumed.state()?, state);
        // A state is of either side.
        let mut cpu = on_cpu(&example, &settings)?;
        cpu.restore(state)?;
        assert_eq!(cpu.values()?, whole.values()?);
        step(&mut whole, &example, 3)?;
        step(&mut resumed, &example, 3)?;
        assert_eq!(resumed.state()?, whole.state()?, "{kind:?}");
    }
    Ok(())
}

/// Rounded to 8 bits, products are off by some 0.4%, and what is trained is kept in f32.
#[test]
fn products_in_bf16_learn_the_same() -> Outcome {
    let example = Example::new("llama3-gqa-sharded-bf16")?;
    let settings = what(TrainWhat::All);
    let (mut cpu, mut burn) = (on_cpu(&example, &settings)?, on_burn(&example, &settings, Dtype::BF16, 0)?);
    assert_eq!(burn.values()?, cpu.values()?, "what is trained is in f32");
    for number in 1..=6 {
        let (ours, theirs) = (step(&mut burn, &example, number)?, step(&mut cpu, &example, number)?);
        assert!(ours != theirs && (ours - theirs).abs() < 0.01 * theirs, "loss {ours} in bf16, {theirs} in f32");
        let (ours, theirs) = (burn.gradients()?, cpu.gradients()?);
        let off: f64 = ours.iter().zip(&*theirs).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        let norm = cpu.gradient_norm()?;
        assert!(off < 0.02 * norm, "step {number}: gradients are off by {off}, their norm is {norm}");
    }
    let refused = on_burn(&example, &settings, Dtype::F16, 0);
    assert!(matches!(refused, Err(Error::UnsupportedCompute { found: Dtype::F16 })));
    Ok(())
}
