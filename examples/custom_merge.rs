//! Learn how to merge with a method of your own: implement `MergeOp`, register it, export a recipe that names it.
//!
//! `cargo run --release -p tailor-examples --example custom_merge`
//!
//! The method here adds each source's difference to the base, but shortens it where it is long: one source cannot drown
//! the others.

use std::path::Path;

use layer_ir::{BaseRule, Family, Merge, MethodSpec, OutputLayer, Recipe};
use merge_ops::{Error, ExportOptions, Inputs, MergeOp, Numbers, Piece, RecipeTensors, Registry, export};
use tailor_registry::Parameter;

/// `out = w0 + sum_i d_i min(1, longest |w0| / |d_i|)` with the differences `d_i = w_i - w0`.
struct Clipped;

impl MergeOp for Clipped {
    /// By what each difference is multiplied.
    type Statistics = Vec<f32>;

    /// Recipes are checked by this, so that what is valid can be made.
    fn spec(&self) -> MethodSpec {
        const SHARED: &[Parameter] =
            &[Parameter::number("longest", 0.0, 1e6, "The longest difference, in lengths of the base.")];
        MethodSpec {
            base: BaseRule::Always,
            shared: SHARED,
            ..MethodSpec::new("clipped", "The base plus the sources' differences, none longer than said.")
        }
    }

    /// Reads the whole tensors once: in blocks, on all threads, with the same sums for any number of them.
    fn prepare(&self, inputs: &Inputs<'_>) -> Result<Vec<f32>, Error> {
        let longest = inputs.settings.number("longest")?;
        let factor = |source: usize| {
            let [base, difference] = inputs.sums(|block| {
                let pairs = block.base.iter().zip(&block.sources[source]);
                pairs.fold([0.0, 0.0], |[base, difference], (w0, w)| {
                    let (w0, d) = (f64::from(*w0), f64::from(w - w0));
                    [base + w0 * w0, difference + d * d]
                })
            });
            if difference == 0.0 { 1.0 } else { (longest * (base / difference).sqrt()).min(1.0) as f32 }
        };
        Ok((0..inputs.sources.len()).map(factor).collect())
    }

    /// The formula: it runs on the CPU's vectors in an export, and on whole tensors of a device in a search.
    fn merge<N: Numbers>(&self, mut piece: Piece<'_, N>, factors: &Vec<f32>) -> Result<N, Error> {
        let (base, differences) = piece.differences()?;
        Ok(differences.iter().zip(factors).fold(base, |mix, (difference, factor)| mix.add_product(difference, *factor)))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::standard();
    registry.register(Clipped)?;

    let recipe = recipe()?;
    let family = recipe.open_family()?;
    let recipe = recipe.validate(&family, &registry)?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("clipped");
    let source = RecipeTensors { family: &family, recipe: &recipe, registry: &registry };
    let done = export(source, &out, &ExportOptions::default())?;
    println!("{} parameters in {} layers, as {}", done.parameters, done.layers, done.files.join(", "));

    let merged = Family::open(&[("merged".to_owned(), &out)].into(), "merged")?;
    let weight = "model.layers.5.mlp.down_proj.weight";
    let of = |family: &Family, model: &str| Ok::<_, layer_ir::Error>(family.get(model)?.tensor(weight)?.to_f32());
    let base = of(&family, "base")?;
    for (family, model) in [(&family, "math"), (&family, "lists"), (&merged, "merged")] {
        let difference = of(family, model)?.iter().zip(&base).map(|(w, w0)| (w - w0).powi(2)).sum::<f32>().sqrt();
        let length = base.iter().map(|w0| w0.powi(2)).sum::<f32>().sqrt();
        println!("{model}: {weight} is {:.1} % of its length from the base's", 100.0 * difference / length);
    }
    Ok(())
}

/// Every layer of the bundled family's base, with what `math` and `lists` learned.
fn recipe() -> Result<Recipe, Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("family");
    let models = ["base", "math", "lists"].map(|name| (name.to_owned(), folder.join(name).display().to_string()));
    let mut recipe = Recipe::of_base(models.into(), "base", 12);
    for (layer, output) in recipe.layers.iter_mut().enumerate() {
        let merge = Merge::new("clipped").with("longest", 0.2).source("math", layer).source("lists", layer);
        *output = OutputLayer::merge(merge);
    }
    Ok(recipe)
}
