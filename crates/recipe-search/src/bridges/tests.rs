//! Bridges of made-up activations, and of a small model.

use layer_ir::{Merge, OutputLayer, Recipe};
use layer_runtime::{Activations, RecipeModel, Runtime, RuntimeOptions, TokenPlace, open_device};
use nalgebra::{Cholesky, DMatrix};
use rand::{Rng, RngExt as _, SeedableRng, rngs::ChaCha8Rng};

use super::gaps::GapSet;
use super::gather::StatisticsBuilder;
use super::sums::FIT;
use super::walk::check_finite;
use super::{
    DownProjDelta, FitError, Gap, Statistics, StatisticsSettings, StatisticsShape, TaughtText, bridge,
    bridge_sequentially, gaps,
};
use crate::Error;

pub(super) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const RIDGES: [f64; 3] = [0.001, 0.01, 0.1];
const FIRST: Gap = Gap { after: 0, length: 1 };

/// What a made-up model makes of some sequences.
#[derive(Debug, Clone)]
struct MadeUp {
    hidden: usize,
    tokens: Vec<TokenPlace>,
    /// At each place, `[tokens, hidden]`.
    streams: Vec<Vec<f32>>,
    /// Of each layer, `[tokens, intermediate]`.
    inner: Vec<Vec<f32>>,
}

impl MadeUp {
    /// All gaps of up to two layers.
    fn gaps(&self) -> GapSet {
        GapSet::of(Gap::up_to(2, self.inner.len()))
    }

    fn shape(&self, largest_gap: usize) -> StatisticsShape {
        let intermediate = self.inner[0].len() / self.tokens.len();
        StatisticsShape { layers: self.inner.len(), intermediate, hidden: self.hidden, largest_gap }
    }

    /// The statistics of those tokens that `takes` takes, `batch` of them at a time.
    fn statistics(&self, batch: usize, takes: impl Fn(&TokenPlace) -> bool) -> Result<Statistics, FitError> {
        let settings = StatisticsSettings { largest_gap: 2, ..StatisticsSettings::default() };
        let mut builder = StatisticsBuilder::new(self.shape(2), &self.gaps(), settings, batch)?;
        let taken = (0..self.tokens.len()).filter(|row| takes(&self.tokens[*row]));
        let part_of = |row: &usize| settings.part_of(self.tokens[*row].sequence);
        let (fit, held_back): (Vec<usize>, Vec<usize>) = taken.partition(|row| part_of(row) == FIT);
        for rows in fit.chunks(batch).chain(held_back.chunks(batch)) {
            let tokens: Vec<TokenPlace> = rows.iter().map(|row| self.tokens[*row]).collect();
            let some = |values: &[f32]| -> Vec<f32> {
                let width = values.len() / self.tokens.len();
                rows.iter().flat_map(|row| values[row * width..(row + 1) * width].to_vec()).collect()
            };
            for (place, stream) in self.streams.iter().enumerate() {
                let inner = if place == 0 { Vec::new() } else { some(&self.inner[place - 1]) };
                let seen = Activations { tokens: &tokens, place, inner, stream: some(stream), attention: None };
                check_finite(&seen)?;
                builder.add(part_of(&rows[0]), seen);
            }
        }
        let sequences = self.tokens.iter().map(|token| token.sequence + 1).max().unwrap_or_default();
        builder.finish(sequences)
    }

    /// `X_j - X_{i+1} - ΔW h` of a gap, over `|X_{i+1}|`, squared and summed, over the same without a bridge; of those
    /// tokens that `counts` counts. `delta` is `[hidden, intermediate]`, row after row.
    fn error(&self, gap: Gap, delta: &[f32], counts: impl Fn(&TokenPlace) -> bool) -> f64 {
        let (hidden, width) = (self.hidden, self.shape(1).intermediate);
        let (mut with, mut without) = (0.0, 0.0);
        for row in (0..self.tokens.len()).filter(|row| counts(&self.tokens[*row])) {
            let part = |values: &[f32], width: usize| -> Vec<f64> {
                values[row * width..(row + 1) * width].iter().copied().map(f64::from).collect()
            };
            let x = part(&self.streams[gap.after + 1], hidden);
            let later = part(&self.streams[gap.after + 1 + gap.length], hidden);
            let inner = part(&self.inner[gap.after], width);
            let weight = 1.0 / x.iter().map(|x| x * x).sum::<f64>();
            for (place, delta) in delta.chunks_exact(width).enumerate() {
                let target = later[place] - x[place];
                let change: f64 = delta.iter().zip(&inner).map(|(delta, h)| f64::from(*delta) * h).sum();
                with += weight * (target - change).powi(2);
                without += weight * target * target;
            }
        }
        with / without
    }
}

/// `sequences` of `length` tokens each, in order.
fn places(sequences: usize, length: usize) -> Vec<TokenPlace> {
    let places = |sequence| (0..length).map(move |position| TokenPlace { sequence, position });
    (0..sequences).flat_map(places).collect()
}

fn normal(random: &mut impl Rng) -> f32 {
    // The sum of twelve uniform numbers is near enough.
    (0..12).map(|_| random.random_range(-0.5_f32..0.5)).sum()
}

fn normals(random: &mut impl Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| normal(random)).collect()
}

/// Two layers, of which the second adds a linear map of the first one's inner activations, and noise. With `sink`, the
/// token at position 0 has a stream a thousand times as long as others, made by one inner activation, and changes by
/// a fifth of its length.
fn linear(sequences: usize, sink: bool, noise: f32) -> MadeUp {
    let (hidden, width, length) = (6, 16, 20);
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let tokens = places(sequences, length);
    let map = normals(&mut random, hidden * width);
    let (along, change) = ([1.0, -1.0, 1.0, 1.0, -1.0, 1.0], [1.0, 1.0, -1.0, 1.0, 1.0, -1.0]);
    let mut made_up = MadeUp {
        hidden,
        tokens,
        streams: vec![Vec::new(); 3],
        inner: vec![Vec::new(), vec![0.0; sequences * length * width]],
    };
    for token in &made_up.tokens {
        let mut h = normals(&mut random, width);
        // Elsewhere, what makes the sink is nearly silent.
        h[3] *= 0.05;
        let mut x = normals(&mut random, hidden);
        let row = |row: &[f32]| row.iter().zip(&h).map(|(map, h)| 0.3 * map * h).sum::<f32>();
        let mut later: Vec<f32> = map.chunks(width).map(row).collect();
        later.iter_mut().for_each(|value| *value += noise * normal(&mut random));
        if sink && token.position == 0 {
            h[3] = 3000.0;
            x = along.map(|value| 1000.0 * value).into();
            later = change.map(|value| 200.0 * value).into();
        }
        made_up.streams[0].extend(normals(&mut random, hidden));
        made_up.streams[2].extend(x.iter().zip(&later).map(|(x, r)| x + r));
        made_up.streams[1].extend(x);
        made_up.inner[0].extend(h);
    }
    made_up
}

fn all(_: &TokenPlace) -> bool {
    true
}

/// A file of `tests/golden`.
pub(super) struct Golden(Vec<u8>);

impl Golden {
    pub(super) fn read(name: &str) -> Outcome<Self> {
        Ok(Self(std::fs::read(format!("{}/tests/golden/{name}.safetensors", env!("CARGO_MANIFEST_DIR")))?))
    }

    /// An array by its name, flat.
    pub(super) fn array(&self, name: &str) -> Outcome<Vec<f64>> {
        let tensors = safetensors::SafeTensors::deserialize(&self.0)?;
        let tensor = tensors.tensor(name)?;
        let data = tensor.data();
        Ok(match tensor.dtype() {
            safetensors::Dtype::F32 => data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            _ => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        })
    }

    fn floats(&self, name: &str) -> Outcome<Vec<f32>> {
        Ok(self.array(name)?.iter().map(|value| *value as f32).collect())
    }

    /// The made-up activations.
    fn made_up(&self) -> Outcome<MadeUp> {
        let lengths = self.array("lengths")?;
        let places = |(sequence, length): (usize, &f64)| {
            (0..*length as usize).map(move |position| TokenPlace { sequence, position })
        };
        let tokens: Vec<TokenPlace> = lengths.iter().enumerate().flat_map(places).collect();
        let streams = (0..5).map(|place| self.floats(&format!("stream.{place}"))).collect::<Outcome<Vec<_>>>()?;
        let inner = (0..4).map(|layer| self.floats(&format!("inner.{layer}"))).collect::<Outcome<_>>()?;
        Ok(MadeUp { hidden: streams[0].len() / tokens.len(), tokens, streams, inner })
    }
}

/// How far values are from others, in shares of the largest of these.
pub(super) fn off(found: impl IntoIterator<Item = f64>, expected: &[f64]) -> f64 {
    let largest = expected.iter().map(|value| value.abs()).fold(0.0, f64::max);
    found.into_iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

/// `tests/golden/bridges.safetensors`: numpy's least squares on the tokens themselves; made by `make_bridges.py`.
#[test]
fn bridges_agree_with_numpy() -> Outcome {
    let golden = Golden::read("bridges")?;
    let statistics = golden.made_up()?.statistics(57, all)?;
    for gap in [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)].map(|(after, length)| Gap { after, length }) {
        let Gap { after, length } = gap;
        let weight = golden.floats(&format!("down_proj.{after}"))?;
        for (method, found) in
            [("refit", statistics.refit(gap, &RIDGES)?), ("replaceme", statistics.replaceme(gap, &weight, &RIDGES)?)]
        {
            let name = format!("{method}.{after}.{length}");
            let worst =
                off(found.delta.values.iter().copied().map(f64::from), &golden.array(&format!("{name}.delta"))?);
            assert!(worst < 1e-5, "{name}: the delta differs by {worst:e} of its largest value");
            let errors = found.tried.iter().map(|tried| tried.held_back_error);
            let worst = off(errors, &golden.array(&format!("{name}.errors"))?);
            assert!(worst < 1e-5, "{name}: the errors differ by {worst:e} of the largest");
            assert_eq!(golden.array(&format!("{name}.ridge"))?, [found.ridge], "{name}");
            assert!(!found.few_tokens || method == "refit", "{name}");
        }
        let scale = statistics.scale(gap)?;
        let worst = off([scale.scale], &golden.array(&format!("scale.{after}.{length}"))?);
        assert!(worst < 1e-5, "scale of {gap:?} differs by {worst:e}");
    }
    Ok(())
}

#[test]
fn batches_change_nothing() -> Outcome {
    let made_up = Golden::read("bridges")?.made_up()?;
    let whole = made_up.statistics(1000, all)?;
    for batch in [1, 40] {
        let found = made_up.statistics(batch, all)?;
        assert_eq!(found.tokens(), whole.tokens());
        let (found, whole) = (found.refit(FIRST, &[0.01])?, whole.refit(FIRST, &[0.01])?);
        let expected: Vec<f64> = whole.delta.values.iter().copied().map(f64::from).collect();
        let worst = off(found.delta.values.iter().copied().map(f64::from), &expected);
        assert!(worst < 1e-5, "in batches of {batch}: differs by {worst:e}");
    }
    Ok(())
}

/// A fifth of the sequences, whole, whichever batches they are in.
#[test]
fn every_fifth_sequence_is_held_back() -> Outcome {
    assert_eq!(linear(12, false, 0.1).statistics(33, all)?.tokens(), [200, 40]);
    Ok(())
}

#[test]
fn a_linear_gap_is_bridged_exactly() -> Outcome {
    let made_up = linear(10, false, 0.0);
    let bridge = made_up.statistics(64, all)?.refit(FIRST, &[1e-9])?;
    let error = made_up.error(FIRST, &bridge.delta.values, all);
    assert!(error < 1e-9, "{error:e} of the error is left");
    assert!(bridge.tried[0].held_back_error < 1e-6, "{:?}", bridge.tried);
    Ok(())
}

/// What the sums say of the tokens held back is what is left there.
#[test]
fn held_back_errors_are_measured_ones() -> Outcome {
    let made_up = linear(10, true, 0.5);
    let held_back = |token: &TokenPlace| token.sequence % 5 == 4;
    let others = made_up.statistics(64, |token| !held_back(token))?;
    for tried in made_up.statistics(64, all)?.refit(FIRST, &RIDGES)?.tried {
        let fitted = others.refit(FIRST, &[tried.ridge])?;
        assert!(fitted.tried.is_empty(), "nothing is held back");
        let measured = made_up.error(FIRST, &fitted.delta.values, held_back);
        let off = (measured - tried.held_back_error).abs();
        assert!(off < 1e-5, "ridge {}: {measured} measured, {} from the sums", tried.ridge, tried.held_back_error);
    }
    Ok(())
}

/// The refit on all tokens, each with the weight 1.
fn unweighted_refit(made_up: &MadeUp, ridge: f64) -> Option<Vec<f32>> {
    let matrix = |values: &[f32]| {
        let width = values.len() / made_up.tokens.len();
        DMatrix::from_row_iterator(made_up.tokens.len(), width, values.iter().map(|value| f64::from(*value)))
    };
    let inner = matrix(&made_up.inner[0]);
    let mut gram = inner.transpose() * &inner;
    let added = ridge * gram.trace() / gram.nrows() as f64;
    gram += DMatrix::identity(gram.nrows(), gram.nrows()) * added;
    let cross = inner.transpose() * (matrix(&made_up.streams[2]) - matrix(&made_up.streams[1]));
    Some(Cholesky::new(gram)?.solve(&cross).iter().map(|value| *value as f32).collect())
}

/// With the weights, the sink is mended like other tokens and costs them nothing. Left out, it is wrecked: its inner
/// activations are beyond all that the fit has seen. Without weights, it is all that the fit sees.
#[test]
fn an_attention_sink_is_one_token_among_others() -> Outcome {
    let made_up = linear(20, true, 0.3);
    let sink = |token: &TokenPlace| token.position == 0;
    let others = |token: &TokenPlace| token.position != 0;
    let with = made_up.statistics(64, all)?.refit(FIRST, &[0.001])?.delta.values;
    let without = made_up.statistics(64, others)?.refit(FIRST, &[0.001])?.delta.values;
    let unweighted = unweighted_refit(&made_up, 0.001).ok_or("singular")?;
    let error = |delta: &[f32], of: fn(&TokenPlace) -> bool| made_up.error(FIRST, delta, of);
    let (mended, wrecked) = (error(&with, sink), error(&without, sink));
    assert!(mended < 0.1 && wrecked > 2.0, "at the sink: {mended} with it, {wrecked} without it");
    let (with, without, unweighted) = (error(&with, others), error(&without, others), error(&unweighted, others));
    assert!(with < 1.05 * without, "elsewhere: {with} with it, {without} without it");
    assert!(unweighted > 5.0 * with, "elsewhere: {unweighted} unweighted, {with} weighted");
    Ok(())
}

/// A small model, its first layer with an output scale.
pub(super) fn model(engine: &'static str, scale: f32) -> Outcome<RecipeModel> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../layer-runtime/tests/golden/models/llama-mha");
    let mut recipe = Recipe::of_base([("base".to_owned(), folder.to_owned())].into(), "base", 3);
    recipe.layers[0].scale = scale;
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family, &())?;
    let options = RuntimeOptions { engine: Some(engine), batch_tokens: 200, ..RuntimeOptions::default() };
    Ok(Runtime::new(family, merge_ops::Registry::standard(), open_device("cpu")?, options)?.model(recipe)?)
}

pub(super) fn calibration() -> Vec<Vec<u32>> {
    let length = |i: u32| 20 + 7 * i % 31;
    (0..30).map(|i| (0..length(i)).map(|j| (i * 7919 + j * j * 31 + j * 17) % 300).collect()).collect()
}

#[test]
fn engines_have_the_same_statistics() -> Outcome {
    let [ours, theirs] = ["cpu", "burn"].map(|engine| -> Outcome<Vec<f32>> {
        let statistics = Statistics::gather(&mut model(engine, 1.0)?, &calibration(), StatisticsSettings::default())?;
        Ok(statistics.refit(FIRST, &RIDGES)?.delta.values)
    });
    let expected: Vec<f64> = theirs?.iter().map(|value| f64::from(*value)).collect();
    let worst = off(ours?.iter().map(|value| f64::from(*value)), &expected);
    assert!(worst < 1e-3, "the delta differs by {worst:e} of its largest value");
    Ok(())
}

/// A change of the weight of a scaled layer counts times the scale: any other multiple of the delta is worse.
#[test]
fn a_delta_is_one_of_the_weight_before_the_output_scale() -> Outcome {
    let (scale, sequences) = (0.5, calibration());
    let mut model = model("cpu", scale)?;
    let bridge = Statistics::gather(&mut model, &sequences, StatisticsSettings::default())?.refit(FIRST, &[1e-6])?;
    let hidden = model.runtime().config().hidden_size;
    let mut made_up = MadeUp { hidden, tokens: Vec::new(), streams: vec![Vec::new(); 4], inner: vec![Vec::new(); 3] };
    let slices: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
    model.activations(&slices, |seen| {
        made_up.streams[seen.place].extend(&seen.stream);
        match seen.place {
            0 => made_up.tokens.extend(seen.tokens),
            place => made_up.inner[place - 1].extend(&seen.inner),
        }
        Ok::<_, layer_runtime::Error>(())
    })?;
    let error = |times: f32| {
        let delta: Vec<f32> = bridge.delta.values.iter().map(|value| times * value).collect();
        made_up.error(FIRST, &delta, all)
    };
    let (less, best, more) = (error(0.9 * scale), error(scale), error(1.1 * scale));
    assert!(best < less && best < more && best < 1.0, "{less}, {best}, {more}");
    Ok(())
}

#[test]
fn what_cannot_be_fitted_is_refused() -> Outcome {
    let made_up = linear(10, false, 0.1);
    let statistics = made_up.statistics(64, all)?;
    let message =
        |error: Result<super::FittedDelta, FitError>| error.map_or_else(|error| error.to_string(), |_| String::new());
    let few = message(linear(1, false, 0.1).statistics(64, |token| token.position < 9)?.refit(FIRST, &[0.1]));
    assert!(few.contains("9 calibration tokens") && few.contains("at least 16"), "{few}");
    let none = message(linear(3, false, 0.1).statistics(64, all)?.refit(FIRST, &RIDGES));
    assert!(none.contains("3 sequences") && none.contains("every 5th"), "{none}");
    for ridges in [&[][..], &[0.1, 0.0], &[f64::NAN]] {
        assert!(matches!(statistics.refit(FIRST, ridges), Err(FitError::Ridges { .. })), "{ridges:?}");
    }
    for (after, length) in [(0, 0), (0, 2), (1, 1), (7, 1)] {
        let unknown = statistics.refit(Gap { after, length }, &[0.1]);
        assert!(matches!(unknown, Err(FitError::UnknownGap { .. })), "{after}, {length}: {unknown:?}");
    }
    let other = statistics.replaceme(FIRST, &[0.0; 7], &[0.1]);
    assert!(matches!(other, Err(FitError::OtherDownProj { found: 7, hidden: 6, intermediate: 16 })), "{other:?}");
    let mut silent = made_up;
    silent.inner[0].fill(0.0);
    let singular = message(silent.statistics(64, all)?.refit(FIRST, &[0.1]));
    assert!(singular.contains("behind layer 0") && singular.contains("ridge 0.1"), "{singular}");
    Ok(())
}

#[test]
fn what_cannot_be_summed_is_refused() -> Outcome {
    let mut made_up = linear(10, false, 0.1);
    assert!(matches!(made_up.statistics(64, |_| false), Err(FitError::NoTokens)));
    for (key, settings) in [
        ("largest_gap", StatisticsSettings { largest_gap: 0, ..StatisticsSettings::default() }),
        ("held_back_every", StatisticsSettings { held_back_every: 1, ..StatisticsSettings::default() }),
    ] {
        let refused = StatisticsBuilder::new(made_up.shape(1), &made_up.gaps(), settings, 1).map(|_| ());
        assert!(matches!(refused, Err(FitError::Setting { key: named, .. }) if named == key), "{refused:?}");
    }
    let shape = made_up.shape(2);
    let needed = shape.needed(&made_up.gaps(), 64);
    let within = |memory_bytes| {
        let settings = StatisticsSettings { largest_gap: 2, memory_bytes, ..StatisticsSettings::default() };
        StatisticsBuilder::new(shape, &made_up.gaps(), settings, 64).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(within(needed), Ok(()));
    let refused = within(needed - 1).unwrap_err();
    assert!(refused.contains(&needed.to_string()) && refused.contains(&(needed - 1).to_string()), "{refused}");
    made_up.inner[1][16 * (3 * 20 + 7) + 2] = f32::NAN;
    let refused = made_up.statistics(64, all).map(|_| ());
    let named = matches!(refused, Err(FitError::NotFinite { layer: 1, sequence: 3, position: 7 }));
    assert!(named, "{refused:?}");
    Ok(())
}

#[test]
fn a_delta_is_a_tensor_of_its_layer() -> Outcome {
    let folder = tempfile::tempdir()?;
    let delta = DownProjDelta { hidden: 2, intermediate: 3, values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.5] };
    let bytes = std::fs::read(delta.write(folder.path())?.file)?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes)?;
    let tensor = tensors.tensor("mlp.down_proj.weight")?;
    assert_eq!((tensor.dtype(), tensor.shape()), (safetensors::Dtype::F32, &[2, 3][..]));
    assert_eq!(tensor.data()[20..], 5.5_f32.to_le_bytes());
    let torn = DownProjDelta { hidden: 4, ..delta };
    assert!(matches!(torn.write(folder.path()), Err(Error::LayerIr(_))));
    Ok(())
}

/// How far a recipe's stream after its last layer is from that of the whole model, squared and summed over a text that
/// no bridge has seen.
fn apart(runtime: &Runtime, recipe: &Recipe) -> Outcome<f64> {
    let text: Vec<u32> = (0..40).map(|i| i * 37 % 300).collect();
    let last = |recipe: Recipe| -> Outcome<Vec<f32>> {
        let states = runtime.model(recipe.validate(runtime.family(), runtime.registry())?)?.hidden_states(&[&text])?;
        Ok(states.last().cloned().unwrap_or_default())
    };
    let (found, target) = (last(recipe.clone())?, last(Recipe::of_model(runtime.family(), "base"))?);
    Ok(found.iter().zip(&target).map(|(a, b)| f64::from(a - b).powi(2)).sum())
}

#[test]
fn each_gap_of_a_recipe_is_bridged_by_the_model_before_it() -> Outcome {
    let (whole, folder) = (model("cpu", 1.0)?, tempfile::tempdir()?);
    let mut plain = Recipe::of_model(whole.runtime().family(), "base");
    plain.layers.remove(1);
    let (mut recipe, settings) = (plain.clone(), StatisticsSettings::default());
    let bridges = bridge(whole.runtime(), &mut recipe, &calibration(), settings, &RIDGES, folder.path())?;
    assert_eq!(bridges.iter().map(|bridge| bridge.over.gap).collect::<Vec<_>>(), [FIRST]);
    let statistics = Statistics::gather(&mut model("cpu", 1.0)?, &calibration(), settings)?;
    assert_eq!(bridges[0].fitted.delta, statistics.refit(FIRST, &RIDGES)?.delta);
    assert!(apart(whole.runtime(), &recipe)? < apart(whole.runtime(), &plain)?);
    Ok(())
}

/// The first layer of a sequence sees what the whole model sees, so its bridge is the one over its gap.
#[test]
fn a_sequence_begins_with_the_gaps_own_bridge_and_goes_on_to_the_end() -> Outcome {
    let (whole, folder) = (model("cpu", 1.0)?, tempfile::tempdir()?);
    let mut plain = Recipe::of_model(whole.runtime().family(), "base");
    plain.layers.remove(1);
    let settings = StatisticsSettings::default();
    let mut one = plain.clone();
    let bridges = bridge(whole.runtime(), &mut one, &calibration(), settings, &RIDGES, folder.path())?;
    let taught = |tokens| TaughtText { tokens, teacher: "base".to_owned() };
    let texts: Vec<TaughtText> = calibration().into_iter().map(taught).collect();
    let mut all = plain.clone();
    let found = bridge_sequentially(whole.runtime(), &mut all, &texts, settings, &RIDGES, folder.path())?;
    assert_eq!(found.iter().map(|bridge| (bridge.place, bridge.target)).collect::<Vec<_>>(), [(0, 2), (1, 3), (2, 4)]);
    let (first, over) = (&found[0].fitted.delta.values, &bridges[0].fitted.delta.values);
    assert!(
        off(first.iter().map(|value| f64::from(*value)), &over.iter().map(|it| f64::from(*it)).collect::<Vec<_>>())
            < 1e-4
    );
    let far = [&all, &one, &plain].map(|recipe| apart(whole.runtime(), recipe));
    let [all, one, plain] = far;
    let (all, one, plain) = (all?, one?, plain?);
    // The model is made of noise: behind the gap nothing can be mended, and what does not help is not kept.
    assert!(all < 1.0001 * one && one < plain, "{all} {one} {plain}");

    let little = StatisticsSettings { memory_bytes: 1000, ..settings };
    let mut recipe = Recipe::of_model(whole.runtime().family(), "base");
    assert!(bridge_sequentially(whole.runtime(), &mut recipe, &texts, settings, &RIDGES, folder.path())?.is_empty());
    recipe.layers.remove(1);
    let refused = bridge_sequentially(whole.runtime(), &mut recipe, &texts, little, &RIDGES, folder.path());
    assert!(matches!(refused, Err(Error::Bridge(error)) if matches!(*error, FitError::Memory { budget: 1000, .. })));
    Ok(())
}

#[test]
fn merged_layers_and_stacked_ones_have_no_gap() {
    let mut recipe = Recipe::of_base([].into(), "base", 6);
    assert_eq!(gaps(&recipe, 6), []);
    recipe.layers[3] = OutputLayer::merge(Merge::new("linear").source("base", 3).source("other", 3));
    recipe.layers.remove(4);
    assert_eq!(gaps(&recipe, 6), [], "behind a merged layer");
    recipe.layers.remove(2);
    let found: Vec<_> = gaps(&recipe, 6).iter().map(|found| (found.place, found.gap.after, found.gap.length)).collect();
    assert_eq!(found, [(1, 1, 1)], "before a merged layer");
    recipe.layers.truncate(2);
    assert_eq!(gaps(&recipe, 6)[0].gap, Gap { after: 1, length: 4 }, "before the end");
    recipe.layers.push(OutputLayer::take("base", 0));
    assert_eq!(gaps(&recipe, 6).len(), 1, "an earlier layer leaves no gap behind the one before it");
}
