//! Our bridges of one model over one gap, in a file that an independent solution can be compared with
//! (`benches/peers/bridges.sh`).
//!
//! `bridges MODEL TEXT.json AFTER LENGTH RIDGES OUT [--o-proj]`: layers `AFTER + 1` to `AFTER + LENGTH` go; `TEXT.json`
//! is a list of lists of token ids; of RIDGES, apart by commas, the best one on text held back is taken. Writes into
//! the folder OUT
//! - `ours.safetensors`: `refit.delta`, `replaceme.delta` (`[hidden, intermediate]`), `scale`, and of the sequential
//!   form `sequential.PLACE.down_proj`, `sequential.PLACE.o_proj`; beside each delta NAME `NAME.errors` on the text
//!   held back, one for each ridge;
//! - `refit.yaml` and `sequential.yaml`: the recipes that carry the deltas.
//!
//! Prints a line of JSON: tokens, and the seconds of each step.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use layer_runtime::RuntimeOptions;
use mimalloc::MiMalloc;
use recipe_search::bridges::{
    FittedDelta, Gap, SequentialSettings, Statistics, StatisticsSettings, TaughtText, bridge, bridge_sequentially_with,
};
use safetensors::{Dtype, tensor::TensorView};
use tailor_benches::{Outcome, model, open};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Arrays by name: shape and values.
type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, text, after, length, ridges, out, options @ ..] = &arguments[..] else {
        return Err("usage: bridges MODEL TEXT.json AFTER LENGTH RIDGES OUT [--o-proj]".into());
    };
    let out = Path::new(out);
    std::fs::create_dir_all(out)?;
    let text: Vec<Vec<u32>> = serde_json::from_slice(&std::fs::read(text)?)?;
    let ridges = ridges.split(',').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let gap = Gap { after: after.parse()?, length: length.parse()? };
    let sequential = SequentialSettings { o_proj: options.iter().any(|option| option == "--o-proj") };
    let path = std::path::absolute(path)?;

    let (runtime, whole) = open(&path, "cpu", RuntimeOptions::default())?;
    let settings = StatisticsSettings { memory_bytes: 16 << 30, ..StatisticsSettings::default() };
    let mut arrays = Arrays::new();
    let mut seconds = BTreeMap::new();
    let mut timed = |name: &'static str, start: Instant| _ = seconds.insert(name, start.elapsed().as_secs_f64());

    let start = Instant::now();
    let statistics = Statistics::gather_gaps(&mut model(&runtime, whole.clone())?, &text, &[gap], settings)?;
    timed("statistics", start);
    let start = Instant::now();
    let refit = statistics.refit(gap, &ridges)?;
    timed("refit", start);
    let shape = vec![refit.delta.hidden, refit.delta.intermediate];
    insert(&mut arrays, "refit.delta", &shape, &refit, &refit.delta.values);
    let checkpoint = runtime.family().base();
    let weight = checkpoint.tensor(&checkpoint.layer_tensor_name(gap.after, "mlp.down_proj.weight"))?.to_f32();
    let start = Instant::now();
    let replaceme = statistics.replaceme(gap, &weight, &ridges)?;
    timed("replaceme", start);
    insert(&mut arrays, "replaceme.delta", &shape, &replaceme, &replaceme.delta.values);
    arrays.insert("scale".to_owned(), (vec![1], vec![statistics.scale(gap)?.scale as f32]));

    let mut cut = whole;
    cut.layers.drain(gap.after + 1..gap.after + 1 + gap.length);
    let mut mended = cut.clone();
    bridge(&runtime, &mut mended, &text, settings, &ridges, out)?;
    std::fs::write(out.join("refit.yaml"), absolute(mended, out)?)?;
    let taught: Vec<TaughtText> =
        text.iter().map(|tokens| TaughtText { tokens: tokens.clone(), teacher: "model".to_owned() }).collect();
    let start = Instant::now();
    let bridges = bridge_sequentially_with(&runtime, &mut cut, &taught, settings, &ridges, sequential, out)?;
    timed("sequential", start);
    std::fs::write(out.join("sequential.yaml"), absolute(cut, out)?)?;
    for bridge in &bridges {
        let name = format!("sequential.{}.down_proj", bridge.place);
        insert(&mut arrays, &name, &shape, &bridge.fitted, &bridge.fitted.delta.values);
        if let Some(o_proj) = &bridge.o_proj {
            let (name, delta) = (format!("sequential.{}.o_proj", bridge.place), &o_proj.fitted.delta);
            insert(&mut arrays, &name, &[delta.hidden, delta.attended], &o_proj.fitted, &delta.values);
        }
    }
    write(&out.join("ours.safetensors"), &arrays)?;
    println!("{}", serde_json::json!({ "tokens": statistics.tokens(), "seconds": seconds }));
    Ok(())
}

/// A delta, and what each ridge left of the error.
fn insert<D>(arrays: &mut Arrays, name: &str, shape: &[usize], fitted: &FittedDelta<D>, values: &[f32]) {
    let errors: Vec<f32> = fitted.tried.iter().map(|tried| tried.held_back_error as f32).collect();
    arrays.insert(format!("{name}.errors"), (vec![errors.len()], errors));
    arrays.insert(name.to_owned(), (shape.to_vec(), values.to_vec()));
}

/// A recipe as YAML, with its bridges' files as they are named from within `out`.
fn absolute(mut recipe: layer_ir::Recipe, out: &Path) -> Outcome<String> {
    for bridge in recipe.layers.iter_mut().filter_map(|layer| layer.bridge.as_mut()) {
        bridge.file = bridge.file.strip_prefix(out)?.to_owned();
    }
    Ok(recipe.to_yaml()?)
}

/// Arrays as a safetensors file.
fn write(path: &Path, arrays: &Arrays) -> Outcome {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let bytes: Vec<_> = arrays.iter().map(|(name, (shape, values))| (name, shape, bytes(values))).collect();
    let views =
        bytes.iter().map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)));
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>()?;
    std::fs::write(path, safetensors::serialize(views, None)?)?;
    Ok(())
}
