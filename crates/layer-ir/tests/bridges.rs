//! Bridges: what a recipe says of them, what its key depends on, and what is wrong with their files.

mod support;

use std::fs;
use std::path::Path;

use indexmap::IndexMap;
use layer_ir::{BridgeError, BridgeRef, Error, Family, LayerExpr, LayerRef, Recipe, ValidRecipe};
use safetensors::tensor::TensorView;
use support::{LAYERS, METHODS, Outcome};

/// The tensor that a bridge is usually folded into, and its shape in the tiny Llama.
const DOWN: (&str, &[usize]) = ("mlp.down_proj.weight", &[8, 12]);
/// The output layer that has the bridge.
const BRIDGED: usize = 2;

/// A folder with the tiny Llama, opened.
fn family() -> Result<(tempfile::TempDir, Family), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    support::llama(&folder.path().join("base"))?;
    let models: IndexMap<_, _> = [("base".to_owned(), folder.path().join("base"))].into();
    let family = Family::open(&models, "base")?;
    Ok((folder, family))
}

/// A delta of `DOWN`, counting up from `first`.
fn delta(first: f32) -> Vec<f32> {
    (0..96_u8).map(|i| first + f32::from(i)).collect()
}

/// Writes a bridge of one tensor.
fn write(folder: &Path, first: f32) -> Result<BridgeRef, Error> {
    BridgeRef::write(folder, &[(DOWN.0, (DOWN.1, delta(first).as_slice()))].into())
}

/// A file as somebody else's program writes it, and its hash.
fn file_of(folder: &Path, tensors: &[(&str, TensorView<'_>)]) -> Result<BridgeRef, Box<dyn std::error::Error>> {
    let (file, bytes) = (folder.join("made.safetensors"), safetensors::serialize(tensors.to_vec(), None)?);
    fs::write(&file, &bytes)?;
    Ok(BridgeRef { file, hash: blake3::hash(&bytes).to_hex().to_string() })
}

fn bridged(family: &Family, bridge: BridgeRef) -> Result<ValidRecipe, Error> {
    let mut recipe = Recipe::of_model(family, "base");
    recipe.layers[BRIDGED].bridge = Some(bridge);
    recipe.validate(family, &METHODS)
}

#[test]
fn a_bridge_is_found_beside_the_recipe_and_opened() -> Outcome {
    let (folder, _) = family()?;
    let BridgeRef { file, hash } = write(folder.path(), 1.0)?;
    let name = file.file_name().and_then(|name| name.to_str()).ok_or("no name")?;
    let layer = format!("take: {{model: base, layer: 2}}\n  bridge: {{file: {name}, hash: {hash}}}\n  scale: 0.5");
    let path = folder.path().join("recipe.yaml");
    fs::write(&path, format!("tailor: 1\nmodels: {{base: base}}\nbase: base\nlayers:\n- {layer}\n"))?;
    let recipe = Recipe::read(&path)?;
    assert_eq!(recipe.layers[0].bridge, Some(BridgeRef { file: file.clone(), hash: hash.clone() }));
    assert_eq!(Recipe::from_yaml(&recipe.to_yaml()?)?, recipe);
    let valid = recipe.clone().validate(&recipe.open_family()?, &METHODS)?;
    let bridge = valid.bridge(0).ok_or("no bridge")?;
    let found = bridge.delta(DOWN.0).ok_or("no delta")?;
    assert_eq!((bridge.file(), bridge.hash(), found.to_f32()), (file.as_path(), hash.as_str(), delta(1.0)));
    assert!(bridge.changes(DOWN.0) && !bridge.changes("self_attn.o_proj.weight") && valid.bridge(1).is_none());
    Ok(())
}

#[test]
fn what_is_added_is_part_of_the_keys_and_where_it_lies_is_not() -> Outcome {
    let (folder, family) = family()?;
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere)?;
    let keys = |bridge: Option<BridgeRef>| {
        let mut recipe = Recipe::of_model(&family, "base");
        recipe.layers[BRIDGED].bridge = bridge;
        let valid = recipe.clone().validate(&family, &METHODS)?;
        assert_eq!(recipe.key(&METHODS), valid.key());
        let layers = (0..LAYERS).map(|layer| valid.layer_key(layer).unwrap_or_default().to_owned());
        Ok::<_, Error>((valid.key(), layers.collect::<Vec<_>>()))
    };
    let (plain, one) = (keys(None)?, keys(Some(write(folder.path(), 1.0)?))?);
    assert_eq!(keys(Some(write(&elsewhere, 1.0)?))?, one);
    let other = keys(Some(write(folder.path(), 2.0)?))?;
    for (a, b) in [(&plain, &one), (&plain, &other), (&one, &other)] {
        assert_ne!(a.0, b.0);
        let differ: Vec<usize> = (0..LAYERS).filter(|layer| a.1[*layer] != b.1[*layer]).collect();
        assert_eq!(differ, [BRIDGED]);
    }
    // As of version 0.1.0, which knew no bridges: caches of studies name models by it.
    assert_eq!(plain.0, "861532399b67542d6890d47cbeae4710");
    Ok(())
}

#[test]
fn a_bridge_that_was_opened_stays_what_it_is() -> Outcome {
    let (folder, family) = family()?;
    let bridge = write(folder.path(), 1.0)?;
    let valid = bridged(&family, bridge.clone())?;
    let read = || -> Result<Vec<f32>, Box<dyn std::error::Error>> {
        let view = valid.bridge(BRIDGED).and_then(|bridge| bridge.delta(DOWN.0)).ok_or("no delta")?;
        let mut bytes = vec![0; view.data.len()];
        view.read(0, &mut bytes)?;
        assert_eq!(view.to_f32(), view.dtype.to_f32(&bytes));
        Ok(view.to_f32())
    };
    assert_eq!(read()?, delta(1.0));
    // Another file takes its name, as a writer that renames does; then there is none.
    fs::rename(write(folder.path(), 2.0)?.file, &bridge.file)?;
    assert_eq!(read()?, delta(1.0));
    fs::remove_file(&bridge.file)?;
    assert_eq!(read()?, delta(1.0));
    Ok(())
}

#[test]
fn one_layer_with_two_bridges_is_two_layers() -> Outcome {
    let (folder, family) = family()?;
    let mut recipe = Recipe::of_model(&family, "base");
    for (layer, first) in [(1, 1.0), (2, 2.0)] {
        recipe.layers[layer].from = LayerExpr::Take(LayerRef { model: "base".to_owned(), layer: 1 });
        recipe.layers[layer].bridge = Some(write(folder.path(), first)?);
    }
    let valid = recipe.validate(&family, &METHODS)?;
    assert_ne!(valid.layer_key(1), valid.layer_key(2));
    let first = |layer| Some(valid.bridge(layer)?.delta(DOWN.0)?.to_f32()[0]);
    assert_eq!([first(1), first(2)], [Some(1.0), Some(2.0)]);
    Ok(())
}

#[test]
fn equal_deltas_are_one_file_that_is_whole() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (down, o) = (delta(0.0), vec![0.5; 64]);
    let both = [(DOWN.0, (DOWN.1, down.as_slice())), ("self_attn.o_proj.weight", (&[8, 8], o.as_slice()))];
    let one = BridgeRef::write(folder.path(), &both.into())?;
    assert_eq!(BridgeRef::write(folder.path(), &both.into_iter().rev().collect())?, one);
    assert_eq!(blake3::hash(&fs::read(&one.file)?).to_hex().to_string(), one.hash);
    let files = fs::read_dir(folder.path())?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    assert_eq!(files, [one.file]);
    let short = BridgeRef::write(folder.path(), &[(DOWN.0, (&[9, 12][..], down.as_slice()))].into());
    assert!(matches!(short, Err(Error::BridgeTensors { .. })), "{short:?}");
    let nowhere = BridgeRef::write(&folder.path().join("nowhere"), &both.into());
    assert!(matches!(nowhere, Err(Error::Write { .. })), "{nowhere:?}");
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

/// What validation says of a bridge. It must name the layer and the file.
fn complaint(family: &Family, bridge: &BridgeRef) -> Result<BridgeError, String> {
    let error = bridged(family, bridge.clone()).err().ok_or("it is valid")?;
    let begins = format!("output layer {BRIDGED}: bridge {}: ", bridge.file.display());
    match error {
        Error::Bridge { layer: BRIDGED, ref file, .. }
            if file != &bridge.file || !error.to_string().starts_with(&begins) =>
        {
            Err(error.to_string())
        }
        Error::Bridge { layer: BRIDGED, source, .. } => Ok(*source),
        other => Err(other.to_string()),
    }
}

#[test]
fn a_file_that_is_not_the_recipes_is_refused() -> Outcome {
    let (folder, family) = family()?;
    let whole = write(folder.path(), 1.0)?;
    let bytes = fs::read(&whole.file)?;
    let at = |name: &str| BridgeRef { file: folder.path().join(name), ..whole.clone() };
    let missing = complaint(&family, &at("missing"))?;
    assert!(matches!(missing, BridgeError::Read(_)), "{missing}");
    for length in [0, 7, 60, bytes.len() - 1] {
        let cut = at(&format!("cut at {length}"));
        fs::write(&cut.file, &bytes[..length])?;
        let error = complaint(&family, &cut)?;
        assert!(matches!(error, BridgeError::Safetensors(_)), "{length} bytes: {error}");
    }
    let other = BridgeRef { hash: write(folder.path(), 2.0)?.hash, ..whole.clone() };
    let error = complaint(&family, &other)?;
    assert!(matches!(&error, BridgeError::OtherContent { found, .. } if found == &whole.hash), "{error}");
    bridged(&family, whole)?;
    Ok(())
}

#[test]
fn deltas_that_do_not_fit_the_layer_are_refused() -> Outcome {
    let (folder, family) = family()?;
    let bytes: Vec<u8> = delta(1.0).iter().flat_map(|value| value.to_le_bytes()).collect();
    let says = |name: &str, dtype, shape: &[usize], data: &[u8]| {
        let bridge = file_of(folder.path(), &[(name, TensorView::new(dtype, shape.to_vec(), data)?)])?;
        Ok::<_, Box<dyn std::error::Error>>(complaint(&family, &bridge)?)
    };
    let f32 = safetensors::Dtype::F32;
    let unknown = says("mlp.down_proj.bias", f32, DOWN.1, &bytes)?;
    assert!(matches!(&unknown, BridgeError::NoSuchTensor { known, .. } if known.contains(DOWN.0)), "{unknown}");
    let full_name = says("model.layers.2.mlp.down_proj.weight", f32, DOWN.1, &bytes)?;
    assert!(matches!(full_name, BridgeError::NoSuchTensor { .. }), "{full_name}");
    let turned = says(DOWN.0, f32, &[12, 8], &bytes)?;
    assert!(matches!(&turned, BridgeError::Shape { found, expected, .. } if found == &[12, 8] && expected == DOWN.1));
    let narrow = says(DOWN.0, safetensors::Dtype::BF16, DOWN.1, &bytes[..192])?;
    assert!(matches!(&narrow, BridgeError::Dtype { found, .. } if found == "BF16"), "{narrow}");
    let mut broken = bytes.clone();
    broken[40..44].copy_from_slice(&f32::NAN.to_le_bytes());
    let broken = says(DOWN.0, f32, DOWN.1, &broken)?;
    assert!(matches!(broken, BridgeError::NotFinite { element: 10, .. }), "{broken}");
    let empty = complaint(&family, &file_of(folder.path(), &[])?)?;
    assert!(matches!(empty, BridgeError::Empty), "{empty}");
    Ok(())
}

#[test]
fn a_misspelt_key_of_a_bridge_is_refused() {
    let layer = "take: {model: a, layer: 0}\n  bridge: {file: b.safetensors, sha: 00}";
    let says = Recipe::from_yaml(&format!("tailor: 1\nmodels: {{a: a}}\nbase: a\nlayers:\n- {layer}\n")).err();
    assert!(says.is_some_and(|error| error.to_string().contains("sha")));
}
