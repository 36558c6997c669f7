//! What can be said of a recipe's merges before anything is computed.

use layer_ir::{End, Expr, Family, Place, ValidRecipe};

use crate::build::settings;
use crate::{Error, Registry};

/// Checks all methods and parameters of a recipe, for every tensor that they are for; reads no weight.
///
/// # Errors
/// The first thing that is wrong, and its place.
pub fn check_recipe(registry: &Registry, family: &Family, recipe: &ValidRecipe) -> Result<(), Error> {
    for (output, layer) in recipe.layers.iter().enumerate() {
        let Expr::Merge(merge) = &layer.from else { continue };
        let check = || {
            let op = registry.get(&merge.method)?;
            for tensor in family.base().layer_tensors() {
                let name = |layer| family.base().layer_tensor_name(layer, &tensor.suffix);
                let names = merge.sources.iter().map(|source| name(source.of.layer));
                op.check(&settings(merge, name(output), names))?;
            }
            Ok::<(), Error>(())
        };
        check().map_err(|error| error.at(Place::Layer(output)))?;
    }
    for end in End::ALL {
        let (Expr::Merge(merge), Some(name)) = (recipe.ends.get(end), family.base().end_name(end)) else { continue };
        let names = merge.sources.iter().map(|_| name.to_owned());
        let check = || registry.get(&merge.method)?.check(&settings(merge, name.to_owned(), names));
        check().map_err(|error| error.at(Place::End(end)))?;
    }
    Ok(())
}
