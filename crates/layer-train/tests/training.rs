//! Trainings: that they learn, keep the best, and go on after a kill as if there had been none.

use std::path::Path;
use std::sync::Arc;

use layer_ir::Checkpoint;
use layer_train::{
    AdamW, CpuLearner, CurvePoint, Document, Error, HiddenFile, HiddenTarget, HiddenWriter, Layout, Learner,
    ModelEngine, OptimizerMemory, PackedBatch, Target, TeacherWriter, TopK, TrainEvent, TrainOutcome, TrainSettings,
    TrainWhat, Trainer, Wanted, WrongChoice, cpu_learner, mean_loss,
};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../layer-runtime/tests/golden/models/llama-mha");

/// Documents of a simple rule: each token is the one before it, plus a step that the first says.
fn documents(count: u32) -> Vec<Document> {
    let document = |number: u32| {
        let step = 1 + number % 5;
        let tokens = (0..12 + number % 7).map(|place| (number + step * place) % 90).collect();
        Document { tokens, wanted: Wanted::Tokens { from: 2 } }
    };
    (0..count).map(document).collect()
}

fn settings() -> TrainSettings {
    TrainSettings {
        tokens: 4000,
        batch_tokens: 200,
        micro_tokens: 100,
        rate: 3e-3,
        validations: 5,
        ..TrainSettings::default()
    }
}

/// Trains in a folder; `told` may end it, as a kill would, by an error.
fn train(
    folder: &Path,
    settings: &TrainSettings,
    told: &mut dyn FnMut(TrainEvent),
) -> Outcome<Result<TrainOutcome, Error>> {
    let checkpoint = Checkpoint::open(MODEL)?;
    let layout = Layout::of(&checkpoint)?;
    let values = layout.read(&checkpoint)?;
    let mut training = documents(60);
    let validation = training.split_off(50);
    let engine = ModelEngine::on_cpu(layout, 1 << 26);
    let (training, validation) = (&training, &validation);
    let state_every = std::time::Duration::ZERO;
    let trainer = Trainer { training, validation, settings, identity: "test", folder, state_every };
    Ok(cpu_learner(engine, values, settings).and_then(|learner| trainer.run(learner, told)))
}

fn losses(curve: &[CurvePoint]) -> Vec<f64> {
    curve.iter().map(|point| point.validation).collect()
}

#[test]
fn a_training_learns_what_its_documents_have_in_common() -> Outcome {
    let folder = tempfile::tempdir()?;
    let outcome = train(folder.path(), &settings(), &mut |_| ())??;
    let losses = losses(&outcome.curve);
    assert_eq!(losses.len(), 6, "the start and five validations");
    assert!(losses[5] < 0.85 * losses[0], "{losses:?}");
    assert_eq!(outcome.best, outcome.steps);
    Ok(())
}

/// A rate that ruins the model: the start is the best, and comes back to the bit.
#[test]
fn the_result_is_never_worse_than_the_start() -> Outcome {
    let folder = tempfile::tempdir()?;
    let settings = TrainSettings { rate: 3.0, warm_up: 0.0, patience: 2, ..settings() };
    let mut stopped = None;
    let outcome = train(folder.path(), &settings, &mut |event| {
        if let TrainEvent::Stopped { validations } = event {
            stopped = Some(validations);
        }
    })??;
    assert_eq!((outcome.best, stopped), (0, Some(2)), "{:?}", losses(&outcome.curve));
    let checkpoint = Checkpoint::open(MODEL)?;
    assert_eq!(outcome.values, Layout::of(&checkpoint)?.read(&checkpoint)?);
    Ok(())
}

/// A state is what the folder holds: whoever has its files as they were at some time goes on from there.
#[test]
fn a_training_that_was_killed_goes_on_to_the_same_numbers() -> Outcome {
    [OptimizerMemory::Full, OptimizerMemory::Compact].into_iter().try_for_each(killed)
}

fn killed(optimizer_memory: OptimizerMemory) -> Outcome {
    let settings = TrainSettings { optimizer_memory, ..settings() };
    let (whole, killed) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut copied = 0;
    let outcome = train(whole.path(), &settings, &mut |event| {
        // Two steps behind the second validation, as a kill may come between validations.
        if let TrainEvent::Step { step, .. } = event
            && (copied == 1 || step == 10)
        {
            copied += 1;
            if copied == 2 {
                copy(whole.path(), killed.path());
            }
        }
    })??;
    assert_eq!(copied, 2, "the copy was made");
    let mut begun = Vec::new();
    let again = train(killed.path(), &settings, &mut |event| {
        if let TrainEvent::Started { done, .. } = event {
            begun.push(done);
        }
    })??;
    assert!(begun[0] > 0 && begun[0] < outcome.steps, "it goes on after step {}", begun[0]);
    assert_eq!(losses(&again.curve), losses(&outcome.curve));
    assert_eq!((again.best, again.values), (outcome.best, outcome.values));
    // Another seed is another training, which does not go on from that state.
    train(killed.path(), &TrainSettings { seed: 1, ..settings }, &mut |event| {
        if let TrainEvent::Started { done, .. } = event {
            begun.push(done);
        }
    })??;
    assert_eq!(begun[1], 0);
    Ok(())
}

/// Gradients in bf16 and moments in bytes: of what a training brings, at most a fiftieth is lost or gained, and the
/// numbers do not depend on the number of threads.
#[test]
fn compact_memory_learns_nearly_as_well() -> Outcome {
    let brought = |settings: &TrainSettings, threads| -> Outcome<(f64, TrainOutcome)> {
        let folder = tempfile::tempdir()?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let run = || train(folder.path(), settings, &mut |_| ()).map_err(|error| error.to_string());
        let outcome = pool.install(run)??;
        let losses = losses(&outcome.curve);
        Ok((losses[0] - losses.last().ok_or("no loss")?, outcome))
    };
    for what in [TrainWhat::All, TrainWhat::Layers(vec![1])] {
        let full = TrainSettings { what, adam: AdamW { decay: 0.01, ..AdamW::default() }, ..settings() };
        let compact = TrainSettings { optimizer_memory: OptimizerMemory::Compact, ..full.clone() };
        let ((full, _), (ours, outcome)) = (brought(&full, 2)?, brought(&compact, 2)?);
        assert!(full > 0.05 && (ours / full - 1.0).abs() < 0.02, "{full} in f32, {ours} compact");
        assert_eq!(brought(&compact, 3)?.1.values, outcome.values);
    }
    let additions = TrainSettings {
        what: TrainWhat::Lora { rank: 2, alpha: 4.0 },
        optimizer_memory: OptimizerMemory::Compact,
        ..settings()
    };
    let folder = tempfile::tempdir()?;
    assert!(matches!(train(folder.path(), &additions, &mut |_| ())?, Err(Error::CompactAdditions)));
    Ok(())
}

fn copy(from: &Path, to: &Path) {
    let entries = std::fs::read_dir(from).into_iter().flatten().flatten();
    for entry in entries {
        let _ = std::fs::copy(entry.path(), to.join(entry.file_name()));
    }
}

/// The streams of another model behind each token: learning them brings the model's own nearer to them, and the losses
/// that are measured are those of the tokens alone.
#[test]
fn hidden_states_are_learnt() -> Outcome {
    let folder = tempfile::tempdir()?;
    let checkpoint = Checkpoint::open(MODEL)?;
    let layout = Layout::of(&checkpoint)?;
    let (width, vocabulary) = (layout.config().hidden_size, layout.config().vocab_size);
    let mut teacher = TeacherWriter::create(&folder.path().join("teacher.bin"), 1)?;
    let mut streams = HiddenWriter::create(&folder.path().join("hidden.bin"), width)?;
    let mut logits = vec![0.0; vocabulary];
    let texts = documents(20);
    for token in texts.iter().flat_map(|document| &document.tokens) {
        let place = (*token as usize + 1) % vocabulary;
        logits[place] = 9.0;
        teacher.push(&TopK::of(&logits, 1).ok_or("a distribution")?)?;
        logits[place] = 0.0;
        let stream: Vec<f32> = (0..width).map(|i| (0.2 * f64::from(*token) + i as f64).sin() as f32).collect();
        streams.push(&stream)?;
    }
    let (teacher, hidden) = (Arc::new(teacher.finish()?), Arc::new(streams.finish()?));
    let mut first = 0;
    let mut taught: Vec<Document> = Vec::new();
    for Document { tokens, .. } in texts {
        let (teacher, hidden) = (Arc::clone(&teacher), Some(Arc::clone(&hidden)));
        let count = tokens.len();
        taught.push(Document { tokens, wanted: Wanted::Teacher { teacher, first, from: 0, hidden } });
        first += count;
    }
    let validation = taught.split_off(15);
    let mut apart = Vec::new();
    for (place, hidden_weight) in [0.0, 1.0].into_iter().enumerate() {
        let settings = TrainSettings { hidden_weight, tokens: 1500, ..settings() };
        let own = folder.path().join(place.to_string());
        std::fs::create_dir(&own)?;
        let trainer = Trainer {
            training: &taught,
            validation: &validation,
            settings: &settings,
            identity: "test",
            folder: &own,
            state_every: std::time::Duration::from_secs(60),
        };
        let engine = ModelEngine::on_cpu(layout.clone(), 1 << 26);
        let learner = CpuLearner::new(engine, layout.read(&checkpoint)?, &settings)?;
        let outcome = trainer.run(Box::new(learner), &mut |_| ())?;
        apart.push((outcome.curve[0].validation, hidden_share(&layout, &outcome.values, &validation, &hidden)?));
    }
    assert_eq!(apart[0].0, apart[1].0, "the start's loss is that of the tokens");
    assert!(apart[1].1 < 0.8 * apart[0].1, "{apart:?}");
    Ok(())
}

/// The mean loss of the streams of some documents, whose rows follow each other in the file, from its end.
fn hidden_share(layout: &Layout, values: &[f32], documents: &[Document], hidden: &HiddenFile) -> Outcome<f64> {
    let engine = ModelEngine::on_cpu(layout.clone(), 0);
    let (mut loss, mut rows) = (0.0, 0);
    for document in documents {
        let Wanted::Teacher { first, .. } = &document.wanted else { continue };
        let streams = hidden.read(*first, document.tokens.len())?;
        let batch = PackedBatch::new(&[&document.tokens], layout.config())?;
        let streams = streams.chunks_exact(layout.config().hidden_size).enumerate();
        let target = |(row, stream)| {
            let hidden = Some(HiddenTarget { weight: 1.0, stream });
            Target { row, weight: 0.0, tokens: &[], ln_p: &[], ln_rest: f32::NEG_INFINITY, hidden }
        };
        loss += engine.loss(values, &batch, &streams.map(target).collect::<Vec<_>>())?;
        rows += document.tokens.len();
    }
    Ok(loss / rows as f64)
}

#[test]
fn only_the_layers_that_are_named_change() -> Outcome {
    let folder = tempfile::tempdir()?;
    let settings = TrainSettings { what: TrainWhat::Layers(vec![1]), tokens: 600, ..settings() };
    let outcome = train(folder.path(), &settings, &mut |_| ())??;
    let checkpoint = Checkpoint::open(MODEL)?;
    let layout = Layout::of(&checkpoint)?;
    let before = layout.read(&checkpoint)?;
    for parameter in layout.parameters() {
        let same = outcome.values[parameter.range.clone()] == before[parameter.range.clone()];
        assert_eq!(!same, parameter.name.contains("layers.1."), "{}", parameter.name);
    }
    Ok(())
}

#[test]
fn what_cannot_be_trained_is_refused_before_the_first_step() -> Outcome {
    let folder = tempfile::tempdir()?;
    let refused = |settings: &TrainSettings| train(folder.path(), settings, &mut |_| ());
    let layers = TrainSettings { what: TrainWhat::Layers(vec![9]), ..settings() };
    assert!(matches!(refused(&layers)?, Err(Error::NothingToTrain { .. })));
    let damaged = folder.path().join("state.safetensors");
    std::fs::write(&damaged, "no state")?;
    let message = refused(&settings())?.map_or_else(|error| error.to_string(), |_| String::new());
    assert!(message.contains("state.safetensors") && message.contains("remove it"), "{message}");
    let nowhere = folder.path().join("nowhere");
    let message = train(&nowhere, &settings(), &mut |_| ())?.map_or_else(|error| error.to_string(), |_| String::new());
    assert!(message.contains("nowhere"), "{message}");
    Ok(())
}

/// Questions of one token with three choices of two tokens, of which the question's number says the right one.
fn questions(count: u32) -> Vec<Document> {
    let document = |number: u32| {
        let choice = |place: u32| vec![number % 30, 40 + 7 * place, 41 + (number + place) % 5];
        let right = number % 3;
        let wrong = (0..3).filter(|place| *place != right).map(|place| WrongChoice { tokens: choice(place), from: 1 });
        Document { tokens: choice(right), wanted: Wanted::Choice { from: 1, wrong: wrong.collect() } }
    };
    (0..count).map(document).collect()
}

/// The loss of a document's right choice, from the likelihoods of all sequences, each in a batch of its own.
fn choice_loss(learner: &dyn Learner, document: &Document) -> Outcome<f64> {
    let mut likelihoods = Vec::new();
    for tokens in document.sequences() {
        let batch = PackedBatch::new(&[tokens], learner.layout().config())?;
        let targets: Vec<Target<'_>> =
            (1..tokens.len()).map(|place| Target::token(place - 1, 1.0, &tokens[place])).collect();
        likelihoods.push((-learner.loss(&batch, &targets)? / targets.len() as f64).exp());
    }
    let share = likelihoods[0] / likelihoods.iter().sum::<f64>();
    Ok(-likelihoods[0].ln() - share.ln())
}

#[test]
fn the_right_choice_is_learnt_among_others() -> Outcome {
    let folder = tempfile::tempdir()?;
    let checkpoint = Checkpoint::open(MODEL)?;
    let layout = Layout::of(&checkpoint)?;
    let values = layout.read(&checkpoint)?;
    let documents = questions(30);
    let settings = TrainSettings { tokens: 6000, batch_tokens: 90, ..settings() };
    let learner = |values: Vec<f32>| CpuLearner::new(ModelEngine::on_cpu(layout.clone(), 1 << 26), values, &settings);

    let start = learner(values.clone())?;
    let losses = documents.iter().map(|document| choice_loss(&start, document)).collect::<Outcome<Vec<f64>>>()?;
    let expected = losses.iter().sum::<f64>() / losses.len() as f64;
    let found = mean_loss(&start, &documents, &settings)?;
    assert!((found - expected).abs() < 1e-5, "{found} and {expected}");

    let (training, validation) = (&documents, &documents[..12].to_vec());
    let (settings, folder, state_every) = (&settings, folder.path(), std::time::Duration::ZERO);
    let trainer = Trainer { training, validation, settings, identity: "test", folder, state_every };
    let outcome = trainer.run(Box::new(learner(values)?), &mut |_| ())?;
    let curve = self::losses(&outcome.curve);
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    assert!(first > 3f64.ln() && last < 0.2, "of three choices, before {first} and after {last}");
    Ok(())
}
