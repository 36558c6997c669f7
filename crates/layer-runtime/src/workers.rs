//! Several devices for one call: requests are shared out, each device works on its share with its own layers.
//!
//! Each device has a thread of its own. Shares are cut by tokens, not by requests, as a device's time goes by tokens.

use std::cmp::Ordering;

use crate::Error;

/// Cuts the requests into shares of about equal tokens, one for each worker, and works on all shares at the same
/// time. Neighbours in `order` stay together, as they begin alike. The answers are in the requests' order.
///
/// # Errors
/// The first error of a worker.
pub(crate) fn on_all_devices<W: Sync, R: Clone + Send + Sync, A: Send>(
    workers: &[W],
    requests: &[R],
    order: impl Fn(&R, &R) -> Ordering,
    tokens: impl Fn(&R) -> usize,
    work: impl Fn(&W, &[R]) -> Result<Vec<A>, Error> + Sync,
) -> Result<Vec<A>, Error> {
    let shares = shares(requests, workers.len(), order, tokens);
    let found: Vec<Result<Vec<A>, Error>> = std::thread::scope(|scope| {
        let start = |(worker, share): (_, &Vec<usize>)| {
            let (share, work): (Vec<R>, _) = (share.iter().map(|&place| requests[place].clone()).collect(), &work);
            scope.spawn(move || work(worker, &share))
        };
        let threads: Vec<_> = workers.iter().zip(&shares).map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    let mut answers: Vec<Option<A>> = requests.iter().map(|_| None).collect();
    for (share, found) in shares.iter().zip(found) {
        for (place, answer) in share.iter().zip(found?) {
            answers[*place] = Some(answer);
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// The places of the requests of each of `count` shares.
fn shares<R>(
    requests: &[R],
    count: usize,
    order: impl Fn(&R, &R) -> Ordering,
    tokens: impl Fn(&R) -> usize,
) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..requests.len()).collect();
    places.sort_by(|&a, &b| order(&requests[a], &requests[b]));
    let all: usize = requests.iter().map(&tokens).sum();
    let mut shares: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut before = 0;
    for place in places {
        shares[(before * count / all.max(1)).min(count - 1)].push(place);
        before += tokens(&requests[place]);
    }
    shares
}
