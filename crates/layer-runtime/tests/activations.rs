//! The MLP's inner activations and the residual stream, place by place.

mod support;

use std::collections::BTreeMap;

use layer_ir::{Checkpoint, Role};
use layer_runtime::{ActivationsOptions, Error, RecipeModel, Runtime, RuntimeOptions, TokenPlace};
use merge_ops::Registry;
use support::{MODELS, Outcome, golden, plain, runtime, tokens, worst_difference};

/// What is seen of one token at one place.
struct Seen {
    inner: Vec<f32>,
    stream: Vec<f32>,
}

/// By place and token.
type All = BTreeMap<(usize, TokenPlace), Seen>;

/// The output scale of layer 1.
const SCALE: f32 = 0.75;

fn sequences() -> Vec<Vec<u32>> {
    let text = |seed: u32, length: u32| (0..length).map(|i| 3 + (seed * 7919 + i * i * 31 + i * 17) % 300).collect();
    // The second one begins like the first.
    vec![text(1, 23), text(1, 9), text(2, 40), text(3, 1), text(4, 150)]
}

fn open(name: &str, options: RuntimeOptions) -> Outcome<Runtime> {
    runtime(&[("base", golden(&format!("models/{name}")))], options)
}

/// All layers, the second one with an output scale.
fn scaled(runtime: &Runtime) -> Outcome<RecipeModel> {
    let mut recipe = plain(runtime)?.recipe().clone();
    recipe.layers[1].scale = SCALE;
    Ok(runtime.model(recipe.validate(runtime.family(), &Registry::standard())?)?)
}

fn activations(model: &mut RecipeModel, hidden: usize) -> Outcome<All> {
    let sequences = sequences();
    let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let mut all = All::new();
    model.activations(&slices, |seen| {
        let width = seen.inner.len() / seen.tokens.len();
        for (row, token) in seen.tokens.iter().enumerate() {
            let inner = seen.inner[row * width..(row + 1) * width].to_vec();
            let stream = seen.stream[row * hidden..(row + 1) * hidden].to_vec();
            assert!(all.insert((seen.place, *token), Seen { inner, stream }).is_none(), "{token:?} came twice");
        }
        Ok::<_, Error>(())
    })?;
    Ok(all)
}

/// A layer's MLP in f64.
struct Mlp {
    norm: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
    eps: f64,
}

impl Mlp {
    fn read(checkpoint: &Checkpoint, layer: usize) -> Outcome<Self> {
        let tensor = |role: Role| -> Outcome<Vec<f32>> {
            let tensors = checkpoint.layer_tensors();
            let found = tensors.iter().find(|tensor| tensor.role == Some(role)).ok_or("no such tensor")?;
            Ok(checkpoint.tensor(&checkpoint.layer_tensor_name(layer, &found.suffix))?.to_f32())
        };
        Ok(Self {
            norm: tensor(Role::PostAttentionNorm)?,
            gate: tensor(Role::GateProj)?,
            up: tensor(Role::UpProj)?,
            down: tensor(Role::DownProj)?,
            eps: checkpoint.config()?.rms_norm_eps,
        })
    }

    /// What `inner` must be, given that the stream `after` came out of the layer with it: the stream before the MLP
    /// is `after / scale - down inner`, and `silu(gate norm) * up norm` of that is `inner` again.
    fn inner_again(&self, seen: &Seen, scale: f64) -> Vec<f32> {
        let product = |weight: &[f32], x: &[f64]| -> Vec<f64> {
            let row = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
            weight.chunks_exact(x.len()).map(row).collect()
        };
        let inner: Vec<f64> = seen.inner.iter().copied().map(f64::from).collect();
        let output = product(&self.down, &inner);
        let before: Vec<f64> = seen.stream.iter().zip(output).map(|(x, y)| f64::from(*x) / scale - y).collect();
        let mean = before.iter().map(|x| x * x).sum::<f64>() / before.len() as f64;
        let root = (mean + self.eps).sqrt();
        let normed: Vec<f64> = before.iter().zip(&self.norm).map(|(x, w)| x / root * f64::from(*w)).collect();
        let gated = product(&self.gate, &normed).into_iter().zip(product(&self.up, &normed));
        gated.map(|(gate, up)| (gate / (1.0 + (-gate).exp()) * up) as f32).collect()
    }
}

#[test]
fn inner_activations_are_those_that_make_the_stream() -> Outcome {
    for name in MODELS {
        let checkpoint = Checkpoint::open(golden(&format!("models/{name}")))?;
        for engine in ["cpu", "burn"] {
            let runtime = open(name, RuntimeOptions { engine: Some(engine), ..RuntimeOptions::default() })?;
            let all = activations(&mut scaled(&runtime)?, runtime.config().hidden_size)?;
            for layer in 0..checkpoint.num_layers() {
                let mlp = Mlp::read(&checkpoint, layer)?;
                let scale = if layer == 1 { f64::from(SCALE) } else { 1.0 };
                for ((_, token), seen) in all.iter().filter(|((place, _), _)| *place == layer + 1) {
                    let worst = worst_difference(&seen.inner, &mlp.inner_again(seen, scale));
                    assert!(worst < 5e-5, "{name} by {engine}, layer {layer}, {token:?}: differs by {worst:e}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn engines_and_batches_agree() -> Outcome {
    for name in MODELS {
        let all = |engine, batch_tokens| -> Outcome<All> {
            let options = RuntimeOptions { engine: Some(engine), batch_tokens, ..RuntimeOptions::default() };
            let runtime = open(name, options)?;
            activations(&mut scaled(&runtime)?, runtime.config().hidden_size)
        };
        let ours = all("cpu", 2048)?;
        for (engine, batch_tokens) in [("burn", 2048), ("cpu", 30)] {
            let theirs = all(engine, batch_tokens)?;
            assert_eq!(ours.len(), theirs.len());
            for ((key, ours), (same, theirs)) in ours.iter().zip(&theirs) {
                assert_eq!(key, same);
                let inner = worst_difference(&ours.inner, &theirs.inner);
                let stream = worst_difference(&ours.stream, &theirs.stream);
                let worst = inner.max(stream);
                assert!(worst < 5e-5, "{name} by {engine}, {batch_tokens} tokens: {key:?} differs by {worst:e}");
            }
        }
    }
    Ok(())
}

/// Every token of every sequence once, in order, with its position; the streams are the hidden states.
#[test]
fn streams_are_the_hidden_states() -> Outcome {
    let runtime = open("llama-mha", RuntimeOptions::default())?;
    let hidden = runtime.config().hidden_size;
    let all = activations(&mut scaled(&runtime)?, hidden)?;
    let sequences = sequences();
    let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    let states = scaled(&runtime)?.hidden_states(&slices)?;
    let places = sequences.iter().enumerate();
    let expected: Vec<TokenPlace> = places
        .flat_map(|(sequence, ids)| (0..ids.len()).map(move |position| TokenPlace { sequence, position }))
        .collect();
    for (place, state) in states.iter().enumerate() {
        let seen = all.iter().filter(|((of, _), _)| *of == place);
        let (tokens, streams): (Vec<TokenPlace>, Vec<&[f32]>) =
            seen.map(|((_, token), seen)| (*token, seen.stream.as_slice())).unzip();
        assert_eq!(tokens, expected, "place {place}");
        let worst = worst_difference(&streams.concat(), state);
        assert!(worst < 2e-5, "place {place} differs by up to {worst:e}");
    }
    Ok(())
}

#[test]
fn an_error_ends_the_walk() -> Outcome {
    #[derive(Debug)]
    enum Stop {
        Here(usize),
        Of(Error),
    }
    impl From<Error> for Stop {
        fn from(error: Error) -> Self {
            Self::Of(error)
        }
    }
    let runtime = open("llama-mha", RuntimeOptions { batch_tokens: 30, ..RuntimeOptions::default() })?;
    let mut model = scaled(&runtime)?;
    let mut seen = 0;
    let ids = tokens(&[1.0, 2.0, 3.0]);
    let stopped = model.activations(&[&ids, &ids], |now| {
        seen += 1;
        if now.place == 1 { Err(Stop::Here(now.place)) } else { Ok(()) }
    });
    assert!(matches!(stopped, Err(Stop::Here(1))), "{stopped:?}");
    assert_eq!(seen, 2);
    let refused = model.activations(&[&ids, &[]], |_| Ok::<_, Stop>(()));
    assert!(matches!(refused, Err(Stop::Of(Error::Empty { index: 1 }))), "{refused:?}");
    Ok(())
}

/// The stream after the attention is the one before it and what `o_proj` makes of what the heads have read; a layer
/// that runs alone on the stream before it makes the same as in the walk.
#[test]
fn the_inside_of_the_attention_makes_the_stream_after_it() -> Outcome {
    for name in MODELS {
        let checkpoint = Checkpoint::open(golden(&format!("models/{name}")))?;
        let tensors = checkpoint.layer_tensors();
        let output = tensors.iter().find(|tensor| tensor.role == Some(Role::OProj)).ok_or("no o_proj")?;
        for engine in ["cpu", "burn"] {
            let options = RuntimeOptions { engine: Some(engine), batch_tokens: 30, ..RuntimeOptions::default() };
            let runtime = open(name, options)?;
            let (mut model, hidden) = (scaled(&runtime)?, runtime.config().hidden_size);
            let sequences = sequences();
            let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
            // Of layer 1: the streams before it, and per token what it makes.
            let mut before: Vec<Vec<f32>> = slices.iter().map(|ids| vec![0.0; ids.len() * hidden]).collect();
            let mut made = BTreeMap::new();
            model.activations_with(&slices, ActivationsOptions { layers: Some(2), attention: true }, |seen| {
                assert!(seen.place <= 2, "the walk ends after two layers");
                assert_eq!(seen.attention.is_some(), seen.place > 0);
                for (row, token) in seen.tokens.iter().enumerate() {
                    let own = row * hidden..(row + 1) * hidden;
                    match (seen.place, &seen.attention) {
                        (1, _) => before[token.sequence][token.position * hidden..][..hidden]
                            .copy_from_slice(&seen.stream[own]),
                        (2, Some(attention)) => {
                            let width = attention.attended.len() / seen.tokens.len();
                            let attended = attention.attended[row * width..(row + 1) * width].to_vec();
                            made.insert(
                                *token,
                                (attended, attention.stream[own.clone()].to_vec(), seen.stream[own].to_vec()),
                            );
                        }
                        _ => {}
                    }
                }
                Ok::<_, Error>(())
            })?;
            let weight = checkpoint.tensor(&checkpoint.layer_tensor_name(1, &output.suffix))?.to_f32();
            for (token, (attended, after, _)) in &made {
                let x = &before[token.sequence][token.position * hidden..][..hidden];
                let row = |(x, row): (&f32, &[f32])| {
                    let sum: f64 = row.iter().zip(attended).map(|(w, a)| f64::from(*w) * f64::from(*a)).sum();
                    (f64::from(*x) + sum) as f32
                };
                let expected: Vec<f32> = x.iter().zip(weight.chunks_exact(attended.len())).map(row).collect();
                let worst = worst_difference(after, &expected);
                assert!(worst < 5e-5, "{name} by {engine}, {token:?}: differs by {worst:e}");
            }
            let streams: Vec<&[f32]> = before.iter().map(Vec::as_slice).collect();
            let mut tokens = 0;
            model.layer_activations(1, &slices, &streams, true, |seen| {
                let attention = seen.attention.unwrap_or_else(|| panic!("it was asked for"));
                for (row, token) in seen.tokens.iter().enumerate() {
                    let (_, after, stream) = &made[token];
                    let own = row * hidden..(row + 1) * hidden;
                    assert_eq!(
                        (&attention.stream[own.clone()], &seen.stream[own]),
                        (&after[..], &stream[..]),
                        "{token:?}"
                    );
                }
                tokens += seen.tokens.len();
                Ok::<_, Error>(())
            })?;
            assert_eq!(tokens, made.len());
        }
    }
    Ok(())
}

#[test]
fn a_layer_alone_is_refused_what_does_not_fit() -> Outcome {
    let runtime = open("llama-mha", RuntimeOptions::default())?;
    let mut model = scaled(&runtime)?;
    let (ids, stream) = (tokens(&[1.0, 2.0, 3.0]), vec![0.0; 3 * runtime.config().hidden_size]);
    let mut run =
        |layer, stream: &[f32]| model.layer_activations(layer, &[&ids], &[stream], false, |_| Ok::<_, Error>(()));
    run(3, &stream)?;
    let refused = run(4, &stream);
    assert!(matches!(refused, Err(Error::NoSuchLayer { layer: 4, layers: 4 })), "{refused:?}");
    let refused = run(0, &stream[1..]);
    assert!(matches!(refused, Err(Error::StreamSize { sequence: 0, .. })), "{refused:?}");
    Ok(())
}
