//! The 15 published results of auto-merge-llm, imported over made-up families and compared with a reading of their own:
//! layer by layer for all, tensor by tensor for three.
//!
//! The files have no licence and are not here. They are looked for in `../shared/published`, beside the repository;
//! where they are not, the tests pass. `import.rs` tries files of the same form that it makes itself.

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use layer_ir::{Expr, LayerExpr, OuterExpr, Parameters, Recipe};
use merge_ops::Registry;
use safetensors::SafeTensors;
use serde_json::Value;
use support::{Family, Result};

/// The fine-tunes in the order of the searches, by our names and by those of the files.
const FINE_TUNES: [(&str, &str); 3] = [
    ("chat", "WizardLMTeam/WizardLM-13B-V1.2"),
    ("math", "vanillaOVO/WizardMath-13B-V1.0"),
    ("code", "layoric/llama-2-13b-code-alpaca"),
];
const SETS: [&str; 3] = ["self_attn", "mlp", "base"];
/// A tensor of each set.
const TENSORS: [&str; 3] = ["self_attn.q_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight"];

/// The published files by name; none where they are not there.
fn published() -> Result<Vec<(String, PathBuf)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/published");
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("no name")?.to_owned();
        files.push((name, path));
    }
    files.sort();
    Ok(files)
}

/// Made-up models with so many layers, and the file that names them.
fn family(layers: usize) -> Result<Family> {
    let folders = FINE_TUNES.map(|(_, id)| id.rsplit('/').next().unwrap_or_default());
    let family = Family::of_depth(layers, &folders)?;
    let variants: Vec<_> =
        FINE_TUNES.iter().zip(folders).map(|((name, _), folder)| format!("{name} = \"models/{folder}\"")).collect();
    family.write("models.toml", &format!("base = \"models/base\"\nvariants = {{ {} }}\n", variants.join(", ")))?;
    Ok(family)
}

fn read(path: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

/// A number of the file, which may be a text.
fn number(file: &Value, key: &str) -> f64 {
    let value = &file[key];
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{key} is {value}"))
}

fn has(file: &Value, key: &str) -> bool {
    file.get(key).is_some()
}

/// Numbers in words of nine digits, as two ways of computing one may differ in the last bits.
fn words(numbers: [f64; 3]) -> String {
    numbers.map(|number| format!("{number:.9}")).join(" ")
}

/// What the published file says of each layer, then of the embedding and of the head.
fn reading(file: &Value, layers: usize) -> Vec<String> {
    let mut said = if has(file, "remove_idx_0") {
        of_prune(file, layers)
    } else if has(file, "scale_0") {
        of_dis(file, layers)
    } else {
        (0..layers).map(|layer| of_lfs(file, layer, layers, &TENSORS)).collect()
    };
    let ends: Vec<String> = if has(file, "layer_selection_method_0") {
        let outer = ["model.norm.weight"; 3];
        [0, layers - 1].map(|layer| of_lfs(file, layer, layers, &outer)).into()
    } else {
        [said.first(), said.last()].into_iter().flatten().cloned().collect()
    };
    said.extend(ends.iter().map(|text| without_layers(text)));
    said
}

/// The same for an end of the model, which is of no layer.
fn without_layers(text: &str) -> String {
    let words = text.split(' ').filter(|word| !word.starts_with('x'));
    words.map(|word| word.split('[').next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

fn of_prune(file: &Value, layers: usize) -> Vec<String> {
    let keys: Vec<&String> = file.as_object().into_iter().flat_map(|keys| keys.keys()).collect();
    let removed: Vec<f64> =
        keys.iter().filter(|key| key.starts_with("remove_idx")).map(|key| number(file, key)).collect();
    let mut said = Vec::new();
    for layer in (0..layers).filter(|layer| !removed.contains(&(*layer as f64))) {
        let mut chosen = Vec::new();
        for (candidate, (name, _)) in FINE_TUNES.iter().enumerate() {
            if number(file, &format!("layer_{layer}_candidate_{candidate}")) == 1.0 {
                chosen.push(format!("{name}[{layer}]"));
            }
        }
        let output = said.len();
        said.push(match chosen.len() {
            0 => format!("base[{layer}]"),
            1 => chosen.remove(0),
            _ => {
                let coefficient = number(file, &format!("layer_{layer}_merge_scale_factor"));
                let coefficients = words([coefficient; 3]);
                format!("gptailor_task_arithmetic base[{output}] {} coefficient {coefficients}", chosen.join(" "))
            }
        });
    }
    said
}

fn of_dis(file: &Value, layers: usize) -> Vec<String> {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut said = Vec::new();
    for layer in 0..layers {
        let permutation = format!("layer_{layer}_permutation_selection");
        // Without permutations the reference takes number 1.
        let order = orders[if has(file, &permutation) { number(file, &permutation) as usize } else { 1 }];
        let before = said.len();
        for block in order {
            let key = format!("layer_{layer}_block_{block}_selection");
            if has(file, &key) && number(file, &key) == 1.0 {
                said.push(format!("{}[{layer}]", FINE_TUNES[block].0));
            }
        }
        if said.len() == before {
            said.push(format!("base[{layer}]"));
        }
        let scale = number(file, &format!("scale_{layer}"));
        if let Some(last) = said.last_mut().filter(|_| scale != 1.0) {
            *last += &format!(" x{:.6}", scale as f32);
        }
    }
    said
}

/// The set of a tensor.
fn set(tensor: &str) -> &'static str {
    SETS.into_iter().find(|set| tensor.contains(set)).unwrap_or("base")
}

fn of_lfs(file: &Value, layer: usize, layers: usize, tensors: &[&str; 3]) -> String {
    let group = Group { file, group: layer / (layers / 4) };
    let base = format!("base[{layer}] ");
    let all: Vec<String> = FINE_TUNES.iter().map(|(name, _)| format!("{name}[{layer}]")).collect();
    let all = all.join(" ");
    let of = |parameter: &str| words(tensors.map(|tensor| group.shared(tensor, parameter)));
    match group.method() {
        "linear" => {
            let weights = (0..3).map(|model| {
                let of_model = |tensor| group.of_model(model, tensor, "linear_param_weights");
                format!("{}[{layer}] weight {}", FINE_TUNES[model].0, words(tensors.map(of_model)))
            });
            format!("gptailor_linear {}", weights.collect::<Vec<_>>().join(" "))
        }
        "slerp" => {
            let ([first, second], t) = group.slerp(tensors);
            let [first, second] = [first, second].map(|model| FINE_TUNES[model].0);
            format!("gptailor_slerp {first}[{layer}] {second}[{layer}] t {}", words(t))
        }
        "task_arithmetic" => {
            format!(
                "gptailor_task_arithmetic {base}{all} coefficient {}",
                of("task_arithmetic_param_scaling_coefficient")
            )
        }
        "ties" => {
            let (coefficient, rate) = (of("ties_param_scaling_coefficient"), of("ties_param_param_value_mask_rate"));
            format!("gptailor_ties {base}{all} coefficient {coefficient} mask_rate {rate}")
        }
        other => panic!("{other}"),
    }
}

/// One group of a result of the fusion search.
struct Group<'a> {
    file: &'a Value,
    group: usize,
}

impl Group<'_> {
    fn method(&self) -> &str {
        self.file[format!("layer_selection_method_{}", self.group)].as_str().unwrap_or_default()
    }

    fn shared(&self, tensor: &str, parameter: &str) -> f64 {
        number(self.file, &format!("layer_{}_paramset_{}_method_{parameter}", self.group, set(tensor)))
    }

    fn of_model(&self, model: usize, tensor: &str, parameter: &str) -> f64 {
        let (id, group, set) = (FINE_TUNES[model].1, self.group, set(tensor));
        number(self.file, &format!("model_{id}_layer_{group}_paramset_{set}_method_{parameter}"))
    }

    /// The two models that are interpolated, and where between them each tensor lies.
    fn slerp<const N: usize>(&self, tensors: &[&str; N]) -> ([usize; 2], [f64; N]) {
        let t = |model, tensor: &str| self.of_model(model, tensor, "slerp_param_slerp_t");
        let mut scores: Vec<(f64, usize)> =
            (0..3).map(|model| (TENSORS.iter().map(|tensor| t(model, tensor)).sum(), model)).collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (first, second) = (scores[0].1, scores[1].1);
        let place = |tensor: &str| {
            let [a, b] = [first, second].map(|model| t(model, tensor).exp());
            b / (a + b)
        };
        ([first, second], tensors.map(place))
    }
}

/// The same of a recipe, with the bases of merges named.
fn described(recipe: &Recipe) -> Result<Vec<String>> {
    let recipe = recipe.clone().canonicalise(&Registry::standard());
    let mut said = Vec::new();
    for layer in &recipe.layers {
        let scale = if layer.scale == 1.0 { String::new() } else { format!(" x{:.6}", layer.scale) };
        said.push(of_layer(&layer.from)? + &scale);
    }
    assert_eq!(recipe.outer.final_norm, recipe.outer.head);
    for outer in [&recipe.outer.embedding, &recipe.outer.head] {
        said.push(of_outer(outer)?);
    }
    Ok(said)
}

fn of_layer(expr: &LayerExpr) -> Result<String> {
    let merge = match expr {
        Expr::Take(of) => return Ok(format!("{}[{}]", of.model, of.layer)),
        Expr::Merge(merge) => merge,
    };
    let mut text = merge.method.clone();
    if let Some(base) = &merge.base {
        text += &format!(" {}[{}]", base.model, base.layer.ok_or("no layer")?);
    }
    for source in &merge.sources {
        text += &format!(" {}[{}]{}", source.of.model, source.of.layer, values(&source.parameters, &TENSORS)?);
    }
    Ok(text + &values(&merge.parameters, &TENSORS)?)
}

fn of_outer(expr: &OuterExpr) -> Result<String> {
    let merge = match expr {
        Expr::Take(of) => return Ok(of.model.clone()),
        Expr::Merge(merge) => merge,
    };
    let tensors = ["model.norm.weight"; 3];
    let mut text = merge.method.clone();
    text += &merge.base.as_ref().map_or(String::new(), |base| format!(" {}", base.model));
    for source in &merge.sources {
        text += &format!(" {}{}", source.of.model, values(&source.parameters, &tensors)?);
    }
    Ok(text + &values(&merge.parameters, &tensors)?)
}

/// Parameters with their values for three tensors.
fn values(parameters: &Parameters, tensors: &[&str; 3]) -> Result<String> {
    let mut text = String::new();
    for key in parameters.keys() {
        let mut numbers = [f64::NAN; 3];
        for (number, tensor) in numbers.iter_mut().zip(tensors) {
            *number = parameters.number(key, tensor)?.ok_or("no number")?;
        }
        text += &format!(" {key} {}", words(numbers));
    }
    Ok(text)
}

#[test]
fn the_published_results_are_read_layer_by_layer() -> Result {
    let files = published()?;
    assert!(files.is_empty() || files.len() == 15, "{} published files", files.len());
    let layers = |name: &str| if name.contains("7b") { 32 } else { 40 };
    for depth in [32, 40] {
        let family = if files.is_empty() { return Ok(()) } else { family(depth)? };
        for (name, path) in files.iter().filter(|(name, _)| layers(name) == depth) {
            let result = path.canonicalize()?.display().to_string();
            family.run(&format!("import {result} --models models.toml -o {name}.yaml --quiet"))?;
            let recipe = Recipe::read(family.path(&format!("{name}.yaml")))?;
            let (expected, found) = (reading(&read(path)?, depth), described(&recipe)?);
            let kept = match name.split('_').collect::<Vec<_>>()[..] {
                ["prune", "13b", _] => 30,
                ["prune", "7b", _] => 23,
                ["dis", ..] => 47,
                _ => 40,
            };
            assert_eq!((expected.len(), found.len()), (kept + 2, kept + 2), "{name}");
            for (at, (expected, found)) in expected.iter().zip(&found).enumerate() {
                assert_eq!(found, expected, "{name}, layer {at}");
            }
            let inspected: Value = serde_json::from_str(&family.run(&format!("inspect {name}.yaml --json"))?)?;
            assert_eq!(inspected["layers"], kept, "{name}");
            let merged = family.run(&format!("merge {name}.yaml {name} --quiet"))?;
            assert!(merged.contains(&format!("{kept} layers")), "{merged}");
        }
    }
    Ok(())
}

type Weights = HashMap<String, Vec<f64>>;

/// All tensors of a checkpoint, in f32.
fn weights(folder: &Path) -> Result<Weights> {
    let bytes = std::fs::read(folder.join("model.safetensors"))?;
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes)));
        (name, numbers.collect())
    };
    Ok(SafeTensors::deserialize(&bytes)?.tensors().into_iter().map(read).collect())
}

/// The base plus `c` times the sum of the differences.
fn task_arithmetic(base: &[f64], models: &[&Vec<f64>], c: f64) -> Vec<f64> {
    let sum = |at: usize| models.iter().map(|model| model[at] - base[at]).sum::<f64>();
    (0..base.len()).map(|at| base[at] + c * sum(at)).collect()
}

/// The reference's TIES: the k smallest differences of each model go, the sign of the sum is elected, and what agrees
/// with it is averaged.
fn ties(base: &[f64], models: &[&Vec<f64>], c: f64, rate: f64) -> Vec<f64> {
    let k = (base.len() as f64 * rate) as usize;
    let trim = |model: &&Vec<f64>| {
        let all: Vec<f64> = model.iter().zip(base).map(|(number, base)| number - base).collect();
        let mut sizes: Vec<f64> = all.iter().map(|number| number.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let least = if k == 0 { 0.0 } else { sizes[k - 1] };
        all.into_iter().map(|number| if number.abs() >= least { number } else { 0.0 }).collect::<Vec<f64>>()
    };
    let trimmed: Vec<Vec<f64>> = models.iter().map(trim).collect();
    let sums: Vec<f64> = (0..base.len()).map(|at| trimmed.iter().map(|of| of[at]).sum()).collect();
    let signs = sums.iter().map(|sum| if *sum == 0.0 { 0.0 } else { sum.signum() });
    let majority = signs.sum::<f64>();
    let of = |at: usize| {
        let sign = if sums[at] == 0.0 { majority } else { sums[at] };
        let agree: Vec<f64> = trimmed.iter().map(|of| of[at]).filter(|number| number * sign > 0.0).collect();
        base[at] + c * agree.iter().sum::<f64>() / (agree.len() as f64).max(1.0)
    };
    (0..base.len()).map(of).collect()
}

/// Spherical interpolation of two tensors as vectors.
fn slerp(a: &[f64], b: &[f64], t: f64) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).clamp(-1.0, 1.0);
    let angle = cosine.acos();
    let [of_a, of_b] = if cosine.abs() > 0.9995 {
        [1.0 - t, t]
    } else {
        [((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()]
    };
    a.iter().zip(b).map(|(a, b)| of_a * a + of_b * b).collect()
}

/// A tensor of the output of the pruning search, `layer` being its place there; the ends are of none.
fn pruned(file: &Value, name: &str, layer: Option<usize>, base: &Weights, models: &[Weights]) -> Vec<f64> {
    let is_kept = |layer: &usize| has(file, &format!("layer_{layer}_candidate_0"));
    let kept: Vec<usize> = (0..40).filter(is_kept).collect();
    let end = if name.contains("embed") { 0 } else { kept.len() - 1 };
    let source = kept[layer.unwrap_or(end)];
    let of_source = name.replacen(&format!("layers.{}.", layer.unwrap_or(0)), &format!("layers.{source}."), 1);
    let chosen: Vec<&Vec<f64>> = (0..3)
        .filter(|candidate| number(file, &format!("layer_{source}_candidate_{candidate}")) == 1.0)
        .map(|candidate| &models[candidate][&of_source])
        .collect();
    match chosen.as_slice() {
        [] => base[&of_source].clone(),
        [one] => (*one).clone(),
        // The base's tensor is the one at the output's place.
        several => task_arithmetic(&base[name], several, number(file, &format!("layer_{source}_merge_scale_factor"))),
    }
}

/// A tensor of the output of the fusion search.
fn fused(file: &Value, name: &str, layer: Option<usize>, base: &Weights, models: &[Weights]) -> Vec<f64> {
    let end = if name.contains("embed") { 0 } else { 39 };
    let group = Group { file, group: layer.unwrap_or(end) / 10 };
    let all: Vec<&Vec<f64>> = models.iter().map(|model| &model[name]).collect();
    match group.method() {
        "linear" => {
            let weights: Vec<f64> = (0..3).map(|model| group.of_model(model, name, "linear_param_weights")).collect();
            let of = |at: usize| all.iter().zip(&weights).map(|(model, weight)| model[at] * weight).sum::<f64>();
            (0..all[0].len()).map(|at| of(at) / weights.iter().sum::<f64>()).collect()
        }
        "slerp" => {
            let ([first, second], [t]) = group.slerp(&[name]);
            slerp(all[first], all[second], t)
        }
        "task_arithmetic" => {
            task_arithmetic(&base[name], &all, group.shared(name, "task_arithmetic_param_scaling_coefficient"))
        }
        _ => {
            let rate = group.shared(name, "ties_param_param_value_mask_rate");
            ties(&base[name], &all, group.shared(name, "ties_param_scaling_coefficient"), rate)
        }
    }
}

/// Within 2e-7 of the reference's formulas in f64, from the file's numbers.
#[test]
fn what_is_merged_of_published_results_is_what_the_formulas_say() -> Result {
    let files = published()?;
    if files.is_empty() {
        return Ok(());
    }
    let family = family(40)?;
    let base = weights(&family.path("models/base"))?;
    let folders = FINE_TUNES.map(|(_, id)| id.rsplit('/').next().unwrap_or_default());
    let models =
        folders.iter().map(|folder| weights(&family.path("models").join(folder))).collect::<Result<Vec<_>>>()?;
    for name in ["prune_13b_3", "lfs_multi-obj_1", "lfs_single-obj_lm-lfs", "lfs_single-obj_math-lfs"] {
        let path = &files.iter().find(|(file, _)| file == name).ok_or("a file is missing")?.1;
        let file = read(path)?;
        let result = path.canonicalize()?.display().to_string();
        family.run(&format!("import {result} --models models.toml -o {name}.yaml --quiet"))?;
        family.run(&format!("merge {name}.yaml {name} --quiet"))?;
        let merged = weights(&family.path(name))?;
        assert!(merged.len() > 270, "{name}: {} tensors", merged.len());
        let mut worst = (0.0, String::new());
        for (tensor, found) in &merged {
            let layer = tensor.split('.').nth(2).and_then(|layer| layer.parse().ok());
            let rendered = if has(&file, "remove_idx_0") { pruned } else { fused };
            let expected = rendered(&file, tensor, layer, &base, &models);
            assert_eq!(found.len(), expected.len(), "{name}: {tensor}");
            for (found, expected) in found.iter().zip(&expected) {
                let difference = (found - expected).abs();
                if difference > worst.0 {
                    worst = (difference, tensor.clone());
                }
            }
        }
        println!("{name}: {} tensors within {:e} ({})", merged.len(), worst.0, worst.1);
        assert!(worst.0 <= 2e-7, "{name}: {} differs by up to {:e}", worst.1, worst.0);
    }
    Ok(())
}

/// A plain Llama has one epsilon for all of its norms, and the folded scales want one for each: what a scale does to the
/// stream, its epsilon does not follow. With next to none in the norms, the two are the same model.
#[test]
fn published_stacks_are_the_same_models_in_memory_and_written() -> Result {
    let files = published()?;
    for (eps, allowed) in [(1e-5, 1e-4), (1e-9, 1e-5)] {
        let family = if files.is_empty() { return Ok(()) } else { family(40)?.with_task()? };
        let folders = FINE_TUNES.map(|(_, id)| id.rsplit('/').next().unwrap_or_default());
        for model in folders.into_iter().chain(["base"]) {
            let mut config = family.json(&format!("models/{model}/config.json"))?;
            config["rms_norm_eps"] = eps.into();
            family.write(&format!("models/{model}/config.json"), &config.to_string())?;
        }
        for (name, path) in files.iter().filter(|(name, _)| name.starts_with("dis")) {
            let result = path.canonicalize()?.display().to_string();
            family.run(&format!("import {result} --models models.toml -o {name}.yaml --quiet"))?;
            family.run(&format!("merge {name}.yaml {name} --dtype f32 --quiet"))?;
            let (own, written) = (family.log_likelihoods(&format!("{name}.yaml"))?, family.log_likelihoods(name)?);
            let worst = own.iter().zip(&written).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{name}, epsilon {eps:.0e}: {worst:.1e}");
            assert!(worst <= allowed, "{name}, epsilon {eps:e}: log-likelihoods differ by up to {worst:e}");
        }
    }
    Ok(())
}
