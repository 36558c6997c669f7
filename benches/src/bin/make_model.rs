//! Writes a Llama checkpoint of random bf16 weights in a known shape, a shard per layer: `make_model SHAPE DIR [LAYERS]`.
//!
//! Shapes: `d512` (8 layers), `llama-1b` (TinyLlama's, 22 layers), `llama-7b` (Llama 2's, 32 layers, 13 GB). The same shape gives the same files.

use tailor_benches::{Outcome, Shape};

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: make_model SHAPE DIR [LAYERS]".into());
    };
    let shape = Shape::named(&name)?;
    let layers = arguments.next().map_or(Ok(shape.layers), |layers| layers.parse())?;
    shape.with_layers(layers).write(out.as_ref())
}
