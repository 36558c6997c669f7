use layer_ir::Source;

use super::*;
use crate::space::prune::tests::space_of;
use crate::testing::{BrokenSpace, check_space};

fn space(variants: &[&str], settings: FoldSettings) -> Result<FoldSpace, Error> {
    FoldSpace::over(space_of(variants, 8, settings.plain())?, 8, &settings)
}

fn settings() -> FoldSettings {
    FoldSettings::new(Remove::Exactly(3))
}

#[test]
fn folding_keeps_the_laws_of_a_space() -> Result<(), BrokenSpace> {
    for variants in [["math", "code"].as_slice(), &["math"], &[]] {
        for outer in [OuterSetting::Search, OuterSetting::Follow, OuterSetting::Base] {
            for (select, coefficient) in [(true, [0.0, 1.0]), (false, [0.25, 0.75]), (true, [-0.5, 0.5])] {
                for remove in [Remove::Exactly(3), Remove::Between([1, 5]), Remove::Exactly(0)] {
                    check_space(&space(variants, FoldSettings { remove, coefficient, select, outer, ..settings() })?)?;
                }
            }
        }
    }
    Ok(())
}

/// Layer 0 and layer 1 go before the first kept one, 5 and 6 behind layer 4.
#[test]
fn a_removed_layer_is_folded_into_the_kept_one_before_it() -> Result<(), Error> {
    let space = space(&["math"], FoldSettings { remove: Remove::Exactly(4), ..settings() })?;
    let coefficients = [(0, 1.0), (1, 0.0), (5, 0.5), (6, 0.25)];
    let mut point = Point::new().with_subset("remove", [0, 1, 5, 6]);
    point = point.with_categorical("embedding", "base").with_categorical("head", "base");
    for layer in [2, 3, 4, 7] {
        point = point.with_categorical(format!("layer_{layer}.source"), if layer == 4 { "math" } else { "base" });
    }
    for (layer, number) in coefficients {
        point = point.with_float(coefficient(layer), number);
    }
    let recipe = space.decode(&point)?;
    let yaml = recipe.to_yaml()?;
    let of = |place: usize| match &recipe.layers[place].from {
        Expr::Take(of) => (of.model.as_str(), Some(of.layer), Vec::new()),
        Expr::Merge(merge) => {
            let weight = |source: &Source<LayerRef>| source.parameters.number("weight", "").ok().flatten();
            let sources = merge.sources.iter().map(|source| (source.of.layer, weight(source))).collect();
            let base = merge.base.as_ref();
            (base.map_or("", |base| base.model.as_str()), base.and_then(|base| base.layer), sources)
        }
    };
    assert_eq!(of(0), ("base", Some(2), vec![(0, Some(1.0))]), "{yaml}");
    assert_eq!(of(1), ("base", Some(3), Vec::new()));
    assert_eq!(of(2), ("math", Some(4), vec![(5, Some(0.5)), (6, Some(0.25))]));
    assert_eq!(of(3), ("base", Some(7), Vec::new()));
    assert_eq!(space.encode(&recipe)?, space.space().canonical(&point)?);
    Ok(())
}

#[test]
fn a_plain_removal_is_a_point_with_coefficients_of_0() -> Result<(), Error> {
    let space = space(&["math"], settings())?;
    let removed = space.plain.uniform(&[2, 3, 6], &["math"], 1.0);
    let point = space.encode(&removed)?;
    assert_eq!((point.subset("remove")?, point.float("layer_6.coefficient")?), (&[2, 3, 6][..], 0.0));
    // Among the designs are LaCo's, whose coefficients are all 1.
    let designs = space.designs(&[removed], &BTreeSet::new());
    let laco = space.encode(&designs[0])?;
    assert_eq!((laco.subset("remove")?, laco.float("layer_2.coefficient")?), (&[2, 3, 6][..], 1.0));
    let pairs = designs.iter().map(|design| Ok(space.encode(design)?.key()));
    let keys = pairs.collect::<Result<BTreeSet<_>, Error>>()?;
    assert_eq!(keys.len(), designs.len());
    Ok(())
}
