//! Writes a Llama checkpoint of random bf16 weights in a known shape, a shard per layer: `make_model SHAPE DIR [VARIANT
//! [LAYERS]]`.
//!
//! Shapes: `d512` (8 layers), `smollm2-135m` (30 layers), `llama-1b` (TinyLlama's, 22 layers), `llama-7b` (Llama 2's,
//! 32 layers, 13 GB). Variant 0 is the base, any other number the base and small differences of its own, as a fine-tune
//! has. The same arguments give the same files.
//!
//! With LAYERS, a model of that many layers in the widths of SHAPE: what does not fit this machine's memory can be
//! measured in part.

use tailor_benches::{Outcome, Shape};

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: make_model SHAPE DIR [VARIANT [LAYERS]]".into());
    };
    let shape = Shape::named(&name)?;
    let variant = arguments.next().map_or(Ok(0), |variant| variant.parse())?;
    let layers = arguments.next().map_or(Ok(shape.layers), |layers| layers.parse())?;
    shape.with_layers(layers).write(out.as_ref(), variant)
}
