//! How fast does this machine read memory? Bytes per second of a sum over a buffer much larger than the caches, on all
//! threads.
//!
//! `bandwidth [MIB]` (1024 unless said) prints a line of JSON: the best of ten turns. One token at a time, a model
//! cannot be faster than its weights are read: that is the bound which measured generation stands beside.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;
use tailor_benches::Outcome;

fn main() -> Outcome {
    let mib: usize = std::env::args().nth(1).map_or(Ok(1024), |mib| mib.parse())?;
    let buffer: Vec<u64> = (0..mib as u64 * (1 << 17)).into_par_iter().collect();
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        black_box(black_box(&buffer).par_chunks(1 << 16).map(sum).reduce(|| 0, u64::wrapping_add));
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{}", serde_json::json!({ "bytes_per_second": size_of_val(buffer.as_slice()) as f64 / best }));
    Ok(())
}

/// The sum of a piece, in lanes, so that no addition waits for the one before it.
fn sum(numbers: &[u64]) -> u64 {
    let mut lanes = [0_u64; 32];
    for numbers in numbers.as_chunks::<32>().0 {
        for (lane, number) in lanes.iter_mut().zip(numbers) {
            *lane = lane.wrapping_add(*number);
        }
    }
    lanes.into_iter().fold(0, u64::wrapping_add)
}
